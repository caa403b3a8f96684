import Diagnostics
import Foundation
import Schemas
import TestServers
import Testing

@testable import Storage

/// A database of its own on the tests' server, and connections to it that block no test.
struct TestDatabase {
  let server: TestPostgreSQL
  let name: String

  /// - Parameter server: tests that make roles, which all databases of a server share, name one of their own.
  init(on server: String = "shared") async throws {
    self.server = try await TestServers.postgreSQL(server)
    name = try await self.server.freshDatabaseName()
  }

  /// Runs something on a new connection: the superuser's, or a role's with the password that the tests gave it.
  func perform<T: Sendable>(
    as role: String? = nil, _ body: @Sendable (PostgreSQLConnection) throws -> T
  ) async throws -> T {
    let session = PostgreSQLSession(try PostgreSQLAddress(parsing: uri(role)), PostgreSQLSettings()) { _ in }
    return try await session.perform(body)
  }

  func uri(_ role: String? = nil) -> String {
    server.uri(database: name, user: role, password: role.map { "password of \($0)".filter { $0 != " " } })
  }

  @discardableResult
  func migrate(
    as role: String? = nil, _ change: @Sendable (inout PostgreSQLMigrator) -> Void = { _ in }
  ) async throws -> [String] {
    try await perform(as: role) { connection in
      var migrator = PostgreSQLMigrator(connection)
      change(&migrator)
      return try migrator.migrate()
    }
  }

  func check(
    as role: String? = nil, _ change: @Sendable (inout PostgreSQLMigrator) -> Void = { _ in }
  ) async throws {
    try await perform(as: role) { connection in
      var migrator = PostgreSQLMigrator(connection)
      change(&migrator)
      try migrator.check()
    }
  }

  /// The rows of a statement, cells parted by `|`.
  func table(_ sql: String, as role: String? = nil) async throws -> [String] {
    try await perform(as: role) { connection in
      let cells = "ARRAY(SELECT coalesce(value, '-') FROM json_each_text(row_to_json(t)))"
      return try connection.rows("SELECT concat_ws('|', VARIADIC \(cells)) FROM (\(sql)) t") { $0.text(0) }
    }
  }
}

/// What brings a PostgreSQL database to its schema.
@Suite struct PostgreSQLMigratorTests {
  private let files = Schemas.postgresqlMigrations.map(\.file)

  @Test func `an empty database becomes ours, once, whoever tries`() async throws {
    let database = try await TestDatabase()
    let applied = try await withThrowingTaskGroup(of: [String].self) { group in
      for _ in 0..<6 { group.addTask { try await database.migrate() } }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    #expect(applied == files)
    #expect(try await database.migrate() == [])
    try await database.check()
    let rows = try await database.table("SELECT number, name, checksum FROM steerscope.schema_migration ORDER BY 1")
    #expect(rows == Schemas.postgresqlMigrations.map { "\($0.number)|\($0.file)|\($0.checksum)" })
    #expect(try await database.table("SELECT count(*) FROM steerscope.leader") == ["1"])
  }

  @Test func `a migration waits for another, not for ever`() async throws {
    let database = try await TestDatabase()
    // Holds what a migrator holds, as another process of it would.
    let other = PostgreSQLSession(try PostgreSQLAddress(parsing: database.uri()), PostgreSQLSettings()) { _ in }
    try await other.perform { _ = try $0.run("SELECT pg_advisory_lock(x'5354454552534350'::bigint)") }
    await #expect {
      try await database.migrate { $0.lockTimeout = 1 }
    } throws: {
      ($0 as? StoreError)?.code == .busy && "\($0)".contains("another migration is under way")
    }
    async let waiting = database.migrate()
    try await Task.sleep(for: .milliseconds(100))
    await other.close()
    #expect(try await waiting == files)
  }

  @Test func `a database without the schema, or with an older one, is named`() async throws {
    let database = try await TestDatabase()
    func refusal() async throws -> InputError? {
      await #expect(throws: InputError.self) { try await database.check() }
    }
    var error = try #require(await refusal())
    #expect(error.found == "none" && error.remedy.contains("steerscope database migrate") == true)
    #expect(!"\(error)".contains(database.server.password))
    try await database.migrate { $0.migrations = Array($0.migrations.prefix(1)) }
    error = try #require(await refusal())
    #expect(error.found == "version 1" && error.remedy.contains("steerscope database migrate") == true)
    #expect(try await database.migrate() == Array(files.dropFirst()))
    try await database.check()
  }

  @Test func `a newer schema or a changed migration is refused`() async throws {
    let database = try await TestDatabase()
    try await database.migrate()
    let later = files.count + 1
    try await database.perform {
      _ = try $0.run("INSERT INTO steerscope.schema_migration VALUES (\(later), 'later', '', now())")
    }
    for attempt in [{ try await database.check() }, { _ = try await database.migrate() }] {
      let error = await #expect(throws: InputError.self) { try await attempt() }
      #expect(error?.found == "version \(later) (later)")
    }
    try await database.perform {
      _ = try $0.run("DELETE FROM steerscope.schema_migration WHERE name = 'later'")
      _ = try $0.run("UPDATE steerscope.schema_migration SET checksum = 'other' WHERE number = 1")
    }
    for attempt in [{ try await database.check() }, { _ = try await database.migrate() }] {
      let error = await #expect(throws: InputError.self) { try await attempt() }
      #expect(error?.found.contains("another content") == true)
    }
  }

  @Test func `a migration that fails leaves the schema before it`() async throws {
    let database = try await TestDatabase()
    try await database.migrate()
    let tables = "SELECT relname FROM pg_class WHERE relnamespace = 'steerscope'::regnamespace ORDER BY 1"
    let before = try await database.table(tables)
    let next = files.count + 1
    let bad = Schemas.Migration(
      number: next, file: "bad.sql", sql: "CREATE TABLE steerscope.half (a int); CREATE TABLE steerscope.sweep (a int);"
    )
    let error = await #expect(throws: StoreError.self) { try await database.migrate { $0.migrations.append(bad) } }
    #expect(error?.message.contains("bad.sql") == true && error?.isTransient == false)
    #expect(try await database.table(tables) == before)
    let good = Schemas.Migration(number: next, file: "good.sql", sql: "CREATE TABLE steerscope.whole (a int);")
    #expect(try await database.migrate { $0.migrations.append(good) } == ["good.sql"])
    try await database.check { $0.migrations.append(good) }
  }

  @Test func `a database in another encoding is refused`() async throws {
    let server = try await TestServers.postgreSQL()
    let name = "test_\(UUID().uuidString.prefix(8).lowercased())_ascii"
    try await server.sql("CREATE DATABASE \(name) ENCODING SQL_ASCII LOCALE 'C' TEMPLATE template0")
    let session = PostgreSQLSession(
      try PostgreSQLAddress(parsing: server.uri(database: name)), PostgreSQLSettings()
    ) { _ in }
    let error = await #expect(throws: InputError.self) {
      try await session.perform { try PostgreSQLMigrator($0).migrate() }
    }
    #expect(error?.found == "SQL_ASCII")
  }
}
