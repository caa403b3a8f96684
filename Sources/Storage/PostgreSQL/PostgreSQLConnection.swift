internal import CPostgreSQL
internal import Diagnostics
internal import Foundation

/// A connection to a PostgreSQL server, and the statements prepared on it. For one thread at a time; closed when it goes.
package final class PostgreSQLConnection {
  let address: PostgreSQLAddress
  private let handle: OpaquePointer
  /// Names of prepared statements by text.
  private var prepared: [String: String] = [:]
  private var statements = 0
  /// Columns of tables, looked up once.
  private var columnsOfTables: [String: [PostgreSQLColumn]] = [:]

  /// How long one call may wait for the server; nil for no limit. What a transaction allows itself ends with it.
  private var patience: Duration?
  private let usualPatience: Duration

  /// How many statements are kept: far more than the program has.
  private static let mostPrepared = 300

  /// Opens a connection. Throws `InputError` for what waiting doesn't cure (password, name of the database), else
  /// `StoreError`.
  package init(_ address: PostgreSQLAddress, _ settings: PostgreSQLSettings) throws {
    self.address = address
    // The server itself ends statements before.
    usualPatience = .seconds(settings.statementTimeout + settings.silenceTimeout)
    patience = usualPatience
    handle = try PostgreSQLHandshake(address: address, settings: settings).connect()
    PQsetNoticeReceiver(handle, { _, _ in }, nil)
    try setUp(settings)
  }

  deinit { PQfinish(handle) }

  private func setUp(_ settings: PostgreSQLSettings) throws {
    let values = [
      "search_path": "steerscope, pg_temp", "timezone": "UTC", "datestyle": "ISO, YMD", "bytea_output": "hex",
      "client_min_messages": "warning", "synchronous_commit": "on",
      // Compiling statements this small takes longer than they do.
      "jit": "off",
      // Planning takes longer than doing what is asked of a few rows by their keys.
      "plan_cache_mode": "force_generic_plan",
      "statement_timeout": "\(settings.statementTimeout)s", "lock_timeout": "\(settings.lockTimeout)s",
      "idle_in_transaction_session_timeout": "60s",
    ].sorted { $0.key < $1.key }
    do {
      try run(
        "SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS setting (name, value)",
        .texts(values.map(\.key)), .texts(values.map(\.value)))
    } catch let failure as PostgreSQLFailure {
      throw failure.asStoreError(address)
    }
  }

  // MARK: How it is

  /// Whether it was not found broken so far.
  var isAlive: Bool { PQstatus(handle) == CONNECTION_OK }
  /// Whether no transaction is open and nothing is under way.
  var isIdle: Bool { PQtransactionStatus(handle) == PQTRANS_IDLE }

  /// Whether the server has said something unasked: as a rule that it hangs up. No round trip.
  var hasNews: Bool {
    var request = pollfd(fd: PQsocket(handle), events: Int16(POLLIN), revents: 0)
    return poll(&request, 1, 0) != 0
  }

  // MARK: Waiting

  /// Lets the calls of the present transaction wait so long for the server, or without a limit.
  func allow(_ limit: Duration?) { patience = limit }

  /// Does what waits for the server, at most as long as is allowed: then the connection counts as lost.
  private func waiting<T>(_ body: () -> T) -> T {
    SilenceWatch.shared.wait(on: PQsocket(handle), atMost: patience, body)
  }

  // MARK: Statements

  /// Runs a statement; the number of rows that it changed.
  @discardableResult
  package func run(_ sql: String, _ values: PostgreSQLValue...) throws -> Int { try perform(sql, values).changes }

  /// All rows of a statement.
  package func rows<T>(
    _ sql: String, _ values: PostgreSQLValue..., read: (borrowing PostgreSQLRow) throws -> T
  ) throws -> [T] {
    let result = try perform(sql, values)
    var found: [T] = []
    found.reserveCapacity(result.count)
    for row in 0..<result.count { found.append(try result.withRow(row, read)) }
    return found
  }

  /// The first row of a statement.
  package func first<T>(
    _ sql: String, _ values: PostgreSQLValue..., read: (borrowing PostgreSQLRow) throws -> T
  ) throws -> T? {
    let result = try perform(sql, values)
    return result.count > 0 ? try result.withRow(0, read) : nil
  }

  /// Whether a statement returns a row.
  package func exists(_ sql: String, _ values: PostgreSQLValue...) throws -> Bool { try perform(sql, values).count > 0 }

  /// Runs a text of several statements, all in one transaction unless the text says otherwise.
  package func execute(_ sql: String) throws {
    _ = try checked(waiting { PQexec(handle, sql) })
    // They may have changed tables.
    columnsOfTables = [:]
  }

  private func perform(_ sql: String, _ values: [PostgreSQLValue]) throws -> PostgreSQLResult {
    let parameters = try PostgreSQLParameters(values)
    let name = try prepare(sql, parameters)
    return try checked(
      parameters.withPointers { a, b, c, d in waiting { PQexecPrepared(handle, name, a, b, c, d, 1) } })
  }

  /// The name under which the server knows a statement.
  private func prepare(_ sql: String, _ parameters: PostgreSQLParameters) throws -> String {
    if let known = prepared[sql] { return known }
    if prepared.count >= Self.mostPrepared {
      _ = try checked(waiting { PQexec(handle, "DEALLOCATE ALL") })
      prepared = [:]
    }
    statements += 1
    let name = "s\(statements)"
    _ = try checked(
      waiting { PQprepare(handle, name, sql, Int32(parameters.types.count), parameters.types) })
    prepared[sql] = name
    return name
  }

  /// A result if it is a good one; throws what is wrong with any other.
  private func checked(_ pointer: OpaquePointer?) throws -> PostgreSQLResult {
    guard let pointer else { throw failure(state: "", message: String(cString: PQerrorMessage(handle))) }
    let result = PostgreSQLResult(owning: pointer)
    switch result.status {
    case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_SINGLE_TUPLE, PGRES_COPY_IN: return result
    default:
      var message = result.field(steerscope_diag_message_primary)
      let detail = result.field(steerscope_diag_message_detail)
      if !detail.isEmpty { message += " (\(detail))" }
      if message.isEmpty { message = String(cString: PQerrorMessage(handle)) }
      throw failure(state: result.field(steerscope_diag_sqlstate), message: message)
    }
  }

  private func failure(state: String, message: String) -> PostgreSQLFailure {
    let message = message.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }.joined(separator: "; ")
    return PostgreSQLFailure(state: state, message: address.redacted(message), isLost: !isAlive)
  }

  // MARK: Transactions

  /// Runs a transaction: committed at the end, rolled back when the body throws. Each statement sees what was committed
  /// before it began.
  package func write<T>(_ body: (PostgreSQLConnection) throws -> T) throws -> T {
    try transaction("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", body)
  }

  /// Runs several reads on one state of the database.
  func read<T>(_ body: (PostgreSQLConnection) throws -> T) throws -> T {
    try transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", body)
  }

  /// Runs what a person has asked for: nothing is written, and it is another role that reads.
  func readOnly<T>(as role: String?, settings: String, _ body: (PostgreSQLConnection) throws -> T) throws -> T {
    // A cursor's plan is for all its rows.
    let begin = [
      "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "SET LOCAL cursor_tuple_fraction = 1", settings,
      role.map { "SET LOCAL ROLE \(Self.quoted($0))" } ?? "",
    ]
    return try transaction(begin.joined(separator: "; "), body)
  }

  private func transaction<T>(_ begin: String, _ body: (PostgreSQLConnection) throws -> T) throws -> T {
    defer { patience = usualPatience }
    do {
      _ = try checked(waiting { PQexec(handle, begin) })
      let value = try body(self)
      // A transaction that has failed answers a COMMIT with ROLLBACK.
      guard try checked(waiting { PQexec(handle, "COMMIT") }).tag == "COMMIT" else {
        throw PostgreSQLFailure(state: "25P02", message: "the transaction was rolled back")
      }
      return value
    } catch {
      if isAlive, !isIdle { PQclear(waiting { PQexec(handle, "ROLLBACK") }) }
      throw error
    }
  }

  // MARK: Copying in

  /// Streams rows into a table's columns by `COPY ... FROM STDIN` in binary form.
  func copy(
    into table: String, _ columns: [String], _ body: (inout PostgreSQLCopy) throws -> Void
  ) throws {
    let names = columns.map(Self.quoted).joined(separator: ", ")
    let start = "COPY \(Self.quoted(table)) (\(names)) FROM STDIN (FORMAT binary)"
    _ = try checked(waiting { PQexec(handle, start) })
    var thrown: (any Error)?
    do {
      var copy = PostgreSQLCopy { [handle, patience] bytes in
        SilenceWatch.shared.wait(on: PQsocket(handle), atMost: patience) {
          bytes.withUnsafeBytes {
            PQputCopyData(handle, $0.baseAddress?.assumingMemoryBound(to: CChar.self), Int32($0.count)) == 1
          }
        }
      }
      try body(&copy)
      copy.end()
    } catch { thrown = error }
    _ = waiting { PQputCopyEnd(handle, thrown == nil ? nil : "given up") }
    var first = waiting { PQgetResult(handle) }
    while let next = first == nil ? nil : waiting({ PQgetResult(handle) }) { PQclear(next) }
    defer { first = nil }
    if let thrown {
      PQclear(first)
      throw thrown
    }
    _ = try checked(first)
  }

  /// An identifier.
  static func quoted(_ name: String) -> String { "\"\(name.replacing("\"", with: "\"\""))\"" }

  /// The columns of a table in its schema's order.
  func columns(of table: String) throws -> [PostgreSQLColumn] {
    if let known = columnsOfTables[table] { return known }
    let columns = try rows(
      """
      SELECT attname::text, atttypid::bigint FROM pg_attribute
      WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
      """, .text(table)
    ) { PostgreSQLColumn(name: $0.text(0), type: UInt32(truncatingIfNeeded: $0.integer(1))) }
    columnsOfTables[table] = columns
    return columns
  }

  // MARK: Streaming out

  /// Runs a statement that is not kept, and hands its rows over one by one, in text form; the names of the columns.
  func stream(_ sql: String, row body: (borrowing PostgreSQLRow) throws -> Void) throws -> [String] {
    guard waiting({ PQsendQueryParams(handle, sql, 0, nil, nil, nil, nil, 0) }) == 1 else {
      throw failure(state: "", message: String(cString: PQerrorMessage(handle)))
    }
    PQsetSingleRowMode(handle)
    var columns: [String] = []
    var thrown: (any Error)?
    while let pointer = waiting({ PQgetResult(handle) }) {
      do {
        let result = try checked(pointer)
        columns = result.columns
        if thrown == nil { for row in 0..<result.count { try result.withRow(row, body) } }
      } catch { if thrown == nil { thrown = error } }
    }
    if let thrown { throw thrown }
    return columns
  }

  /// Runs a statement that is not kept and may be of a person's making: one statement, no parameters.
  func once(_ sql: String) throws {
    _ = try checked(waiting { PQexecParams(handle, sql, 0, nil, nil, nil, nil, 0) })
  }
}

/// A column of a table.
struct PostgreSQLColumn: Sendable {
  var name: String
  /// The type's number.
  var type: UInt32
}
