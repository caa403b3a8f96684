package import Storage
internal import SweepRecords

/// How a sweep is going: what `status` and `watch` print.
package struct SweepStatus: Sendable {
  private let summary: SweepSummary
  private let progress: SweepProgress
  private let state: ProgressState
  private let workers: [WorkerStatus]
  private let parked: [ParkedTask]
  private let attempts: [TaskID: [TaskAttempt]]
  private let now: Double

  /// - Parameters:
  ///   - rateOver: the seconds over which `progress` counted finished tasks.
  ///   - attempts: at the parked tasks, of as many as are wanted.
  ///   - now: the database's time.
  package init(
    summary: SweepSummary, progress: SweepProgress, rateOver: Double, workers: [WorkerStatus], parked: [ParkedTask],
    attempts: [TaskID: [TaskAttempt]] = [:], now: Double
  ) {
    self.summary = summary
    self.progress = progress
    self.workers = workers.filter { $0.stoppedAt == nil && now - $0.seenAt < Self.lease }
    self.parked = parked
    self.attempts = attempts
    self.now = now
    state = ProgressState(
      progress, elapsed: max((summary.endedAt ?? now) - summary.submittedAt, 0), rateOver: rateOver,
      slots: max(self.workers.count, 1))
  }

  /// Reads all of it from a store: 100 parked tasks at most, and the attempts at the first 20 of them.
  package init(reading store: any ResultStore, sweep: SweepSummary, rateOver: Double = 60) async throws {
    let parked = try await store.parkedTasks(of: sweep.id, limit: 100)
    var attempts: [TaskID: [TaskAttempt]] = [:]
    for task in parked.prefix(20) { attempts[task.id] = try await store.attempts(at: task.id) }
    self.init(
      summary: sweep, progress: try await store.progress(of: sweep.id, rateOver: rateOver), rateOver: rateOver,
      workers: try await store.workers(seenWithin: Self.lease), parked: parked, attempts: attempts,
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
        ("attempts", .list((attempts[task.id] ?? []).map(Self.json))),
      ])
    }
    return .object([
      ("sweep", .text(summary.id.text)), ("name", .text(summary.name)), ("state", .text(summary.state.rawValue)),
      ("tasks", counts(progress.counts)), ("stages", .list(stages)),
      // Tasks a second.
      ("rate", state.tasksPerMinute.map { .number($0 / 60) } ?? .null),
      ("seconds_left", isRunning ? state.secondsLeft.map { .number($0) } ?? .null : .null),
      ("workers", .list(workers)), ("parked", .list(parked)),
      ("problem", summary.problem.map { .text($0) } ?? .null),
    ])
  }

  private static func json(_ attempt: TaskAttempt) -> JSONText {
    .object([
      ("attempt", .integer(Int(attempt.token.number))), ("worker", .text(attempt.worker.text)),
      ("outcome", attempt.outcome.map { .text($0.rawValue) } ?? .null),
      ("seconds", attempt.endedAt.map { .number($0 - attempt.startedAt) } ?? .null),
      ("error", attempt.error.map { .text($0) } ?? .null),
    ])
  }

  // MARK: One line

  /// How far the sweep is, in a line.
  package var line: String {
    var parts = [change]
    if isRunning, let rate = state.tasksPerMinute { parts.append("\(Figure.significant(rate, 2)) a minute") }
    if isRunning, let left = state.secondsLeft { parts.append("\(Figure.duration(left)) left") }
    return parts.joined(separator: ", ")
  }

  /// What of that line is worth another one when it changes.
  package var change: String {
    let counts = progress.counts
    var parts = ["\(title), \(Figure.count(state.done)) of \(Figure.count(state.total)) tasks done"]
    for state in [TaskState.running, .parked] where counts[state] ?? 0 > 0 {
      parts.append("\(Figure.count(counts[state])) \(state.rawValue)")
    }
    if isRunning { parts.append("\(workers.count) \(workers.count == 1 ? "worker" : "workers")") }
    if let problem = summary.problem { parts.append(visible(problem)) }
    return parts.joined(separator: ", ")
  }

  private var title: String {
    "\(visible(summary.name)) (\(summary.id)): \(summary.state.rawValue.replacing("_", with: " "))"
  }

  // MARK: Table

  private func table(width: Int?) -> String {
    var text = title + ", " + "\(Figure.count(state.done)) of \(Figure.count(state.total)) tasks done"
    if isRunning, let rate = state.tasksPerMinute { text += ", \(Figure.significant(rate, 2)) a minute" }
    if isRunning, let left = state.secondsLeft { text += ", \(Figure.duration(left)) left" }
    text += "\n"
    if let problem = summary.problem { text += "problem: \(visible(problem))\n" }
    text += "\n"
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
          + visible(Self.words(worker.condition)) + ", last seen \(Int(max(now - worker.seenAt, 0))) s ago, "
          + "\(Figure.count(worker.finished)) finished\(title)"
        text += (width.map { DisplayWidth.cut(line, to: $0) } ?? line) + "\n"
      }
    }
    if !parked.isEmpty {
      text += "\nfailed for good (`steerscope retry \(summary.id)` tries them again):\n"
      for task in parked {
        let count = attempts[task.id]?.count ?? task.failures
        let tries = count > 1 ? " (\(count) attempts)" : ""
        text += "  \(visible(task.title)): \(visible(task.error))\(tries)\n"
      }
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
