import Foundation
import ResultDump
import Storage
import SweepRecords
import TestServers

/// A chaos run from beginning to end: the reference, the cluster, the faults, the audit.
struct ChaosRun: Sendable {
  let seed: UInt64
  let seconds: Double
  let workers: Int
  let folder: URL
  let program: String
  /// Whether logs and databases stay even when all held.
  let keep: Bool

  private static let golden = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Golden/llama-tied")
  /// As long without a finished task, and the run is stuck.
  private static let patience = 120.0

  /// - Returns: whether everything held.
  func run() async throws -> Bool {
    let files = folder.appending(path: "files")
    try FileManager.default.createDirectory(at: files, withIntermediateDirectories: true)
    let workload = try Workload(folder: files, model: Self.golden)
    let reference = ReferenceRun(program: program, folder: folder, files: files.path)
    let first = try workload.sweep(0)
    let planned = try await reference.plan(first)
    say("a sweep of \(planned) tasks; the reference runs (embedded, SQLite)")
    guard planned >= 1000 else { throw ChaosError("the sweep has only \(planned) tasks") }
    try await reference.run(first)

    say("PostgreSQL and RabbitMQ start")
    let cluster = try await TestCluster.make(folder: folder, program: program, files: files.path, workers: workers)
    try await control(cluster, ["database", "migrate"], as: "steerscope_owner")
    let (sweeps, tally) = try await disturb(cluster, workload)
    for index in 1..<max(sweeps, 1) {
      say("the reference of sweep \(index + 1)")
      try await reference.run(try workload.sweep(index))
    }
    let audit = try await Audit(
      cluster: try cluster.store(), reference: try SQLiteStore(path: reference.database))
    let surprises = await cluster.cluster.surprises
    cluster.remote?.close()
    for line in surprises { say("note: \(line)") }
    say(tally.table)
    let missing = FaultKind.allCases.filter { tally.skipped[$0] == nil && tally.times($0) == 0 }
    for kind in missing { say("error: never injected: \(kind.rawValue)") }
    let crashes = await cluster.cluster.crashes
    for name in crashes { say("error: \(name) crashed; its log is in \(folder.path)") }
    for line in audit.complaints { say(line) }
    let holds = audit.holds && missing.isEmpty && crashes.isEmpty
    if !holds || keep { say("logs and databases are in \(folder.path)") }
    say(audit.verdict)
    return holds
  }

  /// Lets the cluster work while faults come; submits further sweeps so that there is work as long as they do.
  ///
  /// - Returns: how many sweeps were submitted, and what was done to them.
  private func disturb(_ cluster: TestCluster, _ workload: Workload) async throws -> (sweeps: Int, FaultTally) {
    try await submit(cluster, try workload.sweep(0))
    try await cluster.cluster.start(try cluster.coordinator("coordinator-1"))
    for name in cluster.workerNames { try await cluster.cluster.start(try cluster.worker(name)) }
    let injector = FaultInjector(cluster)
    let schedule = FaultSchedule(seed: seed, seconds: seconds, kinds: await injector.kinds)
    say("\(workers) workers; \(schedule.faults.count) faults in \(Int(seconds)) s, seed \(seed)")
    let clock = ContinuousClock()
    let start = clock.now
    let faults = Task {
      await injector.run(schedule) { fault in
        say("\(elapsed(start)) \(fault.kind.rawValue)")
      }
    }
    let isOver = Happening()
    let waiting = Task {
      await faults.value
      isOver.set()
    }
    var sweeps = 1
    var best = (done: 0, at: clock.now)
    while true {
      try await Task.sleep(for: .milliseconds(500))
      guard let state = try? await progress(cluster) else { continue }
      if state.done > best.done { best = (state.done, clock.now) }
      if state.isAllDone && isOver.isSet { break }
      if !isOver.isSet && state.left < Self.reserve && state.planning == 0 {
        say("\(elapsed(start)) \(state.done) tasks done; another sweep")
        try await submit(cluster, try workload.sweep(sweeps))
        sweeps += 1
      }
      if best.at.duration(to: clock.now) > .seconds(Self.patience) {
        say("nothing was finished for \(Int(Self.patience)) s: \(state)")
        break
      }
      if state.parked > 0 && isOver.isSet {
        say("\(elapsed(start)) \(state.parked) tasks parked: retried")
        for index in 0..<sweeps {
          try? await control(cluster, ["retry", "chaos-\(index)"], as: "steerscope_coordinator")
        }
      }
    }
    await waiting.value
    say("\(elapsed(start)) \(best.done) tasks done; the processes stop")
    await cluster.cluster.close()
    for note in await injector.notes { say("note: \(note)") }
    return (sweeps, await injector.tally)
  }

  /// With fewer tasks left, another sweep is submitted.
  private static let reserve = 250

  private struct Progress: CustomStringConvertible {
    var done = 0
    var left = 0
    var parked = 0
    var openSweeps = 0
    var planning = 0
    var states: [String: Int] = [:]
    var isAllDone: Bool { left == 0 && parked == 0 && openSweeps == 0 }
    var description: String {
      states.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    }
  }

