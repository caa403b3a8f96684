import Foundation
import TestServers
import Testing

/// Coordinators and workers as processes, on real servers.
@Suite(.timeLimit(.minutes(5)))
struct ClusterTests {
  /// A program in a folder, with a migrated database and a virtual host of its own.
  private struct Cluster {
    let program: Program
    let environment: [String: String]

    /// Starts a process of the cluster.
    func start(_ arguments: String..., name: String) throws -> RunningProgram {
      try program.start(arguments, environment: environment, name: name)
    }

    func call(_ arguments: String...) throws -> Program.Output {
      let process = try program.start(arguments, environment: environment, name: "call")
      process.waitUntilExit()
      return Program.Output(
        status: process.terminationStatus, result: try program.text("call.out"), words: try program.text("call.err"))
    }

    /// The rows of a query, without the header.
    func rows(_ sql: String) throws -> [String] {
      let output = try call("query", sql, "--format", "csv")
      #expect(output.status == 0, "\(output.words)")
      return output.result.split(separator: "\n").dropFirst().map(String.init)
    }

    /// Waits until a query's first cell is as wanted.
    func waits(until sql: String, is wanted: (Int) -> Bool, seconds: Double = 60) async throws -> Bool {
      let end = ContinuousClock.now + .seconds(seconds)
      while ContinuousClock.now < end {
        if let number = Int(try rows(sql).first ?? ""), wanted(number) { return true }
        try await Task.sleep(for: .milliseconds(50))
      }
      return false
    }
  }

  private func inCluster(_ body: (Cluster) async throws -> Void) async throws {
    let database = try await TestServers.postgreSQL().freshDatabase()
    let broker = try await TestServers.rabbitMQ().freshVirtualHost()
    try await Program.inFolder { program in
      let cluster = Cluster(
        program: program, environment: ["STEERSCOPE_DATABASE": database, "STEERSCOPE_BROKER": broker])
      let migrated = try cluster.call("database", "migrate")
      try #require(migrated.status == 0, "\(migrated.words)")
      try program.write(Program.pairs, to: "pairs.json")
      try await body(cluster)
    }
  }

  private static func sweep(layers: String, steps: Int = 20) -> String {
    """
    name: tiny
    model: {path: \(Program.model), prompt: raw}
    activations: {sample: 512}
    behaviours:
      - {name: first, extract: pairs.json, evaluate: pairs.json, limit: 8, questions: 4}
    layers: [\(layers)]
    saes:
      - {train: {widths: [64], sparsity: 8, steps: \(steps)}}
    decompose: {methods: [encode, gradient-pursuit-signed], sparsity: [8, all]}
    steer: {coefficients: [-1, 0, 1], norms: [matched], controls: [zero-vector]}
    seed: 7

    """
  }

  /// Ends what a test started, however the test ends.
  private func end(_ processes: [RunningProgram]) {
    for process in processes where process.isRunning { kill(process.processIdentifier, SIGKILL) }
    for process in processes { process.waitUntilExit() }
  }

  private static let curve =
    "SELECT behaviour, layer, variant, sae, method, sparsity, convention, norm, coefficient,"
    + " propensity FROM steering_curve ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9"

  // MARK: Sweeps

  @Test func submittedOnceOrTwiceOrWithAnotherLayerOnlyWhatIsNewRuns() async throws {
    try await inCluster { cluster in
      try cluster.program.write(Self.sweep(layers: "0"), to: "sweep.yaml")
      let first = try cluster.call("submit", "sweep.yaml")
      #expect(first.status == 0 && first.result.count == 13 && first.words.contains("is registered"), "\(first.words)")
      let id = first.result.trimmingCharacters(in: .newlines)
      let processes = [
        try cluster.start("coordinator", name: "coordinator"), try cluster.start("worker", "--threads", "1", name: "a"),
        try cluster.start("worker", "--threads", "1", "--log-format", "json", "--verbose", name: "b"),
      ]
      defer { end(processes) }
      let watched = try cluster.call("watch", id, "--interval", "0.2")
      #expect(watched.status == 0, "\(watched.words)")
      #expect(watched.result.contains("tiny (\(id)): done") && !watched.result.contains("\u{1B}"))
      let attempts = "SELECT count(*) FROM task_attempt WHERE outcome = 'done'"
      let tasks = try cluster.rows("SELECT count(*) FROM task")
      #expect(try cluster.rows(attempts) == tasks)

      // The same file is the same sweep, and nothing runs.
      let again = try cluster.call("submit", "sweep.yaml", "--priority", "high")
      #expect(again.status == 0 && again.result == first.result && again.words.contains("there already: done"))
      // Another layer is another sweep, which shares what it has in common.
      try cluster.program.write(Self.sweep(layers: "0, 1"), to: "sweep.yaml")
      let plan = try cluster.call("plan", "sweep.yaml", "--format", "json").json()
      let larger = try cluster.call("submit", "sweep.yaml").result.trimmingCharacters(in: .newlines)
      #expect(larger != id)
      #expect(try cluster.call("watch", larger, "--interval", "0.2").status == 0)
      let total = try #require(plan["tasks"] as? Int)
      let done = try #require(plan["done"] as? Int)
      #expect(done > 10 && total > done)
      #expect(try cluster.rows("SELECT count(*) FROM task") == ["\(Int(tasks[0])! + total - done)"])
      #expect(try cluster.rows(attempts) == cluster.rows("SELECT count(*) FROM task"))
      try logs(of: cluster, sweep: id)

      // The rows are those of one machine.
      let lite = ["STEERSCOPE_DATABASE": "sqlite:alone.db"]
      #expect(try cluster.program("run", "sweep.yaml", environment: lite).status == 0)
      let alone = try cluster.program("query", Self.curve, "--format", "csv", environment: lite).result
      let rows = try cluster.rows(Self.curve)
      #expect(rows.count > 10 && Set(rows) == Set(alone.split(separator: "\n").dropFirst().map(String.init)))
    }
  }

