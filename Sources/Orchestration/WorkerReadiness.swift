package import Storage
package import SweepRecords

/// What a worker can't do at present, and until when it does not try: inputs that it can't read, or anything at all.
/// No I/O.
package struct WorkerReadiness: Sendable {
  private struct Trouble: Sendable {
    var reason: String
    var until: Duration
    var backoff: Backoff
  }

  private var inputs: [Digest: Trouble] = [:]
  private var everything: Trouble?
  /// Tasks that were given back for an input, with the time until which their messages are dropped.
  private var avoided: [TaskID: Duration] = [:]
  /// The most tasks and inputs that are remembered.
  private let limit: Int

  package init(limit: Int = 10_000) { self.limit = limit }

  /// A worker fault: the task is avoided for a while, as long as its input is; without an input, everything is.
  package mutating func failed(_ fault: TaskFault, task: TaskID, now: Duration, jitter: Double) {
    guard let input = fault.input else {
      var trouble =
        everything
        ?? Trouble(reason: "", until: now, backoff: Backoff(first: .seconds(5), longest: .seconds(300)))
      trouble.reason = fault.message
      trouble.until = now + trouble.backoff.failed(jitter: jitter)
      everything = trouble
      return
    }
    var trouble =
      inputs[input] ?? Trouble(reason: "", until: now, backoff: Backoff(first: .seconds(60), longest: .seconds(900)))
    trouble.reason = fault.message
    if trouble.until <= now { trouble.until = now + trouble.backoff.failed(jitter: jitter) }
    if inputs.count < limit || inputs[input] != nil { inputs[input] = trouble }
    if avoided.count < limit { avoided[task] = trouble.until }
  }

  /// A task came to an end here: what it needed is well again.
  package mutating func succeeded(with references: [InputReference]) {
    everything = nil
    for case .file(let digest) in references { inputs[digest] = nil }
  }

  /// Whether messages about a task are dropped for the time being.
  package mutating func avoids(_ task: TaskID, now: Duration) -> Bool {
    guard let until = avoided[task] else { return false }
    if until > now { return true }
    avoided[task] = nil
    return false
  }

  /// Why a task that reads these inputs is given back unread; nil when there is nothing against it.
  package func objection(to references: [InputReference], now: Duration) -> TaskFault? {
    for case .file(let digest) in references {
      if let trouble = inputs[digest], trouble.until > now { return TaskFault(.worker, trouble.reason, input: digest) }
    }
    return nil
  }

  /// How long to leave everything alone; zero as a rule.
  package func pause(now: Duration) -> Duration { everything.map { max(.zero, $0.until - now) } ?? .zero }

  /// How often in a row everything failed for a reason of this machine.
  package var failuresInARow: Int { everything?.backoff.failures ?? 0 }

  /// How many tasks are avoided now.
  package func avoidedCount(now: Duration) -> Int { avoided.values.count { $0 > now } }

  /// What is wrong, one reason a line; empty when nothing is.
  package var reasons: [String] {
    (everything.map { [$0.reason] } ?? []) + inputs.sorted { $0.key < $1.key }.map(\.value.reason)
  }

  /// How the worker presents itself.
  package var condition: WorkerCondition {
    reasons.isEmpty ? .ready : .unready(reason: reasons.prefix(8).joined(separator: "; "))
  }
}
