internal import Schemas

/// Looks at a PostgreSQL database and its schema, as far as the role may.
struct PostgreSQLInspection {
  let connection: PostgreSQLConnection

  init(_ connection: PostgreSQLConnection) { self.connection = connection }

  /// The roles of `ops/postgres/roles.sql`.
  private static let roles = ["steerscope_owner", "steerscope_coordinator", "steerscope_worker", "steerscope_reader"]

  /// The largest table whose rows are counted, in bytes.
  private static let countable = 64 << 20

  func status() throws -> DatabaseStatus {
    let database = "\(connection.address)"
    let applied = try PostgreSQLMigrator(connection).applied() ?? []
    let pending = try AppliedMigration.pending(of: Schemas.postgresqlMigrations, after: applied, in: database)
    let about = try connection.first(
      "SELECT current_setting('server_version'), pg_database_size(current_database())"
    ) { (version: $0.text(0), bytes: $0.integer(1)) }
    let existing = try connection.rows(
      "SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolname::text = ANY($1)", .texts(Self.roles)
    ) { $0.text(0) }
    return DatabaseStatus(
      database: database, engine: "PostgreSQL \(about?.version ?? "")", version: applied.map(\.number).max() ?? 0,
      pending: pending.map(\.file), bytes: about?.bytes ?? 0, tables: try tables(),
      roles: Self.roles.map { DatabaseStatus.Role(name: $0, exists: existing.contains($0)) })
  }

  private func tables() throws -> [DatabaseStatus.Table] {
    let known = try connection.rows(
      """
      SELECT c.relname::text, c.reltuples::float8, pg_relation_size(c.oid), pg_total_relation_size(c.oid),
        has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = 'steerscope' AND c.relkind = 'r' ORDER BY c.relname
      """
    ) { (name: $0.text(0), estimate: $0.real(1), size: $0.integer(2), bytes: $0.integer(3), mayRead: $0.flag(4)) }
    return try known.map { table in
      guard table.mayRead, table.size <= Self.countable || table.estimate < 0 else {
        return DatabaseStatus.Table(
          name: table.name, rows: table.estimate < 0 ? nil : Int(table.estimate), isEstimate: true, bytes: table.bytes)
      }
      let name = PostgreSQLConnection.quoted(table.name)
      let rows = try connection.first("SELECT count(*) FROM steerscope.\(name)") { $0.integer(0) }
      return DatabaseStatus.Table(name: table.name, rows: rows, isEstimate: false, bytes: table.bytes)
    }
  }
}
