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

    let expected: [(String, Double)] = [
      ("steerscope_worker_busy", 0), ("steerscope_tasks_claimed_total", 3),
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

  @Test func whatHappensAtTheBrokerIsCounted() {
    let metrics = Metrics()
    let broker = BrokerMetrics(metrics)
    #expect(value(#"steerscope_broker_connected{purpose="consuming"}"#, metrics) == nil)
    broker.note(.reconnecting(.consuming, attempt: 1, wait: .seconds(1)))
    #expect(value(#"steerscope_broker_connected{purpose="consuming"}"#, metrics) == 0)
    broker.note(.connected(.consuming, broker: "RabbitMQ 3.10.8"))
    broker.note(.connected(.publishing, broker: "RabbitMQ 3.10.8"))
    broker.note(.lost(.publishing, reason: "secret"))
    broker.note(.blocked(reason: "low on memory"))
    broker.note(.confirmed(latency: .milliseconds(20)))
    broker.note(.confirmed(latency: .milliseconds(2)))
    broker.note(.returned(id: "7:1"))
    broker.note(.refused)
    broker.note(.unconfirmed(count: 12, reason: "lost"))
    broker.note(.delivered(count: 5))
    broker.note(.acknowledged(count: 4))
    broker.note(.channelClosed(reason: "406"))
    broker.note(.topologyRefused(reason: "406"))
    broker.note(.cancelled(queue: "steerscope.high"))
    broker.note(.queueUnavailable(queue: "steerscope.high", reason: "404"))
    broker.note(.deadLettered(.oversized))
    broker.note(.deadLettered(.oversized))
    let expected: [(String, Double)] = [
      (#"steerscope_broker_connected{purpose="consuming"}"#, 1),
      (#"steerscope_broker_connected{purpose="publishing"}"#, 0),
      (#"steerscope_broker_connections_total{purpose="publishing"}"#, 1),
      (#"steerscope_broker_reconnects_total{purpose="consuming"}"#, 1), ("steerscope_broker_blocked", 1),
      ("steerscope_confirm_seconds_count", 2), ("steerscope_confirm_seconds_sum", 0.022),
      (#"steerscope_messages_unconfirmed_total{reason="returned"}"#, 1),
      (#"steerscope_messages_unconfirmed_total{reason="refused"}"#, 1),
      (#"steerscope_messages_unconfirmed_total{reason="unknown"}"#, 12),
      ("steerscope_messages_delivered_total", 5), ("steerscope_messages_acknowledged_total", 4),
      ("steerscope_broker_channels_closed_total", 1), ("steerscope_topology_refused_total", 1),
      ("steerscope_consumption_interruptions_total", 2),
      (#"steerscope_dead_letters_total{reason="oversized"}"#, 2),
    ]
    for (series, number) in expected { #expect(value(series, metrics) == number, "\(series)") }
    broker.note(.unblocked)
    #expect(value("steerscope_broker_blocked", metrics) == 0)
    #expect(!metrics.text().contains("secret"))
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

  private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  private static func text(_ path: String) throws -> String {
    try String(contentsOf: root.appending(path: path), encoding: .utf8)
  }

  /// Everything that a process may export.
  private static var all: Metrics {
    let metrics = Metrics()
    ProgramMetrics.add(to: metrics, version: "1", cpu: "x86-64-v3")
    _ = WorkerMetrics(metrics)
    _ = CoordinatorMetrics(metrics)
    _ = BrokerMetrics(metrics)
    _ = HealthServer.readyGauge(metrics)
    return metrics
  }

  /// Alerts and dashboards ask for nothing that is not there.
  @Test(arguments: [
    "ops/prometheus/alerts.yaml", "ops/prometheus/alerts.test.yaml", "docker/grafana/dashboards/steerscope.json",
  ])
  func whatIsAskedForIsExported(path: String) throws {
    let names = Self.all.descriptions.flatMap { metric in
      metric.kind == .histogram ? ["_bucket", "_sum", "_count"].map { metric.name + $0 } : [metric.name]
    }
    let asked = try Self.text(path).matches(of: /\bsteerscope_[a-z_]+\b/).map { String($0.output) }
      .filter { $0 != "steerscope_reader" }
    #expect(!asked.isEmpty)
    #expect(Set(asked).subtracting(names) == [])
  }

  /// Whoever is woken by an alert finds what to do.
  @Test func everyAlertIsInTheRunbook() throws {
    let alerts = try Self.text("ops/prometheus/alerts.yaml").matches(of: /- alert: (\w+)/).map { String($0.output.1) }
    let entries = try Self.text("ops/runbook.md").matches(of: /\n### (Steerscope\w+)\n/).map { String($0.output.1) }
    #expect(alerts.count > 10)
    #expect(entries == alerts)
  }

  /// `ops/metrics.md` lists what processes tell: name, type, labels and meaning, word for word.
  @Test func theListOfMetricsIsComplete() throws {
    let documented = try Self.text("ops/metrics.md").split(separator: "\n").filter { $0.hasPrefix("| `") }
    let exported = Self.all.descriptions.map { metric in
      let labels = metric.labels.map { "`\($0)`" }.joined(separator: ", ")
      return "| `\(metric.name)` | \(metric.kind.rawValue) | \(labels) | \(metric.help) |"
    }
    #expect(documented.map(String.init) == exported)
  }
}
