internal import CSQLite
internal import Diagnostics
internal import Schemas
internal import SweepRecords

/// Brings a SQLite file's schema up to date, once, however many processes try at the same time.
struct SQLiteMigrator {
  var path: String
  var now: Double
  var migrations = Schemas.sqliteMigrations

  /// `STSC`: what the file's header says it is for.
  private static let application = 0x5354_5343

  func migrate(_ db: inout SQLiteConnection) throws {
    try requireOurs(&db)
    try useWriteAheadLog(&db)
    try db.execute(
      """
      PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -65536;
      PRAGMA journal_size_limit = 67108864;
      """)
    if try pending(&db).isEmpty { return }
    try db.write { db in
      try db.execute(
        """
        -- The migrations that made this schema.
        CREATE TABLE IF NOT EXISTS schema_migration (
          number INTEGER PRIMARY KEY, -- 1, 2, 3 ...
          name TEXT NOT NULL, -- the file's name
          checksum TEXT NOT NULL, -- SHA-256 of its text
          applied_at REAL NOT NULL -- when, in seconds since 1970
        ) STRICT;
        PRAGMA application_id = \(Self.application);
        """)
      // Whoever had the lock before may have done it.
      for migration in try pending(&db) {
        try db.execute(migration.sql)
        try db.run(
          "INSERT INTO schema_migration (number, name, checksum, applied_at) VALUES (?, ?, ?, ?)",
          SQLValue(migration.number),
          SQLValue(migration.file), SQLValue(migration.checksum), SQLValue(now))
      }
    }
  }

  /// The last migration of a file; 0 where it has had none.
  static func version(of path: String) throws -> Int {
    var db = try SQLiteConnection(path: path, access: .read, busyTimeout: 1000)
    guard try db.exists("SELECT 1 FROM sqlite_schema WHERE name = 'schema_migration'") else { return 0 }
    return try db.first("SELECT max(number) FROM schema_migration") { $0.integer(0) } ?? 0
  }

  /// Throws for a database of something else, before anything is written to it.
  private func requireOurs(_ db: inout SQLiteConnection) throws {
    let application = try db.first("PRAGMA application_id") { $0.integer(0) } ?? 0
    if application == Self.application { return }
    let tables = try db.first("SELECT count(*) FROM sqlite_schema") { $0.integer(0) } ?? 0
    if application != 0 || tables != 0 {
      // Another process may have made it ours between the two looks.
      if try db.first("PRAGMA application_id", read: { $0.integer(0) }) == Self.application { return }
      throw InputError(
        path, expected: "a database of steerscope's, or none yet", found: "a SQLite database of another program",
        remedy: "name another file in STEERSCOPE_DATABASE")
    }
  }

  /// Turns the write-ahead log on: readers and the writer then don't wait for each other. The mode stays with the file.
  private func useWriteAheadLog(_ db: inout SQLiteConnection) throws {
    var attempts: Int32 = 0
    while try db.first("PRAGMA journal_mode", read: { $0.text(0) }) != "wal" {
      do {
        let mode = try db.first("PRAGMA journal_mode = WAL") { $0.text(0) } ?? ""
        try requireWriteAheadLog(mode)
      } catch let failure as SQLiteFailure where failure.isBusy && attempts < Self.mostAttempts {
        // Whoever writes to the file keeps the mode as it is, and SQLite's own waiting does not cover this statement then.
        attempts += 1
        sqlite3_sleep(Self.pause)
      }
    }
  }

  /// Milliseconds between attempts, and as many of them as take as long as connections wait for a lock.
  private static let pause: Int32 = 10
  private static let mostAttempts = SQLiteConnection.busyTimeout / pause

  private func requireWriteAheadLog(_ mode: String) throws {
    guard mode == "wal" else {
      throw InputError(
        path, expected: "a file system that offers shared memory for SQLite's write-ahead log",
        found: "journal mode \(mode)",
        remedy: "put the database on a local disk")
    }
  }

  /// The migrations that the file lacks. Throws when it has others than we know.
  private func pending(_ db: inout SQLiteConnection) throws -> [Schemas.Migration] {
    guard try db.exists("SELECT 1 FROM sqlite_schema WHERE name = 'schema_migration'") else { return migrations }
    let applied = try db.rows("SELECT number, name, checksum FROM schema_migration ORDER BY number") {
      AppliedMigration(number: $0.integer(0), name: $0.text(1), checksum: $0.text(2))
    }
    return try AppliedMigration.pending(of: migrations, after: applied, in: path)
  }
}
