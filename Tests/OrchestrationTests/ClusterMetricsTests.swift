import Foundation
import Messaging
import Storage
import SweepRecords
import Synchronization
import Telemetry
import Testing

@testable import Orchestration

@Suite struct ClusterMetricsTests {
  /// The value of a series in what Prometheus would read.
  private func value(_ series: String, _ metrics: Metrics) -> Double? {
    metrics.text().split(separator: "\n").first { $0.hasPrefix(series + " ") }
      .flatMap { Double($0.dropFirst(series.count + 1)) }
  }

  @Test func aWorkersEventsAreCounted() {
    let metrics = Metrics()
    let worker = WorkerMetrics(metrics)
    let task = TaskID(7)
    #expect(value("steerscope_worker_ready", metrics) == 1)
    worker.note(.claimed(3, seconds: 0.02))
    worker.note(.started(task, title: "evaluate"))
    #expect(value("steerscope_worker_busy", metrics) == 1)
    worker.note(.advanced(task, fraction: 0.5))
    worker.note(.computed(.evaluate, seconds: 12, TaskEffort(tokens: 300, features: 4096)))
    worker.note(.computed(.trainSAE, seconds: 0.2, TaskEffort(tokens: 0, features: 100)))
    worker.note(.stored(tasks: 2, rows: 40, seconds: 0.003))
    for settlement in [Worker.Settlement.done, .done, .fenced, .parked, .retried, .released, .cancelled] {
      worker.note(.settled(task, settlement))
    }
    worker.note(.missed([.running: 2, .otherNumerics: 1]))
    worker.note(.missed([.running: 1]))
    worker.note(.deadLetter(.newerSchema))
    worker.note(.overran(task, .time(limit: 1)))
    worker.note(.overran(task, .memory(used: 2, limit: 1)))
    worker.note(isReady: false)

    let expected: [(String, Double)] = [
      ("steerscope_worker_busy", 0), ("steerscope_worker_ready", 0), ("steerscope_tasks_claimed_total", 3),
      ("steerscope_tokens_total", 300), ("steerscope_features_total", 4196), ("steerscope_rows_stored_total", 40),
      ("steerscope_fenced_results_total", 1), (#"steerscope_tasks_settled_total{outcome="done"}"#, 2),
      (#"steerscope_tasks_settled_total{outcome="fenced"}"#, 1),
      (#"steerscope_tasks_settled_total{outcome="parked"}"#, 1),
      (#"steerscope_claim_misses_total{reason="running"}"#, 3),
      (#"steerscope_claim_misses_total{reason="other_numerics"}"#, 1),
      (#"steerscope_claim_misses_total{reason="ended"}"#, 0),
      (#"steerscope_dead_letters_total{reason="newer-schema"}"#, 1),
      (#"steerscope_dead_letters_total{reason="oversized"}"#, 0),
      (#"steerscope_task_overruns_total{limit="time"}"#, 1), (#"steerscope_task_overruns_total{limit="memory"}"#, 1),
      (#"steerscope_task_seconds_count{kind="evaluate"}"#, 1),
      (#"steerscope_task_seconds_sum{kind="evaluate"}"#, 12),
      (#"steerscope_task_seconds_bucket{kind="evaluate",le="10"}"#, 0),
      (#"steerscope_task_seconds_bucket{kind="evaluate",le="20"}"#, 1),
      (#"steerscope_task_seconds_count{kind="train-sae"}"#, 1),
      (#"steerscope_transaction_seconds_count{operation="claim"}"#, 1),
      (#"steerscope_transaction_seconds_sum{operation="finish"}"#, 0.003),
    ]
    for (series, number) in expected { #expect(value(series, metrics) == number, "\(series)") }
  }

  @Test func aCoordinatorsEventsAreCounted() {
    let metrics = Metrics()
    let coordinator = CoordinatorMetrics(metrics)
    coordinator.note(.tookLead)
    coordinator.note(.dispatched(5))
    coordinator.note(.notTaken(2))
    coordinator.note(.leasesExpired(3, parked: 1))
    coordinator.note(.workers(alive: 8, unready: 3))
    coordinator.note(.unplannable(SweepID("abc"), reason: "a secret path"))
    let expected: [(String, Double)] = [
      ("steerscope_leader", 1), ("steerscope_leads_taken_total", 1), ("steerscope_dispatched_total", 5),
      ("steerscope_publish_failures_total", 2), ("steerscope_leases_expired_total", 3),
      ("steerscope_leases_expired_parked_total", 1), ("steerscope_plan_failures_total", 1),
      (#"steerscope_workers{condition="ready"}"#, 5), (#"steerscope_workers{condition="unready"}"#, 3),
      (#"steerscope_sweeps_ended_total{state="done"}"#, 0),
    ]
    for (series, number) in expected { #expect(value(series, metrics) == number, "\(series)") }
    #expect(!metrics.text().contains("secret"))
    // Who does not lead says nothing about what is there.
    coordinator.note(.lostLead)
    #expect(value("steerscope_leader", metrics) == 0)
    #expect(value(#"steerscope_workers{condition="ready"}"#, metrics) == nil)
  }

  /// The leader tells what is in the database, in all states; whoever does not lead tells nothing.
  @Test func theLeaderCountsWhatIsInTheDatabase() async throws {
    let file = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString).db").path
    defer { for end in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: file + end) } }
    let store = try SQLiteStore(path: file)
    let metrics = Metrics()
    let coordinator = CoordinatorMetrics(metrics)
    #expect(value(#"steerscope_tasks{state="ready"}"#, metrics) == nil)
    let rounds = Mutex(0)
    let time = Timekeeper(
      now: { .zero },
      sleep: { _ in
        let round = rounds.withLock { count in
          count += 1
          return count
        }
        #expect(value(#"steerscope_tasks{state="ready"}"#, metrics) == (round == 1 ? 0 : nil))
        #expect((value("steerscope_database_bytes", metrics) != nil) == (round == 1))
        if round == 2 { throw CancellationError() }
      }, jitter: { 0 })
    await coordinator.watch(store, time: time) { rounds.withLock { $0 } == 0 }
    #expect(rounds.withLock { $0 } == 2)
  }

  /// `ops/metrics.md` lists what processes tell: name, type, labels and meaning, word for word.
  @Test func theListOfMetricsIsComplete() throws {
    let metrics = Metrics()
    ProgramMetrics.add(to: metrics, version: "1", cpu: "x86-64-v3")
    _ = WorkerMetrics(metrics)
    _ = CoordinatorMetrics(metrics)
    let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "ops/metrics.md")
    let documented = try String(contentsOf: file, encoding: .utf8).split(separator: "\n").filter { $0.hasPrefix("| `") }
    let exported = metrics.descriptions.map { metric in
      let labels = metric.labels.map { "`\($0)`" }.joined(separator: ", ")
      return "| `\(metric.name)` | \(metric.kind.rawValue) | \(labels) | \(metric.help) |"
    }
    #expect(documented.map(String.init) == exported)
  }
}