  /// Each line of a JSON log is an object with its time, level, message and worker; of a task's, also the rest.
  private func logs(of cluster: Cluster, sweep: String) throws {
    let lines = try cluster.program.text("b.err").split(separator: "\n")
    var tasks = 0
    for line in lines {
      let entry = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      #expect(entry["time"] is String && entry["level"] is String && entry["message"] is String)
      #expect((entry["worker"] as? String)?.count == 36)
      guard entry["message"] as? String == "a task is done" else { continue }
      #expect(entry["sweep"] is String && entry["task"] is Int && entry["attempt"] is Int)
      tasks += 1
    }
    #expect(tasks > 0 && lines.count > tasks)
    let secret = try #require(
      URL(string: cluster.environment["STEERSCOPE_DATABASE"] ?? "")?.password(percentEncoded: false))
    for name in ["coordinator.err", "a.err", "b.err"] { #expect(try !cluster.program.text(name).contains(secret)) }
  }

  @Test func killedAndStoppedWorkersAreReplaced() async throws {
    try await inCluster { cluster in
      try cluster.program.write(Self.sweep(layers: "0, 1", steps: 3000), to: "sweep.yaml")
      _ = try cluster.call("submit", "sweep.yaml")
      let flags = ["worker", "--threads", "1", "--lease-seconds", "2", "--drain-seconds", "0"]
      func worker(_ name: String) throws -> RunningProgram {
        try cluster.program.start(flags, environment: cluster.environment, name: name)
      }
      let first = try cluster.start("coordinator", "--lease-seconds", "2", "--leadership-seconds", "2", name: "one")
      let second = try cluster.start("coordinator", "--lease-seconds", "2", "--leadership-seconds", "2", name: "two")
      let doomed = try worker("doomed")
      var processes = [first, second, doomed]
      defer { end(processes) }
      // Killed in the midst of a training step, with the leader.
      #expect(
        try await cluster.waits(
          until: "SELECT count(*) FROM task WHERE state = 'running' AND kind = 'train-sae'", is: { $0 > 0 }))
      let leader = try cluster.program.text("one.err").contains("took the lead") ? first : second
      kill(doomed.processIdentifier, SIGKILL)
      kill(leader.processIdentifier, SIGKILL)
      let shown = try cluster.call("status", "--format", "json").json()
      #expect(shown["state"] as? String == "active")
      let stopped = try worker("stopped")
      processes.append(stopped)
      #expect(
        try await cluster.waits(until: "SELECT count(*) FROM task_attempt WHERE outcome = 'expired'", is: { $0 > 0 }))
      // Told to stop in the midst of one: with no time to finish it gives it back, and ends well.
      #expect(
        try await cluster.waits(
          until:
            "SELECT count(*) FROM task_attempt a JOIN worker w ON w.id = a.worker WHERE a.outcome IS NULL AND w.process = \(stopped.processIdentifier)",
          is: { $0 > 0 }))
      kill(stopped.processIdentifier, SIGTERM)
      stopped.waitUntilExit()
      #expect(stopped.terminationReason == .exit && stopped.terminationStatus == 0)
      let words = try cluster.program.text("stopped.err")
      #expect(words.contains("draining") && words.contains("a worker stopped"))
      processes.append(try worker("last"))
      #expect(try cluster.call("watch", "tiny").status == 0)
      #expect(
        try cluster.rows(
          "SELECT count(*) FROM (SELECT task FROM task_attempt WHERE outcome = 'done' GROUP BY task HAVING count(*) <> 1) x"
        ) == ["0"])
      #expect(
        try cluster.rows("SELECT count(DISTINCT task) FROM task_attempt WHERE outcome = 'done'")
          == cluster.rows("SELECT count(*) FROM task"))
      let survivor = leader === first ? second : first
      kill(survivor.processIdentifier, SIGTERM)
      survivor.waitUntilExit()
      #expect(survivor.terminationReason == .exit && survivor.terminationStatus == 0)
    }
  }

  @Test func aCleanStopHandsTheLeadOverAtOnce() async throws {
    try await inCluster { cluster in
      let first = try cluster.start("coordinator", "--leadership-seconds", "3600", name: "one")
      defer { end([first]) }
      #expect(try await cluster.program.waits(for: "took the lead", in: "one.err"))
      let second = try cluster.start("coordinator", "--leadership-seconds", "8", name: "two")
      defer { end([second]) }
      #expect(try await cluster.program.waits(for: "connected to the broker", in: "two.err"))
      kill(first.processIdentifier, SIGTERM)
      first.waitUntilExit()
      #expect(first.terminationStatus == 0)
      #expect(try await cluster.program.waits(for: "took the lead", in: "two.err", seconds: 10))
      kill(second.processIdentifier, SIGINT)
      second.waitUntilExit()
      #expect(second.terminationStatus == 0)
    }
  }

  // MARK: Limits

  @Test func tasksThatTakeTooLongAreParkedAndShown() async throws {
    try await inCluster { cluster in
      try cluster.program.write(Self.sweep(layers: "0", steps: 2_000_000), to: "sweep.yaml")
      _ = try cluster.call("submit", "sweep.yaml")
      let processes = [
        try cluster.start("coordinator", name: "coordinator"),
        try cluster.start("worker", "--threads", "1", "--task-seconds", "1", name: "worker"),
      ]
      defer { end(processes) }
      #expect(try cluster.call("watch", "tiny", "--interval", "0.2").status == 3)
      let status = try cluster.call("status", "tiny", "--format", "json").json()
      #expect(status["state"] as? String == "done_with_parked")
      let parked = try #require((status["parked"] as? [[String: Any]])?.first)
      #expect((parked["error"] as? String)?.hasPrefix("took longer than 1 s on ") == true)
      #expect((parked["attempts"] as? [[String: Any]])?.map { $0["outcome"] as? String } == ["failed", "failed"])
      let table = try cluster.call("status", "tiny").result
      #expect(table.contains("took longer than 1 s") && table.contains("(2 attempts)") && table.contains("last seen"))
    }
  }

  @Test func aWorkerThatNeedsTooMuchMemoryReportsItAndStartsAnew() async throws {
    try await inCluster { cluster in
      try cluster.program.write(Self.sweep(layers: "0", steps: 2_000_000), to: "sweep.yaml")
      _ = try cluster.call("submit", "sweep.yaml")
      let worker = try cluster.start("worker", "--threads", "1", "--memory-limit", "4M", name: "worker")
      let processes = [try cluster.start("coordinator", name: "coordinator"), worker]
      defer { end(processes) }
      #expect(
        try await cluster.waits(
          until:
            "SELECT count(*) FROM task_attempt WHERE error LIKE 'used % MiB of memory on %, where 4 MiB are allowed%'",
          is: { $0 > 0 }))
      #expect(try await cluster.program.waits(for: "starts anew", in: "worker.err"))
      #expect(try await cluster.waits(until: "SELECT count(DISTINCT id) FROM worker", is: { $0 > 1 }))
      // The same process under a new name, which can be stopped like the first.
      #expect(worker.isRunning)
      kill(worker.processIdentifier, SIGTERM)
      worker.waitUntilExit()
      #expect(worker.terminationReason == .exit && worker.terminationStatus == 0)
    }
  }

  // MARK: Servers that are not there

  @Test func serversThatAreDownAreWaitedFor() async throws {
    try await Program.inFolder { program in
      let environment = [
        "STEERSCOPE_DATABASE": "postgresql://me:s3cretword@127.0.0.1:1/db",
        "STEERSCOPE_BROKER": "amqp://me:s3cretword@127.0.0.1:1",
      ]
      for command in ["coordinator", "worker"] {
        let process = try program.start(
          [command, "--metrics-port", "0"], environment: environment, name: command)
        defer { end([process]) }
        #expect(try await program.waits(for: "waits for the database", in: "\(command).err"))
        let line = try #require(
          try program.text("\(command).err").split(separator: "\n").first { $0.contains("serves") })
        let port = try #require(line.split(separator: "address=127.0.0.1:").last?.split(separator: " ").first)
        let probe = try program("probe", "--port", String(port))
        #expect(probe.status == 1 && probe.result.contains("waits for the database"), "\(probe.result)\(probe.words)")
        #expect(try program("probe", "--live", "--port", String(port)).status == 0)
        kill(process.processIdentifier, SIGTERM)
        process.waitUntilExit()
        #expect(process.terminationReason == .exit && process.terminationStatus == 0)
        #expect(try !program.text("\(command).err").contains("s3cret"))
      }
      let doctor = try program("doctor", environment: environment)
      #expect(doctor.status == 1 && !doctor.result.contains("s3cret"))
      let lines = doctor.result.split(separator: "\n")
      for name in ["database", "broker"] {
        #expect(lines.contains { $0.hasPrefix("\(name): ") && !$0.hasPrefix("\(name): ok") }, "\(doctor.result)")
      }
    }
  }

  @Test func whatNoWaitingMendsIsSaidAtOnce() async throws {
    try await inCluster { cluster in
      let good = cluster.environment
      let server = try await TestServers.postgreSQL()
      let empty = try await server.freshDatabase()
      let database = try #require(good["STEERSCOPE_DATABASE"])
      let broker = try #require(good["STEERSCOPE_BROKER"])
      let wrong = database.replacing(server.password, with: "s3cretword")
      let rabbit = try await TestServers.rabbitMQ()
      let cases = [
        (["STEERSCOPE_DATABASE": empty], "steerscope database migrate"),
        (["STEERSCOPE_DATABASE": wrong], "user and password"),
        (["STEERSCOPE_DATABASE": server.uri(database: "nowhere")], "nowhere"),
        (["STEERSCOPE_BROKER": broker.replacing(rabbit.password, with: "s3cretword")], "STEERSCOPE_BROKER"),
        (["STEERSCOPE_BROKER": broker + "-not"], "STEERSCOPE_BROKER"),
      ]
      for command in ["coordinator", "worker"] {
        for (change, words) in cases {
          let output = try cluster.program(command, environment: good.merging(change) { $1 })
          #expect(output.status == 2 && output.words.contains(words), "\(command) \(change.keys): \(output.words)")
          let errors = output.words.split(separator: "\n").filter { $0.hasPrefix("error: ") }
          #expect(errors.count == 1 && !output.words.contains("s3cret"), "\(output.words)")
        }
      }
      let doctor = try cluster.call("doctor")
      #expect(doctor.status == 1 && doctor.result.contains("database: ok, ") && doctor.result.contains("PostgreSQL 1"))
      #expect(doctor.result.contains("`steerscope coordinator`, which declares the queues"), "\(doctor.result)")
      try cluster.program.write(Self.sweep(layers: "0"), to: "sweep.yaml")
      #expect(try cluster.call("submit", "sweep.yaml").status == 0)
      let after = try cluster.call("doctor")
      #expect(after.status == 0 && after.result.contains("broker: ok, "), "\(after.result)")
    }
  }

  @Test func settingsMayBeFiles() async throws {
    try await inCluster { cluster in
      try cluster.program.write(cluster.environment["STEERSCOPE_DATABASE"] ?? "", to: "database")
      try cluster.program.write((cluster.environment["STEERSCOPE_BROKER"] ?? "") + "\n", to: "broker")
      let files = ["STEERSCOPE_DATABASE_FILE": "database", "STEERSCOPE_BROKER_FILE": "broker"]
      let worker = try cluster.program.start(["worker"], environment: files, name: "worker")
      defer { end([worker]) }
      #expect(try await cluster.program.waits(for: "a worker started", in: "worker.err"))
      // No password is in the arguments or the environment of the process.
      let secret = try #require(
        URL(string: cluster.environment["STEERSCOPE_DATABASE"] ?? "")?.password(percentEncoded: false))
      for file in ["cmdline", "environ"] {
        let text = FileManager.default.contents(atPath: "/proc/\(worker.processIdentifier)/\(file)") ?? Data()
        #expect(!text.isEmpty && !String(decoding: text, as: UTF8.self).contains(secret))
      }
      kill(worker.processIdentifier, SIGINT)
      worker.waitUntilExit()
      #expect(worker.terminationReason == .exit && worker.terminationStatus == 0)
    }
  }
}
