internal import Storage
internal import SweepRecords

/// What a task may use, and what becomes of one that uses more: it is stopped and failed with what it used and the
/// limit, before the kernel ends the process without a word.
extension Worker {
  var hasLimits: Bool { settings.taskSeconds != nil || settings.memoryLimit != nil }

  /// Looks at a running task until it ends; stops it when it uses more than it may, and lets go of it when it does not
  /// stop.
  func watchLimits(of lease: TaskLease, since began: Duration) async {
    while (try? await time.sleep(settings.watchEvery)) != nil, let task = running[lease] {
      guard let overrun = overrun(after: (time.now() - began).inSeconds) else { continue }
      overruns[lease] = overrun
      events(.overran(lease.task, overrun))
      task.monitor.stop()
      guard (try? await time.sleep(settings.grace)) != nil else { return }
      running[lease]?.abandon()
      return
    }
  }

  private func overrun(after seconds: Double) -> Overrun? {
    if let limit = settings.taskSeconds, seconds > limit { return .time(limit: limit) }
    if let limit = settings.memoryLimit, let used = memoryInUse(), used > limit {
      return .memory(used: used, limit: limit)
    }
    return nil
  }

  /// Decides whether the process can go on after a task that used too much.
  func note(_ overrun: Overrun, hasStopped: Bool) {
    if !hasStopped {
      // Its thread still computes, and holds whatever it holds.
      unfit = "a task would not stop"
    } else if case .memory = overrun {
      unfit = "a task used too much memory"
    }
  }

  /// Too long: a slow machine may have been at fault once, so it is tried again; after any failure before it is the
  /// task's own. Too much memory: counted and tried again, as a larger machine may have enough.
  static func fault(of overrun: Overrun, task: ClaimedTask, host: String) -> TaskFault {
    switch overrun {
    case .time(let limit):
      TaskFault(task.failures == 0 ? .transient : .task, "took longer than \(Self.number(limit)) s on \(host)")
    case .memory(let used, let limit):
      TaskFault(
        .transient,
        "used \(used >> 20) MiB of memory on \(host), where \(limit >> 20) MiB are allowed: give workers more memory, "
          + "or fewer threads")
    }
  }

  private static func number(_ seconds: Double) -> String {
    seconds == seconds.rounded() && seconds < 1e15 ? "\(Int(seconds))" : "\(seconds)"
  }
}
