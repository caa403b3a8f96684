internal import ArgumentParser
internal import Reporting
internal import Storage
internal import SweepRecords

/// `database`: the schema of the store.
struct DatabaseCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "database", abstract: "Shows and updates the database's schema.",
    subcommands: [Migrate.self, Status.self])

  /// Where the database is.
  private static func locator() throws -> StoreLocator {
    let locator = try Settings.database()
    if case .sqlite = locator { _ = try OpenStore.path() }
    return locator
  }

  /// `database migrate`: safe to repeat, and for several at once.
  struct Migrate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "migrate", abstract: "Brings the schema up to date; makes it where there is none.",
      discussion: """
        A SQLite file migrates by itself; a PostgreSQL database only by this command, run as steerscope_owner or a \
        superuser. It also grants the rights of the roles that ops/postgres/roles.sql makes.
        """)

    func run() async throws {
      let locator = try DatabaseCommand.locator()
      let applied = try await locator.migrate()
      for file in applied { Terminal.say("applied \(file)") }
      let status = try await locator.status()
      Terminal.say("\(status.database): schema version \(status.version)\(applied.isEmpty ? ", as before" : "")")
    }
  }

  /// `database status`: version, what is missing, size, rows, roles.
  struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "status", abstract: "Shows the schema's version, what is missing, size, rows and roles.")

    @Option(help: "table, json or csv.") var format = OutputFormat.table

    func run() async throws {
      let status = try await DatabaseCommand.locator().status()
      switch format {
      case .json: try JSONOutput.print(Answer(status))
      case .csv: Terminal.result(Self.tables(of: status, isForPeople: false).render(as: .csv))
      case .table:
        Terminal.result(Self.facts(of: status).render(as: .table))
        if status.tables.isEmpty { return }
        let width = Terminal.isResultTerminal ? Terminal.width : nil
        Terminal.result("\n" + Self.tables(of: status, isForPeople: true).render(as: .table, width: width))
      }
    }

    private static func facts(of status: DatabaseStatus) -> Facts {
      var facts = Facts()
      facts.add("database", status.database)
      facts.add("engine", status.engine)
      let isMissing = status.pending.isEmpty ? "up to date" : "lacks \(status.pending.joined(separator: ", "))"
      facts.add("schema", "version \(status.version), \(isMissing)")
      if !status.pending.isEmpty { facts.add("to_do", "steerscope database migrate") }
      facts.add("size", size(status.bytes))
      if !status.roles.isEmpty {
        facts.add("roles", words(status.roles.filter(\.exists)))
        let missing = status.roles.filter { !$0.exists }
        if !missing.isEmpty { facts.add("missing_roles", words(missing) + ": run ops/postgres/roles.sql") }
      }
      return facts
    }

    private static func words(_ roles: [DatabaseStatus.Role]) -> String {
      roles.isEmpty ? "none" : roles.map(\.name).joined(separator: ", ")
    }

    private static func tables(of status: DatabaseStatus, isForPeople: Bool) -> TerminalTable {
      TerminalTable(
        columns: isForPeople ? ["table", "rows", "size"] : ["table", "rows", "is_estimate", "bytes"],
        rows: status.tables.map { table in
          let rows = Cell(table.rows)
          if !isForPeople { return [.text(table.name), rows, Cell(table.isEstimate), Cell(table.bytes)] }
          let about = table.isEstimate ? Cell(table.rows.map { "about \($0)" }) : rows
          return [.text(table.name), about, Cell(table.bytes.map(size))]
        })
    }

    /// Bytes in the largest unit that leaves a digit before the point.
    private static func size(_ bytes: Int) -> String {
      let units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
      var (value, unit) = (Double(bytes), 0)
      while value >= 1024, unit < units.count - 1 { (value, unit) = (value / 1024, unit + 1) }
      return unit == 0 ? "\(bytes) bytes" : "\(Facts.short(value)) \(units[unit])"
    }
  }

  /// The JSON of `database status`.
  private struct Answer: Encodable {
    struct Table: Encodable {
      var name: String
      var rows: Int?
      var isEstimate: Bool
      var bytes: Int?

      private enum CodingKeys: String, CodingKey { case name, rows, isEstimate, bytes }

      func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .name)
        try container.encode(rows, forKey: .rows)
        try container.encode(isEstimate, forKey: .isEstimate)
        try container.encode(bytes, forKey: .bytes)
      }
    }
    var database: String
    var engine: String
    var version: Int
    var pending: [String]
    var bytes: Int
    var roles: [String]
    var missingRoles: [String]
    var tables: [Table]

    init(_ status: DatabaseStatus) {
      (database, engine, version, pending) = (status.database, status.engine, status.version, status.pending)
      bytes = status.bytes
      roles = status.roles.filter(\.exists).map(\.name)
      missingRoles = status.roles.filter { !$0.exists }.map(\.name)
      tables = status.tables.map {
        Table(name: $0.name, rows: $0.rows, isEstimate: $0.isEstimate, bytes: $0.bytes)
      }
    }
  }
}
