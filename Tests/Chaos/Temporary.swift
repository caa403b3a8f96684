@testable import Storage
func temporaryMigrate(_ uri: String) async throws {
  let session = PostgreSQLSession(try PostgreSQLAddress(parsing: uri), PostgreSQLSettings()) { _ in }
  _ = try await session.perform { db in try PostgreSQLMigrator(db).migrate() }
}
