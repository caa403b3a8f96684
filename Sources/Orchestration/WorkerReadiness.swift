package import Storage
package import SweepRecords

/// What a worker can't do at present, and until when it does not try: inputs that it can't read, or anything at all.
/// No I/O.
///
/// A worker among others that met such a task rests for a while, ever longer unless it succeeds at something: it would
/// take
/// messages faster than those who can do the work. One that is alone goes on with what it can do, and lets the messages
/// of
/// such tasks pass.
package struct WorkerReadiness: Sendable {
  private struct Trouble: Sendable {
    var reason: String
    var until: Duration
    var backoff: Backoff
  }

  private let isAlone: Bool
  private var inputs: [Digest: Trouble] = [:]
  private var everything: Trouble?
  /// Rests after faults about an input, when not alone.
  private var rest = Backoff(first: .seconds(1), longest: .seconds(60))
  private var restUntil: Duration = .zero
  /// When alone: tasks that were given back for an input, with the time until which their messages are dropped.
  private var avoided: [TaskID: Duration] = [:]
  /// The most tasks and inputs that are remembered.
  private let limit: Int

  package init(isAlone: Bool, limit: Int = 10_000) {
    self.isAlone = isAlone
    self.limit = limit
  }

  /// A worker fault: what needs the input is avoided for a while; without an input, everything is.
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
    guard isAlone else {
      restUntil = max(restUntil, now + rest.failed(jitter: jitter))
      return
    }
    if avoided.count >= limit { avoided = avoided.filter { $0.value > now } }
    if avoided.count < limit { avoided[task] = trouble.until }
  }

  /// A task came to an end here: what it needed is well again.
  package mutating func succeeded(with references: [InputReference]) {
    everything = nil
    rest.succeeded()
    for case .file(let digest) in references { inputs[digest] = nil }
  }

  /// Whether messages about a task are dropped for the time being.
  package func avoids(_ task: TaskID, now: Duration) -> Bool { avoided[task].map { $0 > now } ?? false }

  /// Why a task that reads these inputs is given back unread; nil when there is nothing against it.
  package func objection(to references: [InputReference], now: Duration) -> TaskFault? {
    for case .file(let digest) in references {
      if let trouble = inputs[digest], trouble.until > now { return TaskFault(.worker, trouble.reason, input: digest) }
    }
    return nil
  }

  /// How long to leave everything alone; zero as a rule.
  package func pause(now: Duration) -> Duration { max(.zero, (everything?.until ?? now) - now, restUntil - now) }

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
