/// What lies in this folder, embedded, so that the binary needs no file beside it.
package enum Schemas {
  /// A numbered step of a database's schema. Never changed once released; new ones are added.
  package struct Migration: Sendable, Equatable {
    /// 1, 2, 3 ...
    package var number: Int
    /// The file's name.
    package var file: String
    package var sql: String

    package init(number: Int, file: String, sql: String) {
      self.number = number
      self.file = file
      self.sql = sql
    }
  }

  /// The migrations of SQLite, in order.
  package static var sqliteMigrations: [Migration] {
    numbered([
      ("migration_0001_initial_sqlite.sql", PackageResources.migration_0001_initial_sqlite_sql),
      ("migration_0002_problems_sqlite.sql", PackageResources.migration_0002_problems_sqlite_sql),
      ("migration_0003_worker_memory_sqlite.sql", PackageResources.migration_0003_worker_memory_sqlite_sql),
    ])
  }

  /// The migrations of PostgreSQL, in order: the same numbers as SQLite's, for the same schema.
  package static var postgresqlMigrations: [Migration] {
    numbered([
      ("migration_0001_initial_postgresql.sql", PackageResources.migration_0001_initial_postgresql_sql),
      ("migration_0002_problems_postgresql.sql", PackageResources.migration_0002_problems_postgresql_sql),
      ("migration_0003_worker_memory_postgresql.sql", PackageResources.migration_0003_worker_memory_postgresql_sql),
    ])
  }

  /// What PostgreSQL's roles may do; applied after every migration.
  package static var postgresqlGrants: String {
    String(decoding: PackageResources.grants_postgresql_sql, as: UTF8.self)
  }

  private static func numbered(_ files: [(name: String, bytes: [UInt8])]) -> [Migration] {
    files.enumerated().map { offset, file in
      Migration(number: offset + 1, file: file.name, sql: String(decoding: file.bytes, as: UTF8.self))
    }
  }
}
