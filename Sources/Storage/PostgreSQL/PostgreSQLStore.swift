package import Diagnostics
internal import SweepRecords

/// The store of a cluster: a PostgreSQL database, every commit on its disk before it returns.
///
/// Calls run on a few connections of their own threads; heartbeats and the leader's renewals on one that nothing else
/// can delay; people's queries on a third. Its work is spread over files by concern, and
/// `PostgreSQLStore+Locks.swift` says why calls that run at the same time don't harm one another.
package final class PostgreSQLStore: ResultStore {
  /// Where it is, for people: without password.
  package let address: PostgreSQLAddress
  let settings: PostgreSQLSettings
  private let pool: PostgreSQLPool
  private let pulse: PostgreSQLSession
  private let reader: PostgreSQLReader

  /// Connects when it is first asked for something. Throws `InputError` for a URI that can't be one.
  package init(uri: String, settings: PostgreSQLSettings = .init()) throws(InputError) {
    let address = try PostgreSQLAddress(parsing: uri)
    self.address = address
    self.settings = settings
    let check: @Sendable (PostgreSQLConnection) throws -> Void = { try PostgreSQLMigrator($0).check() }
    pool = PostgreSQLPool((0..<settings.connections).map { _ in PostgreSQLSession(address, settings, check: check) })
    var hasty = settings
    hasty.statementTimeout = min(settings.statementTimeout, 15)
    hasty.lockTimeout = max(1, settings.lockTimeout / 4)
    pulse = PostgreSQLSession(address, hasty, check: check)
    reader = PostgreSQLReader(PostgreSQLSession(address, settings, check: check))
  }

  /// Makes sure that the server can be reached and has the schema of this program. Throws `InputError` for what a person
  /// must mend, else a transient `StoreError`.
  package func connect() async throws { _ = try await now() }

  /// Closes all connections; calls after that open new ones.
  package func close() async {
    await pool.close()
    await pulse.close()
    await reader.close()
  }

  // MARK: Doing

  /// One transaction; `now` is the SQL that tells its time.
  func writing<T: Sendable>(_ body: @Sendable (PostgreSQLConnection, _ now: String) throws -> T) async throws -> T {
    let now = clock
    return try await pool.perform { try $0.write { try body($0, now) } }
  }

  /// One statement, and so one transaction.
  func saying<T: Sendable>(_ body: @Sendable (PostgreSQLConnection, _ now: String) throws -> T) async throws -> T {
    let now = clock
    return try await pool.perform { try body($0, now) }
  }

  /// Several reads on one state of the database.
  func reading<T: Sendable>(_ body: @Sendable (PostgreSQLConnection, _ now: String) throws -> T) async throws -> T {
    let now = clock
    return try await pool.perform { try $0.read { try body($0, now) } }
  }

  /// One short statement on the connection that nothing else delays.
  func pulsing<T: Sendable>(_ body: @Sendable (PostgreSQLConnection, _ now: String) throws -> T) async throws -> T {
    let now = clock
    return try await pulse.perform { try body($0, now) }
  }

  // MARK: Time

  /// The SQL of the present time: when the transaction began. What waits for locks after that is early, never late:
  /// leases end sooner, and are taken away later.
  private var clock: String {
    switch settings.clock {
    case .server: "now()"
    case .told(let seconds): "to_timestamp(\(seconds()))"
    }
  }

  /// The SQL of the time since which the server has been up: leases could not be renewed before.
  var serverStart: String {
    switch settings.clock {
    case .server: "pg_postmaster_start_time()"
    case .told: "'-infinity'::timestamptz"
    }
  }

  package func now() async throws -> Double {
    try await saying { db, now in try db.first("SELECT extract(epoch FROM \(now))::float8") { $0.real(0) } ?? 0 }
  }

  // MARK: The schema

  package func schemaVersion() async throws -> Int {
    try await saying { db, _ in
      try db.first("SELECT coalesce(max(number), 0)::bigint FROM schema_migration") { $0.integer(0) } ?? 0
    }
  }

  // MARK: People's SQL

  package func query(_ sql: String, limits: QueryLimits) async throws -> QueryResult {
    try await reader.query(sql, limits: limits)
  }
}
