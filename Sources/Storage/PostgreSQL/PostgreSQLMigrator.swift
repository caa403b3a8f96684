internal import Diagnostics
internal import Schemas

/// Brings the schema of a PostgreSQL database up to date, once, however many processes try at the same time; says
/// whether it is. Every other part of the program only checks.
struct PostgreSQLMigrator {
  let connection: PostgreSQLConnection
  /// In order, numbered from 1.
  var migrations = Schemas.postgresqlMigrations
  var grants = Schemas.postgresqlGrants
  /// Seconds to wait for another migrator, and for tables that others use.
  var lockTimeout = 60

  /// The key of the advisory lock that a migrator holds: "STEERSCP".
  private static let lock: Int64 = 0x5354_4545_5253_4350

  init(_ connection: PostgreSQLConnection) { self.connection = connection }

  private var database: String { "\(connection.address)" }

  // MARK: Checking

  /// The migrations that the database has had; nil where it has no schema of ours.
  func applied() throws -> [AppliedMigration]? {
    // The catalogue tells everyone, also whom the schema is closed to.
    let isThere = try connection.exists(
      """
      SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = 'steerscope' AND c.relname = 'schema_migration'
      """)
    guard isThere else { return nil }
    do {
      return try connection.rows("SELECT number, name, checksum FROM steerscope.schema_migration ORDER BY number") {
        AppliedMigration(number: $0.integer(0), name: $0.text(1), checksum: $0.text(2))
      }
    } catch let failure as PostgreSQLFailure where failure.state == Self.insufficientPrivilege {
      throw InputError(
        database, expected: "a role that may use schema steerscope", found: failure.message,
        remedy: "run ops/postgres/roles.sql and then `steerscope database migrate` as steerscope_owner")
    }
  }

  /// Throws `InputError` unless the schema is the one that this program was made for.
  func check() throws {
    let applied = try applied()
    let pending = try AppliedMigration.pending(of: migrations, after: applied ?? [], in: database)
    if pending.isEmpty { return }
    throw InputError(
      database, expected: "a schema of version \(migrations.count)",
      found: applied.map { "version \($0.map(\.number).max() ?? 0)" } ?? "none",
      remedy: "run `steerscope database migrate` as steerscope_owner")
  }

  // MARK: Migrating

  /// Runs the migrations that the database lacks, each in a transaction of its own, and then grants the roles' rights.
  /// Returns the files' names. Throws, with the schema after the last whole migration, when one fails.
  func migrate() throws -> [String] {
    try requireServer()
    // For the session: the lock outlives each of the transactions.
    try connection.execute("SET lock_timeout = '\(lockTimeout)s'; SET statement_timeout = 0")
    do {
      _ = try connection.run("SELECT pg_advisory_lock($1)", .integer(Self.lock))
    } catch let failure as PostgreSQLFailure where failure.state == Self.lockNotAvailable {
      throw StoreError(.busy, "\(database): another migration is under way for more than \(lockTimeout) s")
    }
    defer { _ = try? connection.run("SELECT pg_advisory_unlock($1)", .integer(Self.lock)) }
    try prepare()
    defer { _ = try? connection.execute("RESET ROLE") }
    let pending = try AppliedMigration.pending(of: migrations, after: applied() ?? [], in: database)
    for migration in pending { try apply(migration) }
    try connection.write { try $0.execute(grants) }
    return pending.map(\.file)
  }

  private static let insufficientPrivilege = "42501"
  private static let lockNotAvailable = "55P03"

  /// Throws unless server and database can hold the schema.
  private func requireServer() throws {
    let version = try connection.first("SELECT current_setting('server_version_num')::bigint") { $0.integer(0) } ?? 0
    guard version >= 150_000 else {
      throw InputError(
        database, expected: "PostgreSQL 15 or later", found: "version \(version / 10_000)",
        remedy: "use a newer server")
    }
    let encoding = try connection.first("SELECT current_setting('server_encoding')") { $0.text(0) } ?? ""
    guard encoding == "UTF8" else {
      throw InputError(
        database, expected: "a database in UTF-8", found: encoding,
        remedy: "make one with: createdb --encoding=UTF8 --template=template0 NAME")
    }
  }

  /// Makes schema and migration table where they are missing, and goes on as the schema's owner, so that everything
  /// belongs to one role whoever migrates.
  private func prepare() throws {
    do {
      try makeSchema()
      try becomeOwner()
      try connection.write { connection in
        try connection.execute(
          """
          CREATE TABLE IF NOT EXISTS steerscope.schema_migration (
            number bigint PRIMARY KEY,
            name text COLLATE "C" NOT NULL,
            checksum text COLLATE "C" NOT NULL,
            applied_at timestamptz NOT NULL
          );
          COMMENT ON TABLE steerscope.schema_migration IS 'The migrations that made this schema.';
          COMMENT ON COLUMN steerscope.schema_migration.number IS '1, 2, 3 ...';
          COMMENT ON COLUMN steerscope.schema_migration.name IS 'the file''s name';
          COMMENT ON COLUMN steerscope.schema_migration.checksum IS 'SHA-256 of its text';
          COMMENT ON COLUMN steerscope.schema_migration.applied_at IS 'when';
          """)
      }
    } catch let failure as PostgreSQLFailure where failure.state == Self.insufficientPrivilege {
      throw InputError(
        database, expected: "a role that owns schema steerscope, or may create it", found: failure.message,
        remedy: "run ops/postgres/roles.sql as a superuser, then this as steerscope_owner")
    }
  }

  private func makeSchema() throws {
    if try connection.exists("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = 'steerscope'") { return }
    let hasOwner = try connection.exists(
      """
      SELECT 1 FROM pg_catalog.pg_roles
      WHERE rolname = 'steerscope_owner' AND pg_has_role(current_user, oid, 'MEMBER')
      """)
    try connection.execute("CREATE SCHEMA steerscope\(hasOwner ? " AUTHORIZATION steerscope_owner" : "")")
  }

  private func becomeOwner() throws {
    let owner = try connection.first(
      """
      SELECT pg_get_userbyid(nspowner)::text, pg_has_role(current_user, nspowner, 'MEMBER')
      FROM pg_catalog.pg_namespace WHERE nspname = 'steerscope'
      """
    ) { (name: $0.text(0), isOurs: $0.flag(1)) }
    guard let owner, owner.isOurs else {
      throw PostgreSQLFailure(
        state: Self.insufficientPrivilege, message: "schema steerscope belongs to \(owner?.name ?? "nobody")")
    }
    try connection.execute("SET ROLE \(PostgreSQLConnection.quoted(owner.name))")
  }

  private func apply(_ migration: Schemas.Migration) throws {
    do {
      try connection.write { connection in
        try connection.execute(migration.sql)
        try connection.run(
          """
          INSERT INTO steerscope.schema_migration (number, name, checksum, applied_at) VALUES ($1, $2, $3, now())
          """, .integer(Int64(migration.number)), .text(migration.file), .text(migration.checksum))
      }
    } catch var failure as PostgreSQLFailure {
      failure.message = "\(migration.file): \(failure.message)"
      throw failure
    }
  }
}
