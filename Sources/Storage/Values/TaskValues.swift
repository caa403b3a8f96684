package import SweepRecords

/// A task's id in one database.
package struct TaskID: Hashable, Sendable, Comparable, CustomStringConvertible {
  package let number: Int64
  package init(_ number: Int64) { self.number = number }
  package var description: String { "\(number)" }
  package static func < (a: TaskID, b: TaskID) -> Bool { a.number < b.number }
}

/// Proof of leadership; larger for every new leader.
package struct LeaderToken: Hashable, Sendable {
  package let number: Int64
  package init(_ number: Int64) { self.number = number }
}

/// Proof that a task is a worker's: larger for every claim in the database, never used again.
package struct LeaseToken: Hashable, Sendable, Comparable {
  package let number: Int64
  package init(_ number: Int64) { self.number = number }
  package static func < (a: LeaseToken, b: LeaseToken) -> Bool { a.number < b.number }
}

/// A task in a worker's hands.
package struct TaskLease: Hashable, Sendable {
  package var task: TaskID
  package var token: LeaseToken

  package init(task: TaskID, token: LeaseToken) {
    self.task = task
    self.token = token
  }
}

/// One dispatch of a task: the message id `task:dispatch`.
package struct DispatchID: Hashable, Sendable, CustomStringConvertible {
  package var task: TaskID
  package var dispatch: Int

  package init(task: TaskID, dispatch: Int) {
    self.task = task
    self.dispatch = dispatch
  }

  package var description: String { "\(task):\(dispatch)" }
}

/// How much is dispatched, and when again.
package struct DispatchPolicy: Sendable {
  /// How many tasks may be `queued`, a few times the live slots. A priority's queue counts what is as urgent or more,
  /// so that an urgent sweep never waits for room.
  package var window: Int
  /// Seconds after which a queued task is dispatched again; doubled for each time nobody claimed it, up to 64 times.
  package var redispatchAfter: Double
  /// The most tasks a call returns.
  package var limit: Int
  /// Not nil: as if there were only this sweep.
  package var only: SweepID?

  package init(window: Int, redispatchAfter: Double = 60, limit: Int = 1000, only: SweepID? = nil) {
    self.window = window
    self.redispatchAfter = redispatchAfter
    self.limit = limit
    self.only = only
  }
}

/// A task to ring the bell for: what a message says.
package struct DispatchedTask: Sendable, Equatable {
  package var id: DispatchID
  /// The active sweep on whose behalf it is dispatched, and its queue.
  package var sweep: SweepID
  package var priority: SweepPriority
  package var kind: TaskKind
  package var layer: Int?
  /// The canonical JSON of its `TaskWork`.
  package var work: String
}

/// When the reaper takes a lease away.
package struct ReapPolicy: Sendable {
  /// Failures at which a task is parked.
  package var failureLimit: Int
  /// How long leases are: after a restart of the database nothing is reaped for so long.
  package var lease: Double
  /// Takes leases that have not expired too: for a process that holds the `RunLock`, and so knows that no worker lives.
  package var everyLease: Bool

  package init(failureLimit: Int = 5, lease: Double = 45, everyLease: Bool = false) {
    self.failureLimit = failureLimit
    self.lease = lease
    self.everyLease = everyLease
  }
}

/// A task whose lease was taken away.
package struct ReapedTask: Sendable, Equatable {
  /// The lease that was taken: its token is the attempt's.
  package var lease: TaskLease
  /// The oldest sweep that wants the task; nil when none does any more.
  package var sweep: SweepID?
  package var worker: WorkerID
  /// Why: what is known of the worker.
  package var error: String
  /// `ready`, `parked`, or `cancelled` when nobody wants it any more.
  package var state: TaskState
}

/// A group of dependencies whose counter was wrong: a fault in this program or a hand in the database.
package struct CounterCorrection: Sendable, Equatable {
  package var group: Int64
  package var stored: Int
  package var counted: Int
}

/// A task that a worker may now run.
package struct ClaimedTask: Sendable, Equatable {
  package var lease: TaskLease
  package var key: Digest
  package var kind: TaskKind
  /// The canonical JSON of its `TaskWork`.
  package var work: String
  package var files: [FileReference]
  package var layer: Int?
  package var title: String
  package var estimate: Double
  /// How often it has failed before.
  package var failures: Int
  /// The sweeps that want it.
  package var sweeps: [SweepID]
}

