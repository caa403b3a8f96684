import Foundation
import Testing

/// Whole sweeps of the tiny model, from the command line.
@Suite struct SweepTests {
  private static let sweep = """
    name: tiny
    model: {path: \(Program.model), prompt: raw}
    activations: {sample: 512}
    behaviours:
      - {name: first, extract: pairs.json, evaluate: pairs.json, limit: 8, questions: 4}
      - {name: second, extract: pairs.json, evaluate: pairs.json, limit: 6, questions: 4}
    layers: [0, 1]
    saes:
      - {train: {widths: [64], sparsity: 8, steps: STEPS}}
    decompose: {methods: [encode, pair-difference, gradient-pursuit-signed], sparsity: [8, all]}
    steer: {coefficients: [-1, 0, 1], norms: [matched], controls: [zero-vector, {random: 1}]}
    seed: 7

    """

  private func prepare(_ program: Program, steps: Int) throws {
    try program.write(Program.pairs, to: "pairs.json")
    try program.write(Self.sweep.replacing("STEPS", with: "\(steps)"), to: "sweep.yaml")
  }

  /// All numbers that a sweep leaves, in an order that no run changes.
  private static let queries = [
    "SELECT behaviour, layer, variant, sae, method, sparsity, convention, norm, coefficient, propensity FROM steering_curve"
      + " ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9",
    "SELECT behaviour, layer, sae, method, sparsity, convention, norm, faithfulness, cosine, relative_error, l0"
      + " FROM faithfulness ORDER BY 1, 2, 3, 4, 5, 6, 7",
    "SELECT key, kind, state, title FROM task ORDER BY key",
  ]

  private func rows(_ program: Program, database: String) throws -> [String] {
    try Self.queries.map { sql in
      let output = try program(
        "query", sql, "--format", "csv", environment: ["STEERSCOPE_DATABASE": "sqlite:\(database)"])
      #expect(output.status == 0, "\(output.words)")
      #expect(output.result.split(separator: "\n").count > 10)
      return output.result
    }
  }

  @Test func killedAndContinuedGivesTheSameRows() async throws {
    try await Program.inFolder { program in
      try prepare(program, steps: 400)
      let undisturbed = try program("run", "sweep.yaml", environment: ["STEERSCOPE_DATABASE": "sqlite:whole.db"])
      #expect(undisturbed.status == 0 && undisturbed.result.contains("layer 1"), "\(undisturbed.words)")
      // Killed again and again, each time when a little more is done; whatever was finished stays.
      var kills = 0
      var done = 0
      for threshold in [1, 12, 30, 60] {
        let run = try program.start(
          ["run", "sweep.yaml", "--threads", "1"], environment: ["STEERSCOPE_DATABASE": "sqlite:killed.db"], name: "run"
        )
        while run.isRunning {
          let now = try tasksDone(program, database: "killed.db")
          #expect(now >= done)
          done = now
          if done >= threshold {
            if kill(run.processIdentifier, SIGKILL) == 0 { kills += 1 }
            break
          }
          usleep(20_000)
        }
        run.waitUntilExit()
      }
      #expect(kills > 0)
      let last = try program("run", "sweep.yaml", environment: ["STEERSCOPE_DATABASE": "sqlite:killed.db"])
      #expect(last.status == 0 && last.result == undisturbed.result, "\(last.words)")
      #expect(try rows(program, database: "killed.db") == rows(program, database: "whole.db"))
      let attempts = try program(
        "query", "SELECT task FROM task_attempt WHERE outcome = 'done' GROUP BY task HAVING COUNT(*) > 1",
        environment: ["STEERSCOPE_DATABASE": "sqlite:killed.db"])
      #expect(attempts.status == 0 && attempts.result.contains("(no rows)"), "\(attempts.words)\(attempts.result)")
    }
  }

  /// How many tasks a database has done; 0 where there is none yet.
  private func tasksDone(_ program: Program, database: String) throws -> Int {
    let status = try program("status", "--format", "json", environment: ["STEERSCOPE_DATABASE": "sqlite:\(database)"])
    guard status.status == 0 else { return 0 }
    return (try status.json()["tasks"] as? [String: Int])?["done"] ?? 0
  }

