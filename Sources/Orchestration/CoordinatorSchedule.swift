/// When a coordinator does what: a pure function of the time and of what was reported to it. No I/O, no waiting.
package struct CoordinatorSchedule: Sendable {
  /// What there is to do, in the order in which it is done when several are due.
  package enum Duty: Int, Sendable, CaseIterable, Comparable {
    /// Take the lead, or renew it.
    case lead
    /// Take expired leases away.
    case reap
    /// Count live workers.
    case census
    /// Plan the next piece of a sweep.
    case expand
    /// Dispatch what is ready.
    case dispatch
    /// End sweeps with nothing left to run.
    case settle
    /// Count dependencies anew.
    case recount

    package static func < (a: Duty, b: Duty) -> Bool { a.rawValue < b.rawValue }

    package var lane: Lane {
      switch self {
      case .lead: .lead
      case .expand: .planning
      case .dispatch: .messages
      case .reap, .census, .settle, .recount: .upkeep
      }
    }
  }

  /// Duties of one lane are done one after the other, lanes side by side.
  package enum Lane: Sendable, CaseIterable {
    case lead, upkeep, planning, messages
  }

  private let intervals: [Duty: Duration]
  /// How often who doesn't lead looks whether the place is free.
  private let candidacy: Duration
  private var due: [Duty: Duration] = [.lead: .zero]
  package private(set) var isLeading = false

  /// - Parameters:
  ///   - intervals: how long after it was done a duty is due again; never when missing.
  ///   - candidacy: how long after it looked for the lead in vain a coordinator looks again.
  package init(intervals: [Duty: Duration], candidacy: Duration) {
    self.intervals = intervals
    self.candidacy = candidacy
  }

  /// What is due, in order. Who doesn't lead only tries to.
  package func duties(at now: Duration) -> [Duty] {
    Duty.allCases.filter { duty in due[duty].map { $0 <= now } ?? false }
  }

  /// When something is due next; nil for never.
  package var next: Duration? { due.values.min() }

  /// When something of a lane is due next; nil for never.
  package func next(in lane: Lane) -> Duration? { due.lazy.filter { $0.key.lane == lane }.map(\.value).min() }

  /// A duty was done; `again` when there is more of it at once.
  package mutating func did(_ duty: Duty, at now: Duration, again: Bool = false) {
    guard isLeading else {
      if duty == .lead { due[duty] = now + candidacy }
      return
    }
    due[duty] = again ? now : intervals[duty].map { now + $0 }
  }

  /// A duty is due now.
  package mutating func hurry(_ duty: Duty, at now: Duration) {
    guard isLeading else { return }
    due[duty] = now
  }

  /// A duty failed for a passing reason: not before then.
  package mutating func postpone(_ duty: Duty, until time: Duration) {
    if isLeading || duty == .lead { due[duty] = time }
  }

  /// Leads from now on: everything is due but the recount, which is no part of a start.
  package mutating func tookLead(at now: Duration) {
    isLeading = true
    for duty in Duty.allCases where duty != .lead {
      due[duty] = intervals[duty].map { duty == .recount ? now + $0 : now }
    }
  }

  /// Leads no more: tries again in a while.
  package mutating func lostLead(at now: Duration) {
    isLeading = false
    due = [.lead: now + candidacy]
  }
}

/// How many tasks may be queued: enough for workers never to wait, few enough for urgent sweeps to get through and for
/// a
/// lost queue to cost little.
package struct DispatchWindow: Sendable {
  /// Tasks for each live worker, at least.
  package var perWorker: Int
  package var limit: Int
  /// Seconds of work, at the present rate, that the queue should hold.
  package var seconds: Double
  /// Live workers.
  package var workers = 1
  private var rate = 0.0
  private var dispatched = 0
  private var since: Duration = .zero

  package init(perWorker: Int = 4, limit: Int = 2000, seconds: Double = 4) {
    self.perWorker = perWorker
    self.limit = limit
    self.seconds = seconds
  }

  /// So many tasks were dispatched just now; measures the rate over pieces of a second and more.
  package mutating func dispatched(_ count: Int, at now: Duration) {
    dispatched += count
    let elapsed = (now - since).inSeconds
    guard elapsed >= 1 else { return }
    rate = Double(dispatched) / elapsed
    dispatched = 0
    since = now
  }

  package var size: Int { min(limit, max(perWorker * max(1, workers), Int(min(rate * seconds, 1e9)))) }
}
