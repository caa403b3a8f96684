import Foundation
import Schemas
import SweepRecords
import TestServers
import Testing

@testable import Storage

/// The files under `schemas/`, and that both databases have the same schema.
@Suite struct SchemasTests {
  private let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../../schemas")

  @Test(arguments: ["sqlite", "postgresql"]) func `the list of migrations is the folder's`(database: String) throws {
    let migrations = database == "sqlite" ? Schemas.sqliteMigrations : Schemas.postgresqlMigrations
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.path)
      .filter { $0.hasPrefix("migration_") && $0.hasSuffix("_\(database).sql") }.sorted()
    #expect(files == migrations.map(\.file))
    for migration in migrations {
      #expect(try String(contentsOf: folder.appending(path: migration.file), encoding: .utf8) == migration.sql)
      #expect(Int(migration.file.split(separator: "_")[1]) == migration.number)
    }
    let grants = try String(contentsOf: folder.appending(path: "grants_postgresql.sql"), encoding: .utf8)
    #expect(grants == Schemas.postgresqlGrants)
  }

  @Test func `every table, column and view carries a comment`() {
    let text = SQLiteSchemaText()
    #expect(text.tables.count >= 22 && text.views.count >= 9)
    for (name, table) in text.tables {
      #expect(!table.comment.isEmpty, "\(name)")
      for column in table.columns { #expect(!column.comment.isEmpty, "\(name).\(column.name)") }
    }
    for (name, comment) in text.views { #expect(comment.hasPrefix("One row: "), "\(name)") }
  }

  @Test func `SQLite and PostgreSQL have the same tables, columns, views and comments`() async throws {
    let database = try await TestDatabase()
    try await database.migrate()
    let text = SQLiteSchemaText()
    let fixture = try StoreFixture()
    let sqlite = try SQLiteStore(path: fixture.path)

    // The text is what SQLite made of it.
    let names = try await sqlite.table(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name")
    let ours = names.filter { $0 != "schema_migration" }
    #expect(ours == text.tables.keys.sorted())
    for name in ours {
      let columns = try await sqlite.table("SELECT name FROM pragma_table_info('\(name)') ORDER BY cid")
      #expect(columns == text.tables[name]?.columns.map(\.name))
    }

    let relations = try await database.table(
      """
      SELECT c.relkind, c.relname, coalesce(obj_description(c.oid, 'pg_class'), '') FROM pg_class c
      WHERE c.relnamespace = 'steerscope'::regnamespace AND c.relkind IN ('r', 'v') ORDER BY c.relname
      """)
    let tables = relations.filter { $0.hasPrefix("r|") && !$0.hasPrefix("r|schema_migration|") }
    #expect(tables == ours.map { "r|\($0)|\(text.tables[$0]?.comment ?? "")" })
    let views = relations.filter { $0.hasPrefix("v|") }
    #expect(views == text.views.keys.sorted().map { "v|\($0)|\(text.views[$0] ?? "")" })

    for name in ours + text.views.keys {
      let columns = try await database.table(
        """
        SELECT attname, coalesce(col_description(attrelid, attnum), '') FROM pg_attribute
        WHERE attrelid = 'steerscope.\(name)'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
        """)
      if let table = text.tables[name] {
        #expect(columns == table.columns.map { "\($0.name)|\($0.comment)" }, "\(name)")
      } else {
        let same = try await sqlite.table("SELECT name FROM pragma_table_info('\(name)') ORDER BY cid")
        let parts = columns.map { $0.split(separator: "|", maxSplits: 1, omittingEmptySubsequences: false) }
        #expect(parts.map { String($0[0]) } == same, "\(name)")
        for part in parts { #expect(part.last?.isEmpty == false, "\(name).\(part[0]) has no comment") }
      }
    }
  }

  @Test func `what can be null, and what is a number, is so in both`() async throws {
    let database = try await TestDatabase()
    try await database.migrate()
    let fixture = try StoreFixture()
    let sqlite = try SQLiteStore(path: fixture.path)
    let kinds = [
      "bigint": "INTEGER", "double precision": "REAL", "timestamp with time zone": "REAL", "text": "TEXT",
      "bytea": "BLOB",
    ]
    for name in SQLiteSchemaText().tables.keys.sorted() {
      let columns = try await database.table(
        """
        SELECT attname, format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 1 ELSE 0 END FROM pg_attribute
        WHERE attrelid = 'steerscope.\(name)'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
        """
      ).map { row in
        let cells = row.split(separator: "|").map(String.init)
        return "\(cells[0])|\(kinds[cells[1]] ?? cells[1])|\(cells[2])"
      }
      // A key is never null, whether SQLite says so or not.
      let same = try await sqlite.table(
        "SELECT name, type, max(\"notnull\", pk > 0) FROM pragma_table_info('\(name)') ORDER BY cid")
      #expect(columns == same, "\(name)")
    }
  }
}