  @Test func interruptedAndRefusedWhileAnotherRuns() async throws {
    try await Program.inFolder { program in
      try prepare(program, steps: 100_000)
      let run = try program.start(["run", "sweep.yaml"], name: "run")
      for _ in 0..<100 where try !program.text("run.err").contains("progress: 0/") {
        usleep(50_000)
      }
      let second = try program("run", "sweep.yaml")
      #expect(second.status == 2 && second.words.contains("(process \(run.processIdentifier))"), "\(second.words)")
      let watched = try program("status", "--format", "json").json()
      #expect(watched["state"] as? String == "active" || watched["state"] as? String == "planning")
      kill(run.processIdentifier, SIGINT)
      run.waitUntilExit()
      #expect(run.terminationReason == .exit && run.terminationStatus == 130)
      #expect(try program.text("run.err").contains("the same command continues"))
      // No colours and no cursor movements where there is no terminal.
      #expect(try !program.text("run.err").contains("\u{1B}"))
    }
  }

  @Test func statusReportQueryExportAndDelete() async throws {
    try await Program.inFolder { program in
      try prepare(program, steps: 20)
      let plan = try program("plan", "sweep.yaml", "--format", "json").json()
      let count = try #require(plan["tasks"] as? Int)
      #expect(plan["done"] as? Int == 0 && count > 20 && !program.exists("steerscope.db"))
      #expect(try program("run", "sweep.yaml").status == 0)
      #expect(try program("plan", "sweep.yaml", "--format", "json").json()["done"] as? Int == count)
      try statuses(program, count: count)
      try queries(program)
      #expect(try program("report", "tiny", "-o", "page.html").status == 0)
      let page = try program.text("page.html")
      #expect(
        page.hasPrefix("<!") && page.contains("</html>") && page.contains("<svg") && !page.contains("<script")
          && !page.contains("src=\"http"))
      try program.write("mine", to: "file")
      #expect(try program("report", "tiny", "-o", "none/page.html").refused(naming: "none/page.html"))
      #expect(try program("export", "tiny", "-o", "file").refused(naming: "file"))
      let export = try program("export", "tiny", "-o", "out")
      #expect(export.status == 0 && program.exists("out/steering_curve.csv"), "\(export.words)")
      let vectors = try FileManager.default.contentsOfDirectory(atPath: program.path("out/vectors"))
      #expect(
        try vectors.filter { try !Tensors(program.path("out/vectors/" + $0)).names.isEmpty }.count == vectors.count)
      #expect(try program("retry", "tiny").status == 0)
      #expect(try program("watch", "tiny").status == 0)
      #expect(try program("delete", "tiny").status == 0)
      #expect(try program("delete", "tiny").refused(naming: "sweep \"tiny\""))
    }
  }

  private func statuses(_ program: Program, count: Int) throws {
    let status = try program("status", "tiny", "--format", "json").json()
    #expect(
      Set(status.keys) == [
        "sweep", "name", "state", "tasks", "stages", "rate", "seconds_left", "workers", "parked", "problem",
      ])
    #expect(status["name"] as? String == "tiny" && status["state"] as? String == "done")
    #expect((status["tasks"] as? [String: Int])?["done"] == count)
    #expect((status["parked"] as? [Any])?.isEmpty == true)
    #expect(try program("status", "other").refused(naming: "sweep \"other\""))
    let id = try #require(status["sweep"] as? String)
    #expect(try program("status", String(id.prefix(6))).status == 0)
  }

  private func queries(_ program: Program) throws {
    for sql in [
      "DELETE FROM task", "INSERT INTO sweep VALUES (1)", "UPDATE task SET state = 'ready'", "DROP TABLE task",
      "PRAGMA journal_mode = DELETE", "ATTACH 'x.db' AS x", "SELECT 1; DELETE FROM task", "SELCT 1", "", "VACUUM",
    ] {
      #expect(try program("query", sql).refused(naming: "query"), "\(sql)")
    }
    #expect(!program.exists("x.db"))
    let sql = "SELECT 1 AS one, 'a,b' AS text, NULL AS missing, 0.5 AS half"
    #expect(try program("query", sql, "--format", "csv").result == "one,text,missing,half\n1,\"a,b\",,0.5\n")
    let json = try program("query", sql, "--format", "json").json()
    let row = try #require((json["rows"] as? [[String: Any]])?.first)
    #expect(row["one"] as? Int == 1 && row["text"] as? String == "a,b" && row["missing"] is NSNull)
    let limited = try program("query", "SELECT id FROM task", "--limit", "1", "--format", "csv")
    #expect(limited.result.split(separator: "\n").count == 2 && limited.words.contains("--limit"))
  }
}
