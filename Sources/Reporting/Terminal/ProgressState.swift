package import Storage
internal import SweepRecords

/// How far a sweep is, as it is shown while it runs.
package struct ProgressState: Sendable, Equatable {
  /// Tasks of one kind.
  package struct Stage: Sendable, Equatable {
    package var name: String
    package var done: Int
    package var total: Int

    package init(name: String, done: Int, total: Int) {
      self.name = name
      self.done = done
      self.total = total
    }
  }

  /// A task in work.
  package struct Running: Sendable, Equatable {
    package var title: String
    /// 0...1.
    package var fraction: Double

    package init(title: String, fraction: Double) {
      self.title = title
      self.fraction = fraction
    }
  }

  /// In the order in which they run.
  package var stages: [Stage]
  package var parked: Int
  /// Seconds since the run began.
  package var elapsed: Double
  /// Nil while nothing has ended.
  package var tasksPerMinute: Double?
  /// Nil while it can't be told.
  package var secondsLeft: Double?
  package var running: [Running]

  package init(
    stages: [Stage], parked: Int = 0, elapsed: Double = 0, tasksPerMinute: Double? = nil, secondsLeft: Double? = nil,
    running: [Running] = []
  ) {
    self.stages = stages
    self.parked = parked
    self.elapsed = elapsed
    self.tasksPerMinute = tasksPerMinute
    self.secondsLeft = secondsLeft
    self.running = running
  }

  /// What the store says, with what runs in this process.
  ///
  /// - Parameters:
  ///   - rateOver: the seconds over which `progress` counted finished tasks.
  ///   - slots: how many tasks run at a time.
  package init(
    _ progress: SweepProgress, running: [Running] = [], elapsed: Double, rateOver: Double, slots: Int = 1
  ) {
    stages = progress.stages.map { stage in
      let cancelled = stage.counts[.cancelled] ?? 0
      return Stage(
        name: stage.kind.rawValue, done: stage.counts[.done] ?? 0,
        total: stage.counts.values.reduce(0, +) - cancelled)
    }
    parked = progress.counts[.parked] ?? 0
    self.elapsed = elapsed
    let window = min(max(rateOver, 1), max(elapsed, 1))
    tasksPerMinute = progress.finishedRecently > 0 ? Double(progress.finishedRecently) / window * 60 : nil
    self.running = running
    secondsLeft = Self.secondsLeft(progress, running: running, slots: slots)
  }

  /// Tasks yet to run, each for as long as those of its kind took so far, or as long as was estimated where there are none.
  private static func secondsLeft(_ progress: SweepProgress, running: [Running], slots: Int) -> Double? {
    guard progress.stages.contains(where: { $0.finishedAttempts > 0 }) else { return nil }
    var seconds = 0.0
    for stage in progress.stages {
      let ended = [TaskState.done, .cancelled, .parked].reduce(0) { $0 + (stage.counts[$1] ?? 0) }
      let open = stage.counts.values.reduce(0, +) - ended
      guard open > 0 else { continue }
      if stage.finishedAttempts > 0 {
        let mean = stage.secondsSpent / Double(stage.finishedAttempts)
        seconds += mean * Double(open)
        if stage.counts[.running] ?? 0 > 0 { seconds -= mean * min(running.first?.fraction ?? 0, 1) }
      } else {
        seconds += stage.estimateLeft
      }
    }
    return max(seconds, 0) / Double(max(slots, 1))
  }

  package var done: Int { stages.reduce(0) { $0 + $1.done } }
  package var total: Int { stages.reduce(0) { $0 + $1.total } }
  /// The stages that are neither finished nor yet to begin; where there is none, the first that is not finished.
  var current: Stage? {
    stages.first { $0.done > 0 && $0.done < $0.total } ?? stages.first { $0.done < $0.total }
  }
}
