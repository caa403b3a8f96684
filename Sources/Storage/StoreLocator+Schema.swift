internal import Foundation
internal import Schemas

/// What `database migrate` and `database status` do.
extension StoreLocator {
  /// Brings the schema up to date, and makes it where there is none (a SQLite file too). Returns the files of the
  /// migrations that it took. Throws `InputError` or `StoreError`.
  package func migrate() async throws -> [String] {
    switch self {
    case .sqlite(let path):
      let before = FileManager.default.fileExists(atPath: path) ? try SQLiteMigrator.version(of: path) : 0
      _ = try SQLiteStore(path: path, creating: true)
      return Schemas.sqliteMigrations.filter { $0.number > before }.map(\.file)
    case .postgresql(let uri):
      return try await session(uri).perform { try PostgreSQLMigrator($0).migrate() }
    }
  }

  /// Looks at the schema and its tables. (A SQLite file is brought up to date by being opened.)
  package func status() async throws -> DatabaseStatus {
    switch self {
    case .sqlite(let path): try await SQLiteStore(path: path, creating: false).databaseStatus()
    case .postgresql(let uri): try await session(uri).perform { try PostgreSQLInspection($0).status() }
    }
  }

  /// A connection that asks for no schema.
  private func session(_ uri: String) throws -> PostgreSQLSession {
    PostgreSQLSession(try PostgreSQLAddress(parsing: uri), PostgreSQLSettings()) { _ in }
  }
}
