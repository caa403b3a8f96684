package import Storage
internal import SweepRecords

/// How a sweep is going: what `status` and `watch` print.
package struct SweepStatus: Sendable {
  private let summary: SweepSummary
  private let progress: SweepProgress
  private let state: ProgressState
  private let workers: [WorkerStatus]
  private let parked: [ParkedTask]
  private let now: Double

  /// - Parameters:
  ///   - rateOver: the seconds over which `progress` counted finished tasks.
  ///   - now: the database's time.
  package init(
    summary: SweepSummary, progress: SweepProgress, rateOver: Double, workers: [WorkerStatus], parked: [ParkedTask],
    now: Double
  ) {
    self.summary = summary
    self.progress = progress
    self.workers = workers.filter { $0.stoppedAt == nil && now - $0.seenAt < Self.lease }
    self.parked = parked
    self.now = now
    state = ProgressState(
      progress, elapsed: max((summary.endedAt ?? now) - summary.submittedAt, 0), rateOver: rateOver,
      slots: max(self.workers.count, 1))
  }

  /// Reads all of it from a store.
  package init(reading store: any ResultStore, sweep: SweepSummary, rateOver: Double = 60) async throws {
    self.init(
      summary: sweep, progress: try await store.progress(of: sweep.id, rateOver: rateOver), rateOver: rateOver,
      workers: try await store.workers(seenWithin: Self.lease), parked: try await store.parkedTasks(of: sweep.id, limit: 100),
      now: try await store.now())
  }

  /// Seconds without a heartbeat after which a worker counts as gone (protocol.md: the length of a lease).
  private static let lease = 45.0

  /// The status, with a new line at its end.
  package func render(as format: OutputFormat, width: Int? = nil) -> String {
    switch format {
    case .json: json.render()
    case .csv: csv
    case .table: table(width: width)
    }
  }

  // MARK: Formats

  private static let states: [TaskState] = [.blocked, .ready, .queued, .running, .done, .parked, .cancelled]

  private var csv: String {
    CSVText.render(
      columns: ["stage"] + Self.states.map(\.rawValue) + ["seconds_spent", "estimate_left"],
      rows: progress.stages.map { stage in
        [.text(stage.kind.rawValue)] + Self.states.map { .integer(stage.counts[$0] ?? 0) }
          + [.real(stage.secondsSpent), .real(stage.estimateLeft)]
      })
  }

  private var isRunning: Bool { summary.state == .planning || summary.state == .active }

  private var json: JSONText {
    func counts(_ counts: [TaskState: Int]) -> JSONText {
      .object(Self.states.map { ($0.rawValue, .integer(counts[$0] ?? 0)) })
    }
    let stages = progress.stages.map { stage in
      JSONText.object([
        ("stage", .text(stage.kind.rawValue)), ("tasks", counts(stage.counts)),
        ("seconds_spent", .number(stage.secondsSpent)), ("estimate_left", .number(stage.estimateLeft)),
      ])
    }
    let workers = workers.map { worker in
      JSONText.object([
        ("worker", .text(worker.registration.id.text)), ("host", .text(worker.registration.host)),
        ("process", .integer(worker.registration.process)), ("version", .text(worker.registration.version)),
        ("threads", .integer(worker.registration.threads)), ("condition", .text(Self.words(worker.condition))),
        ("seen_seconds_ago", .number(max(now - worker.seenAt, 0))), ("finished", .integer(worker.finished)),
        ("running", .list(worker.running.map { .text($0) })),
      ])
    }
    let parked = parked.map { task in
      JSONText.object([
        ("task", .integer(Int(task.id.number))), ("kind", .text(task.kind.rawValue)),
        ("layer", task.layer.map { .integer($0) } ?? .null), ("title", .text(task.title)),
        ("error", .text(task.error)), ("failures", .integer(task.failures)), ("key", .text(task.key.hex)),
      ])
    }
    return .object([
      ("sweep", .text(summary.id.text)), ("name", .text(summary.name)), ("state", .text(summary.state.rawValue)),
      ("tasks", counts(progress.counts)), ("stages", .list(stages)),
      // Tasks a second.
      ("rate", state.tasksPerMinute.map { .number($0 / 60) } ?? .null),
      ("seconds_left", isRunning ? state.secondsLeft.map { .number($0) } ?? .null : .null),
      ("workers", .list(workers)), ("parked", .list(parked)),
    ])
  }

  private func table(width: Int?) -> String {
    let name = "\(visible(summary.name)) (\(summary.id)): \(summary.state.rawValue.replacing("_", with: " "))"
    var text = name + ", " + "\(Figure.count(state.done)) of \(Figure.count(state.total)) tasks done"
    if isRunning, let rate = state.tasksPerMinute { text += ", \(Figure.significant(rate, 2)) a minute" }
    if isRunning, let left = state.secondsLeft { text += ", \(Figure.duration(left)) left" }
    text += "\n\n"
    let used = Self.states.filter { state in progress.stages.contains { $0.counts[state] ?? 0 > 0 } }
    text += AlignedText.render(
      header: ["stage"] + used.map(\.rawValue) + ["time spent"],
      rows: progress.stages.map { stage in
        [stage.kind.rawValue] + used.map { Figure.count(stage.counts[$0] ?? 0) } + [Figure.duration(stage.secondsSpent)]
      }, right: [false] + used.map { _ in true } + [true], width: width)
    if isRunning || !workers.isEmpty {
      text += "\nworkers alive: \(workers.count)\n"
      for worker in workers.prefix(50) {
        let title = worker.running.first.map { ", runs \(visible($0))" } ?? ""
        let line =
          "  \(visible(worker.registration.host))/\(worker.registration.process): "
          + visible(Self.words(worker.condition)) + ", \(Figure.count(worker.finished)) finished\(title)"
        text += (width.map { DisplayWidth.cut(line, to: $0) } ?? line) + "\n"
      }
    }
    if !parked.isEmpty {
      text += "\nfailed for good (`steerscope retry \(summary.id)` tries them again):\n"
      for task in parked { text += "  \(visible(task.title)): \(visible(task.error))\n" }
    }
    return text
  }

  private static func words(_ condition: WorkerCondition) -> String {
    switch condition {
    case .ready: "ready"
    case .unready(let reason): "unready: \(reason)"
    case .draining: "draining"
    }
  }
}
