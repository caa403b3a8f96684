internal import Diagnostics
internal import Foundation
internal import SweepRecords

/// The store of one machine: a SQLite file in WAL mode, every commit on the disk before it returns.
///
/// Any number of processes may have the file open; SQLite lets one write at a time. Its work is spread over files by
/// concern.
package actor SQLiteStore: ResultStore {
  /// The database file.
  package nonisolated let path: String
  /// Seconds since 1970: the database's time.
  let clock: @Sendable () -> Double
  var connection: SQLiteConnection
  /// The columns of result tables, looked up once.
  var resultColumns: [ResultTable: Set<String>] = [:]

  private nonisolated let executor = BlockingExecutor(label: "steerscope.sqlite")
  private nonisolated let reader: SQLiteReader
  package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  /// The time of this machine.
  package static let systemClock: @Sendable () -> Double = { Date().timeIntervalSince1970 }

  /// Opens a database, makes it where it is missing and `creating` allows it, and brings its schema up to date.
  /// Throws `InputError` for a file that can't be one, `StoreError` for a disk or lock that fails.
  package init(path: String, creating: Bool = true, clock: @escaping @Sendable () -> Double = systemClock) throws {
    self.path = path
    self.clock = clock
    reader = SQLiteReader(path: path)
    do {
      if !creating, !FileManager.default.fileExists(atPath: path) {
        throw InputError(
          path, expected: "a database", found: "no such file",
          remedy: "set STEERSCOPE_DATABASE to where it is, or start with `steerscope run`")
      }
      try Self.requireDatabaseOrNothing(path)
      connection = try SQLiteConnection(
        path: path, access: .write(creating: creating), busyTimeout: SQLiteConnection.busyTimeout)
      try SQLiteMigrator(path: path, now: clock()).migrate(&connection)
    } catch let failure as SQLiteFailure {
      throw Self.openingError(failure, path: path)
    }
  }

  /// Throws for a file too short to be a database: SQLite takes it for an empty one and writes over it. It sees all
  /// others itself. (To open and close the file here would drop the locks that other connections of this process have
  /// on it.)
  private static func requireDatabaseOrNothing(_ path: String) throws {
    var status = stat()
    guard stat(path, &status) == 0 else { return }
    let size = status.st_size
    guard size > 0, size < 512 else { return }
    throw InputError(
      path, expected: "a SQLite database", found: "a file of \(size) bytes",
      remedy: "name another in STEERSCOPE_DATABASE")
  }

  /// What a file that can't be opened means to whoever named it.
  private static func openingError(_ failure: SQLiteFailure, path: String) -> any Error {
    let error = failure.asStoreError(path: path)
    return switch error.code {
    case .damaged:
      InputError(
        path, expected: "a SQLite database", found: failure.message,
        remedy: "name another file in STEERSCOPE_DATABASE, or restore this one")
    case .io:
      InputError(
        path, expected: "a database file that can be opened and written", found: failure.message,
        remedy: "check that its folder exists and may be written")
    default: error
    }
  }

  /// A write transaction, with the time at its start.
  func writing<T>(_ body: (inout SQLiteConnection, _ now: Double) throws -> T) throws -> T {
    do {
      return try connection.write { try body(&$0, clock()) }
    } catch let failure as SQLiteFailure {
      throw failure.asStoreError(path: path)
    }
  }

  /// Reads on one state of the database, with the time at its start.
  func reading<T>(_ body: (inout SQLiteConnection, _ now: Double) throws -> T) throws -> T {
    do {
      return try connection.read { try body(&$0, clock()) }
    } catch let failure as SQLiteFailure {
      throw failure.asStoreError(path: path)
    }
  }

  package func now() -> Double { clock() }

  package func schemaVersion() throws -> Int {
    try reading { db, _ in try db.first("SELECT max(number) FROM schema_migration") { $0.integer(0) } ?? 0 }
  }

  package nonisolated func query(_ sql: String, limits: QueryLimits) async throws -> QueryResult {
    try await reader.query(sql, limits: limits)
  }
}
