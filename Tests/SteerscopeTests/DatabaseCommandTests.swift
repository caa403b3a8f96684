import Foundation
import TestServers
import Testing

/// `database migrate` and `database status`, from the command line.
@Suite struct DatabaseCommandTests {
  @Test func `a SQLite file is made once, and described`() async throws {
    try await Program.inFolder { program in
      let environment = ["STEERSCOPE_DATABASE": "sqlite:made.db"]
      let missing = try program("database", "status", environment: environment)
      #expect(missing.status == 2 && missing.error?.contains("made.db") == true, "\(missing.words)")
      let made = try program("database", "migrate", environment: environment)
      #expect(made.status == 0 && made.words.contains("applied migration_0001_initial_sqlite.sql"), "\(made.words)")
      let again = try program("database", "migrate", environment: environment)
      #expect(again.status == 0 && again.words.contains("as before"), "\(again.words)")
      let table = try program("database", "status", environment: environment)
      #expect(table.status == 0 && table.result.contains("up to date") && table.result.contains("evaluation_question"))
      let json = try program("database", "status", "--format", "json", environment: environment).json()
      #expect(json["version"] as? Int == 3 && (json["pending"] as? [String])?.isEmpty == true)
      #expect((json["tables"] as? [[String: Any]])?.contains { $0["name"] as? String == "sweep" } == true)
    }
  }

  @Test func `a PostgreSQL database is migrated by command only`() async throws {
    let uri = try await TestServers.postgreSQL().freshDatabase()
    try await Program.inFolder { program in
      let environment = ["STEERSCOPE_DATABASE": uri]
      let early = try program("query", "SELECT 1", environment: environment)
      #expect(early.status == 2 && early.error?.contains("steerscope database migrate") == true, "\(early.words)")
      let before = try program("database", "status", environment: environment)
      #expect(before.status == 0 && before.result.contains("lacks migration_0001"), "\(before.result) \(before.words)")
      let made = try program("database", "migrate", environment: environment)
      #expect(made.status == 0 && made.words.contains("migration_0003_worker_memory_postgresql.sql"), "\(made.words)")
      let csv = try program("database", "status", "--format", "csv", environment: environment)
      #expect(csv.result.contains("\nsweep,0,0,"), "\(csv.result)")
      let query = try program(
        "query", "SELECT count(*) AS n FROM faithfulness", "--format", "csv", environment: environment)
      #expect(query.status == 0 && query.result == "n\n0\n", "\(query.words)")
      let said = [early, before, made, csv, query].map { $0.result + $0.words }.joined()
      let password = URLComponents(string: uri)?.password ?? ""
      #expect(!password.isEmpty && !said.contains(password))
    }
  }
}
