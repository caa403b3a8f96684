package import Storage
internal import SweepRecords
package import Telemetry

/// A coordinator's events as metrics, and what the leader reads off the database: hand `note` to the coordinator, and
/// run `watch` beside it.
package struct CoordinatorMetrics: Sendable {
  private let leading: Gauge
  private let leads: Counter
  private let dispatched: Counter
  private let notTaken: Counter
  private let expired: Counter
  private let expiredParked: Counter
  private let workers: Labelled<Gauge>
  private let ended: Labelled<Counter>
  private let unplannable: Counter
  private let tasks: Labelled<Gauge>
  private let sweeps: Labelled<Gauge>
  private let artifactBytes: Labelled<Gauge>
  private let databaseBytes: Labelled<Gauge>
  private let transactions: Labelled<Histogram>

  package init(_ metrics: Metrics) {
    leading = metrics.gauge("steerscope_leader", "1 while this coordinator leads.")
    leads = metrics.counter("steerscope_leads_taken_total", "How often this coordinator took the lead.")
    dispatched = metrics.counter("steerscope_dispatched_total", "Messages that the broker has confirmed.")
    notTaken = metrics.counter(
      "steerscope_publish_failures_total", "Messages that no queue took, or whose fate is not known.")
    expired = metrics.counter("steerscope_leases_expired_total", "Tasks taken away from workers not heard of any more.")
    expiredParked = metrics.counter(
      "steerscope_leases_expired_parked_total", "Those of them that were parked, having ended too many workers.")
    workers = metrics.gauge(
      "steerscope_workers", "Live workers by condition; told by the leader.", labels: ["condition"])
    ended = metrics.counter("steerscope_sweeps_ended_total", "Sweeps that ended, by how.", labels: ["state"])
    unplannable = metrics.counter("steerscope_plan_failures_total", "Times that a sweep could not be planned.")
    tasks = metrics.gauge("steerscope_tasks", "Tasks in the database by state; told by the leader.", labels: ["state"])
    sweeps = metrics.gauge(
      "steerscope_sweeps", "Sweeps in the database by state; told by the leader.", labels: ["state"])
    artifactBytes = metrics.gauge(
      "steerscope_artifact_bytes", "Bytes of artifacts in the database; told by the leader.", labels: [])
    databaseBytes = metrics.gauge(
      "steerscope_database_bytes", "Size of the database; told by the leader.", labels: [])
    transactions = StoreMetrics.transactions(metrics)
    forget()
    ended.prepare([SweepState.done, .doneWithParked, .cancelled].map(\.rawValue))
  }

  package func note(_ event: Coordinator.Event) {
    switch event {
    case .tookLead:
      leading.set(1)
      leads.increment()
    case .lostLead:
      leading.set(0)
      forget()
    case .dispatched(let count): dispatched.increment(by: count)
    case .notTaken(let count): notTaken.increment(by: count)
    case .leasesExpired(let count, let parked):
      expired.increment(by: count)
      expiredParked.increment(by: parked)
    case .workers(let alive, let unready):
      workers("ready").set(alive - unready)
      workers("unready").set(unready)
    case .ended(let sweep): ended(sweep.state.rawValue).increment()
    case .unplannable: unplannable.increment()
    }
  }

  /// Only the leader tells what is in the database, or two would tell it twice.
  private func forget() {
    for numbers in [workers, tasks, sweeps, artifactBytes, databaseBytes] { numbers.removeAll() }
  }

  /// Counts what is in the database now and then while this coordinator leads, until cancelled: never more than a
  /// fiftieth of the time, however many tasks there are.
  package func watch(
    _ store: any ResultStore, every pause: Duration = .seconds(10), time: Timekeeper = .continuous(),
    isLeading: @Sendable () async -> Bool
  ) async {
    while !Task.isCancelled {
      var took = Duration.zero
      if await isLeading() {
        let began = time.now()
        do {
          let counts = try await store.counts()
          took = time.now() - began
          transactions("counts").observe(took.inSeconds)
          // The lead may have gone meanwhile.
          if await isLeading() { show(counts) } else { forget() }
        } catch {
          // It is tried again; the log has what is wrong with the store from those who need it.
        }
      } else {
        forget()
      }
      guard (try? await time.sleep(max(pause, took * 50))) != nil else { return }
    }
  }

  func show(_ counts: StoreCounts) {
    for state in TaskState.allCases { tasks(state.rawValue).set(counts.tasks[state] ?? 0) }
    for state in SweepState.allCases { sweeps(state.rawValue).set(counts.sweeps[state] ?? 0) }
    artifactBytes().set(counts.artifactBytes)
    databaseBytes().set(counts.databaseBytes)
  }
}
