package import Storage
package import SweepRecords

/// How far an embedded run is, for a progress bar.
package struct RunProgress: Sendable, Equatable {
  /// One kind of task.
  package struct Stage: Sendable, Equatable {
    package var kind: TaskKind
    package var done: Int
    package var total: Int
  }
  /// A task being computed.
  package struct Current: Sendable, Equatable {
    package var title: String
    /// The part of it that is done, 0...1.
    package var fraction: Double
  }

  package var sweep: SweepID
  package var state: SweepState
  package var stages: [Stage]
  package var done: Int
  /// All tasks but cancelled ones; rises while the sweep is being planned.
  package var total: Int
  package var parked: Int
  /// Tasks a second, of late.
  package var rate: Double
  /// Nil while nothing is known.
  package var secondsLeft: Double?
  package var current: [Current]
  /// What keeps this machine from some tasks; empty as a rule.
  package var troubles: [String]
}

extension SweepProgress {
  /// Seconds until a sweep is done: what a task of each kind took so far times what is left of the kind; the plan's
  /// estimate for kinds of which none has finished.
  ///
  /// - Parameters:
  ///   - workers: how many tasks run at a time.
  ///   - threads: how many threads a task has.
  package func secondsLeft(workers: Int, threads: Int) -> Double? {
    let open: [TaskState] = [.blocked, .ready, .queued, .running]
    var seconds = 0.0
    for stage in stages {
      let left = open.reduce(0) { $0 + stage.counts[$1, default: 0] }
      if stage.finishedAttempts > 0 {
        seconds += Double(left) * stage.secondsSpent / Double(stage.finishedAttempts)
      } else if left > 0 {
        seconds += stage.estimateLeft / Double(max(1, threads))
      }
    }
    return stages.isEmpty || !seconds.isFinite ? nil : seconds / Double(max(1, workers))
  }
}