  private func progress(_ cluster: TestCluster) async throws -> Progress {
    var progress = Progress()
    let lines = try await cluster.sql(
      "SELECT state, count(*) FROM steerscope.task GROUP BY 1",
      "SELECT 'open', count(*) FROM steerscope.sweep WHERE state <> 'done'",
      "SELECT 'planning', count(*) FROM steerscope.sweep WHERE state = 'planning'")
    for line in lines {
      let parts = line.split(separator: "|")
      guard parts.count == 2, let count = Int(parts[1]) else { continue }
      switch parts[0] {
      case "open": progress.openSweeps = count
      case "planning": progress.planning = count
      case "done": progress.done = count
      case "parked": progress.parked = count
      default: progress.left += count
      }
      progress.states[String(parts[0])] = count
    }
    return progress
  }

  /// Submits until it is heard that it worked: harmless to repeat.
  private func submit(_ cluster: TestCluster, _ path: String) async throws {
    for _ in 0..<60 {
      if (try? await control(cluster, ["submit", path], as: "steerscope_coordinator")) != nil { return }
      try await Task.sleep(for: .seconds(1))
    }
    try await control(cluster, ["submit", path], as: "steerscope_coordinator")
  }

  /// Runs a command of the program to its end, as a user does.
  private func control(_ cluster: TestCluster, _ arguments: [String], as role: String) async throws {
    let name = "control-\(role)"
    let log = cluster.cluster.logPath(name)
    let process = try ChildProcess(
      program, arguments, environment: try cluster.environment(for: name, role: role), output: log, error: log)
    let status = await process.end()
    guard status == 0 else {
      let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
      throw ChaosError("steerscope \(arguments.joined(separator: " ")): status \(status): \(text.suffix(400))")
    }
  }
}

/// The undisturbed run: `steerscope run`, on SQLite.
struct ReferenceRun: Sendable {
  let program: String
  let folder: URL
  let files: String

  var database: String { folder.appending(path: "reference.db").path }

  private func call(_ arguments: [String], output: String) async throws {
    let error = folder.appending(path: "reference.log").path
    var environment = ["PATH": "/usr/bin:/bin", "SWIFT_BACKTRACE": "enable=no", "STEERSCOPE_FILES": files]
    environment["HOME"] = folder.path
    environment["XDG_CACHE_HOME"] = folder.appending(path: "cache-reference").path
    environment["STEERSCOPE_DATABASE"] = "sqlite:\(database)"
    let status = try await ChildProcess(
      program, arguments, environment: environment, output: output, error: error
    ).end()
    guard status == 0 else {
      let text = (try? String(contentsOfFile: error, encoding: .utf8)) ?? ""
      throw ChaosError("steerscope \(arguments.joined(separator: " ")): status \(status): \(text.suffix(400))")
    }
  }

  /// How many tasks `plan` counts.
  func plan(_ sweep: String) async throws -> Int {
    let output = folder.appending(path: "plan.json").path
    try await call(["plan", sweep, "--format", "json"], output: output)
    let json = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: output)))
    guard let tasks = (json as? [String: Any])?["tasks"] as? Int else { throw ChaosError("plan counted no tasks") }
    return tasks
  }

  func run(_ sweep: String) async throws {
    try await call(["run", sweep], output: folder.appending(path: "reference.out").path)
  }
}

/// What the database says in the end, beside the reference.
struct Audit {
  private let tasks: Int
  private let doneOnce: Int
  private let lost: Int
  private let double: Int
  private let differences: [String]

  init(cluster: any ResultStore, reference: any ResultStore) async throws {
    let counts = try await cluster.query(
      """
      SELECT count(*), sum(CASE WHEN state = 'done' AND done = 1 THEN 1 ELSE 0 END),
        sum(CASE WHEN state <> 'done' OR done = 0 THEN 1 ELSE 0 END), sum(CASE WHEN done > 1 THEN 1 ELSE 0 END)
      FROM (SELECT t.state, (SELECT count(*) FROM task_attempt a WHERE a.task = t.id AND a.outcome = 'done') AS done
        FROM task t) counted
      """, limits: QueryLimits())
    let numbers = (counts.rows.first ?? []).compactMap(\.whole)
    guard numbers.count == 4 else { throw ChaosError("the tasks can't be counted") }
    (tasks, doneOnce, double) = (numbers[0], numbers[1], numbers[3])
    // Tasks that were never planned are lost as well.
    let expected = try await reference.query("SELECT count(*) FROM task WHERE state = 'done'", limits: QueryLimits())
    guard let count = expected.rows.first?.first?.whole else { throw ChaosError("no reference") }
    lost = numbers[2] + max(0, count - tasks)
    let (made, wanted) = (try await ResultDump(reading: cluster), try await ResultDump(reading: reference))
    if wanted.count == 0 { throw ChaosError("the reference is empty") }
    differences = wanted.differences(from: made)
  }

  var holds: Bool { tasks > 0 && doneOnce == tasks && lost == 0 && double == 0 && differences.isEmpty }
  var complaints: [String] { differences }
  var verdict: String {
    "\(tasks) tasks, \(doneOnce) done once, \(lost) lost, \(double) double, "
      + (differences.isEmpty ? "rows identical" : "rows differ")
  }
}

extension Cell {
  /// A whole number; sums are reals in some databases.
  fileprivate var whole: Int? {
    switch self {
    case .integer(let value): value
    case .real(let value): Int(exactly: value)
    case .text(let value): Int(value)
    case .null: nil
    }
  }
}
