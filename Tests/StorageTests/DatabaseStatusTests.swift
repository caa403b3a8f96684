import Diagnostics
import Foundation
import Schemas
import SweepRecords
import TestServers
import Testing

@testable import Storage

/// What `database migrate` and `database status` say.
@Suite struct DatabaseStatusTests {
  @Test func `a SQLite file is made, and looked at`() async throws {
    let fixture = try StoreFixture()
    let locator = StoreLocator.sqlite(path: fixture.path)
    await #expect(throws: InputError.self) { try await locator.status() }
    #expect(try await locator.migrate() == Schemas.sqliteMigrations.map(\.file))
    #expect(try await locator.migrate() == [])
    let store = try SQLiteStore(path: fixture.path)
    _ = try await store.submit(SweepSubmission("a", inputs: [[1], [2]]))
    let status = try await locator.status()
    #expect(status.database == fixture.path && status.engine.hasPrefix("SQLite 3."))
    #expect(status.version == Schemas.sqliteMigrations.count && status.pending.isEmpty && status.roles.isEmpty)
    #expect(status.bytes > 0)
    let rows = Dictionary(uniqueKeysWithValues: status.tables.map { ($0.name, $0.rows) })
    #expect(Set(rows.keys) == Set(SQLiteSchemaText().tables.keys).union(["schema_migration"]))
    #expect(rows["sweep"] == 1 && rows["artifact"] == 2 && rows["task"] == 0)
  }

  @Test func `a PostgreSQL database is told from the first migration on`() async throws {
    let database = try await TestDatabase(on: "roles")
    let locator = StoreLocator.postgresql(uri: database.uri())
    var status = try await locator.status()
    #expect(status.version == 0 && status.pending == Schemas.postgresqlMigrations.map(\.file) && status.tables.isEmpty)
    #expect(status.engine.hasPrefix("PostgreSQL 1") && status.bytes > 0)
    #expect(!"\(status)".contains(database.server.password))
    #expect(status.roles.count == 4)
    try await database.migrate { $0.migrations = Array($0.migrations.prefix(1)) }
    status = try await locator.status()
    #expect(status.version == 1 && status.pending == Array(Schemas.postgresqlMigrations.map(\.file).dropFirst()))
    #expect(try await locator.migrate() == status.pending)
    let store = try PostgreSQLStore(uri: database.uri())
    _ = try await store.submit(SweepSubmission("a", inputs: [[1], [2]]))
    status = try await locator.status()
    #expect(status.version == Schemas.postgresqlMigrations.count && status.pending.isEmpty)
    let rows = Dictionary(uniqueKeysWithValues: status.tables.map { ($0.name, $0.rows) })
    #expect(Set(rows.keys) == Set(SQLiteSchemaText().tables.keys).union(["schema_migration"]))
    #expect(rows["sweep"] == 1 && rows["artifact"] == 2 && rows["task"] == 0)
    #expect(status.tables.allSatisfy { !$0.isEstimate && ($0.bytes ?? 0) > 0 })
  }
}
