package import Storage

/// One line of the log: what happened, and to what.
package struct LogEntry: Sendable, Equatable {
  package enum Level: String, Sendable, Comparable, CaseIterable {
    case debug, info, warning, error

    package static func < (a: Level, b: Level) -> Bool {
      (allCases.firstIndex(of: a) ?? 0) < (allCases.firstIndex(of: b) ?? 0)
    }
  }

  package var level: Level
  /// What happened, always in the same words.
  package var message: String
  package var sweep: SweepID?
  package var task: TaskID?
  /// Which attempt at the task: its lease token.
  package var attempt: LeaseToken?
  package var worker: WorkerID?
  /// What else there is to know: an error, a count.
  package var details: [String: String]

  package init(
    _ level: Level, _ message: String, sweep: SweepID? = nil, task: TaskID? = nil, attempt: LeaseToken? = nil,
    worker: WorkerID? = nil, details: [String: String] = [:]
  ) {
    self.level = level
    self.message = message
    self.sweep = sweep
    self.task = task
    self.attempt = attempt
    self.worker = worker
    self.details = details
  }
}

/// Where log lines go. Called from any thread.
package typealias LogSink = @Sendable (LogEntry) -> Void