/// Why a task could not be claimed.
package enum ClaimMiss: String, Sendable, CaseIterable {
  /// Some worker has it.
  case running
  /// It is done, parked or cancelled.
  case ended
  /// It failed not long ago, and is not due yet.
  case notDue = "not_due"
  /// It waits for others.
  case blocked
  /// No sweep that wants it is active: paused, or cancelled.
  case inactive
  /// The sweeps that want it were planned for another numerics version.
  case otherNumerics = "other_numerics"
  /// There is no such task.
  case missing
  /// It could be claimed now.
  case free

  /// - Parameters:
  ///   - isDue: whether its back-off is over.
  ///   - activeSweeps: how many active sweeps want it.
  ///   - ofNumerics: how many of them are of the worker's numerics version.
  init(state: TaskState, isDue: Bool, activeSweeps: Int, ofNumerics: Int) {
    self =
      switch state {
      case .running: .running
      case .done, .parked, .cancelled: .ended
      case .blocked: .blocked
      case .ready, .queued:
        activeSweeps == 0 ? .inactive : ofNumerics == 0 ? .otherNumerics : isDue ? .free : .notDue
      }
  }
}

/// A task that was computed, and what came out.
package struct FinishedTask: Sendable {
  package var lease: TaskLease
  package var result: TaskResult
  /// What the task said while it ran, for people; empty as a rule.
  package var log: String

  package init(lease: TaskLease, result: TaskResult, log: String = "") {
    self.lease = lease
    self.result = result
    self.log = log
  }
}

/// How a finish ended.
package enum FinishOutcome: Sendable, Equatable {
  /// Stored.
  case done
  /// This very lease has finished the task before: a reply was lost, nothing was written now.
  case alreadyDone
  /// The lease was no longer this worker's; nothing was stored.
  case fenced
}

/// A task that could not be computed.
package struct TaskFailure: Sendable {
  package enum Fault: String, Sendable, CaseIterable {
    /// The task's own: bad parameter, result that is not finite. It would fail again anywhere.
    case task
    /// Passing: a connection, a time-out.
    case transient
  }
  package var lease: TaskLease
  package var fault: Fault
  package var error: String
  package var log: String
  /// 0..<1, drawn by the caller: spreads retries over the second half of the back-off.
  package var jitter: Double

  package init(lease: TaskLease, fault: Fault, error: String, log: String = "", jitter: Double) {
    self.lease = lease
    self.fault = fault
    self.error = error
    self.log = log
    self.jitter = jitter
  }
}

/// How failed tasks are tried again: after `base` x 2^(failures - 1) seconds, at most `longest`, less up to half by
/// jitter.
package struct RetryPolicy: Sendable {
  package var failureLimit: Int
  package var base: Double
  package var longest: Double

  package init(failureLimit: Int = 5, base: Double = 2, longest: Double = 300) {
    self.failureLimit = failureLimit
    self.base = base
    self.longest = longest
  }

  /// Seconds to wait after the `failures`-th failure.
  package func delay(failures: Int, jitter: Double) -> Double {
    var delay = base
    for _ in 1..<max(1, min(failures, 64)) { delay = min(delay * 2, longest) }
    return min(delay, longest) * (0.5 + 0.5 * min(max(jitter, 0), 1))
  }
}

/// Where a failed task is now.
package enum FailOutcome: Sendable, Equatable {
  case parked
  /// Ready again from this time on, seconds since 1970.
  case retry(notBefore: Double)
  /// No sweep wants it any more.
  case cancelled
  /// The lease was no longer this worker's; nothing was changed.
  case fenced
}

/// A task by key: where it is.
package struct TaskStatus: Sendable, Equatable {
  package var id: TaskID
  package var key: Digest
  package var kind: TaskKind
  package var state: TaskState
  package var title: String
  package var failures: Int
}

/// A task that has failed for good.
package struct ParkedTask: Sendable, Equatable {
  package var id: TaskID
  package var key: Digest
  package var kind: TaskKind
  package var layer: Int?
  package var title: String
  package var error: String
  package var failures: Int
  package var parkedAt: Double
  /// The canonical JSON of its `TaskWork`: its input.
  package var work: String
  package var sweeps: [SweepID]
}

/// One time that a worker had a task.
package struct TaskAttempt: Sendable, Equatable {
  package enum Outcome: String, Sendable, CaseIterable {
    case done, failed, expired, released, cancelled
  }
  package var token: LeaseToken
  package var worker: WorkerID
  package var startedAt: Double
  package var endedAt: Double?
  /// Nil while it runs.
  package var outcome: Outcome?
  package var error: String?
  package var log: String?
}
