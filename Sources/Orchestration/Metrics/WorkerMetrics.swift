internal import Messaging
internal import Storage
internal import SweepRecords
package import Telemetry

/// A worker's events as metrics: hand `note` to the worker. No label is a task's or a sweep's.
package struct WorkerMetrics: Sendable {
  private let busy: Gauge
  private let settled: Labelled<Counter>
  private let fenced: Counter
  private let misses: Labelled<Counter>
  private let claimed: Counter
  private let seconds: Labelled<Histogram>
  private let tokens: Counter
  private let features: Counter
  private let rows: Counter
  private let deadLetters: Labelled<Counter>
  private let overruns: Labelled<Counter>
  private let transactions: Labelled<Histogram>

  package init(_ metrics: Metrics) {
    busy = metrics.gauge("steerscope_worker_busy", "1 while a task is in hand.")
    settled = metrics.counter(
      "steerscope_tasks_settled_total", "Tasks that this worker is done with, by how it ended.", labels: ["outcome"])
    fenced = metrics.counter(
      "steerscope_fenced_results_total",
      "Results that came too late and leases lost on the way: computed twice, stored once.")
    claimed = metrics.counter("steerscope_tasks_claimed_total", "Tasks that this worker took.")
    misses = metrics.counter(
      "steerscope_claim_misses_total", "Messages whose task could not be taken, by why.", labels: ["reason"])
    seconds = metrics.histogram(
      "steerscope_task_seconds", "Seconds that tasks computed, by kind.", buckets: Histogram.taskSeconds,
      labels: ["kind"])
    tokens = metrics.counter("steerscope_tokens_total", "Tokens that went through a model, or part of one.")
    features = metrics.counter("steerscope_features_total", "SAE features computed: a width for each vector encoded.")
    rows = metrics.counter("steerscope_rows_stored_total", "Result rows that were committed.")
    deadLetters = Self.deadLetters(metrics)
    overruns = metrics.counter(
      "steerscope_task_overruns_total", "Tasks stopped for using too much, by what.", labels: ["limit"])
    transactions = StoreMetrics.transactions(metrics)

    settled.prepare(["done", "parked", "retried", "released", "fenced", "cancelled"])
    misses.prepare(ClaimMiss.allCases.map(\.rawValue))
    deadLetters.prepare(DeadLetter.Reason.allCases.map(\.rawValue))
    overruns.prepare(["time", "memory"])
  }

  /// Of messages that the worker can't read, and of those that its queue rejects before.
  static func deadLetters(_ metrics: Metrics) -> Labelled<Counter> {
    metrics.counter("steerscope_dead_letters_total", "Messages that could not be read, by why.", labels: ["reason"])
  }

  package func note(_ event: Worker.Event) {
    switch event {
    case .started: busy.set(1)
    case .advanced: break
    case .settled(_, let settlement):
      busy.set(0)
      settled(settlement.label).increment()
      if settlement == .fenced { fenced.increment() }
    case .claimed(let count, let seconds):
      claimed.increment(by: count)
      transactions("claim").observe(seconds)
    case .missed(let reasons):
      for (reason, count) in reasons { misses(reason.rawValue).increment(by: count) }
    case .computed(let kind, let seconds, let effort):
      self.seconds(kind.rawValue).observe(seconds)
      tokens.increment(by: effort.tokens)
      features.increment(by: effort.features)
    case .stored(_, let count, let seconds):
      rows.increment(by: count)
      transactions("finish").observe(seconds)
    case .deadLetter(let reason): deadLetters(reason.rawValue).increment()
    case .overran(_, .time): overruns("time").increment()
    case .overran(_, .memory): overruns("memory").increment()
    }
  }
}

extension Worker.Settlement {
  fileprivate var label: String {
    switch self {
    case .done: "done"
    case .parked: "parked"
    case .retried: "retried"
    case .released: "released"
    case .fenced: "fenced"
    case .cancelled: "cancelled"
    }
  }
}
