import Foundation
import Messaging
import Orchestration
import Storage
import SweepRecords

/// The coordinator's memory while it plans a sweep of any size.
struct PlannedTasks {
  var tasks: Int

  /// - Parameter report: called with how many tasks are planned and the resident mebibytes, about thirty times.
  func run(
    on servers: BenchmarkServers, report: (Int, Double) -> Void
  ) async throws -> (tasksPerSecond: Double, first: Double, largest: Double) {
    let store = try PostgreSQLStore(uri: try await servers.database())
    try await store.connect()
    let sweep = try await store.submit(try SyntheticSweep(name: "planned", tasks: tasks).submission()).id
    let queue = AMQPQueue(try await servers.broker())
    var settings = Coordinator.Settings()
    settings.chunk = 5000
    let coordinator = Coordinator(
      settings: settings, store: store, queue: queue,
      declareQueues: { () async throws(QueueError) in try await queue.declareTopology() },
      expander: SyntheticExpander(), holder: "bench")
    let clock = ContinuousClock()
    let start = clock.now
    let leading = Task { try await coordinator.run() }
    var first = 0.0
    var largest = 0.0
    var next = 0
    while true {
      try await Task.sleep(for: .milliseconds(200))
      guard let summary = try await store.findSweep(sweep.text) else { break }
      let memory = residentMebibytes()
      largest = max(largest, memory)
      if summary.cursor >= next || summary.state != .planning {
        // What is there when a tenth is planned is what all of it may take.
        if first == 0 && summary.cursor >= tasks / 10 { first = memory }
        report(summary.state == .planning ? min(summary.cursor, tasks) : tasks, memory)
        next += max(1, tasks / 30)
      }
      if summary.state != .planning { break }
    }
    let seconds = start.duration(to: clock.now) / .seconds(1)
    await coordinator.stop()
    try await leading.value
    await queue.close()
    return (Double(tasks) / seconds, first, largest)
  }
}

/// Result rows through `finish`, a thousand a task.
struct StoredRows {
  var tasks: Int
  private static let rows = 1000

  /// - Returns: rows per second by the store, and by COPY alone through `psql`'s library in one transaction a task.
  func run(on servers: BenchmarkServers) async throws -> Double {
    let store = try PostgreSQLStore(uri: try await servers.database())
    try await store.connect()
    let sweep = try await store.submit(try SyntheticSweep(name: "rows", tasks: tasks).submission()).id
    guard let leader = try await store.acquireLeadership(holder: "bench", for: 3600) else {
      throw BareLibraries.Failure(description: "no lead")
    }
    let chunk = try SyntheticExpander().chunk(
      of: try await store.submission(of: sweep).resolved, from: 0, limit: tasks)
    _ = try await store.expand(
      sweep, with: PlanChunk(from: 0, to: 1, tasks: chunk.tasks, isLast: true), as: leader)
    let worker = WorkerID("bench")
    try await store.register(
      WorkerRegistration(
        id: worker, host: "here", process: 1, version: "bench", numericsVersion: numericsVersion, cpu: "any",
        threads: 1))
    let ids = try await store.tasks(withKeys: chunk.tasks.map(\.key)).map(\.id)
    let claimed = try await store.claim(ids, worker: worker, for: 3600)
    let clock = ContinuousClock()
    let start = clock.now
    for task in claimed {
      let result = TaskResult(rows: (0..<Self.rows).map(Self.row))
      guard try await store.finish([FinishedTask(lease: task.lease, result: result)], worker: worker) == [.done] else {
        throw BareLibraries.Failure(description: "not stored")
      }
    }
    return Double(claimed.count * Self.rows) / (start.duration(to: clock.now) / .seconds(1))
  }

  private static func row(_ index: Int) -> TableRow {
    TableRow(
      .evaluation,
      [
        "behaviour": "power-seeking", "layer": .integer(index % 26), "variant": "reconstruction",
        "sae": .text("16k/l0-\(index)"), "method": "gradient-pursuit", "sparsity": "32", "convention": "with-bias",
        "norm": "matched", "unit": "vector", "positions": "scored", "score": "per-token",
        "coefficient": .real(Double(index) / 8), "n": 200, "propensity": .real(Double(index) * 0.001),
        "propensity_error": 0.01, "probability": 0.5, "accuracy": 0.5, "cross_entropy_change": 0.001,
      ])
  }
}
