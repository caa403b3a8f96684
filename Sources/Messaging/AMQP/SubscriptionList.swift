internal import SweepRecords

/// How far the consumption of each queue has come on a channel. One step is underway at a time, so that what waits in
/// the more urgent queue arrives before the next is asked for anything.
struct SubscriptionList: Sendable {
  enum Step: Equatable {
    /// Ask on the other channel whether the queue is there: a missing one would cost this channel.
    case probe(SweepPriority)
    case consume(SweepPriority)
    /// A round trip to the queue, behind which its waiting messages have come.
    case settle(SweepPriority)
  }

  private enum State: Equatable {
    case missing(retryAt: Duration)
    case probing(request: Int)
    case probed, asked, consumed, active
    case cancelled
  }

  private var states: [SweepPriority: State] = [:]
  /// Whose messages are on their way, once consumed.
  private var settling: SweepPriority?
  private var policies: [SweepPriority: ReconnectPolicy] = [:]

  init() { lose() }

  /// The channel is gone.
  mutating func lose() {
    for priority in SweepPriority.allCases { states[priority] = .missing(retryAt: .zero) }
    settling = nil
  }

  /// Whether an answer is awaited.
  var isAsking: Bool {
    settling != nil
      || states.values.contains { state in
        switch state {
        case .probing, .asked: true
        case .missing, .probed, .consumed, .active, .cancelled: false
        }
      }
  }

  var hasActive: Bool { states.values.contains(.active) }

  /// When a queue that was missing is to be tried again.
  var retryAt: Duration? {
    isAsking
      ? nil
      : states.values.compactMap { if case .missing(let time) = $0 { time } else { nil } }.min()
  }

  /// What to do next; `took` says that it is done.
  ///
  /// - Parameter wantsMore: whether another queue is to be consumed, too.
  func next(now: Duration, wantsMore: Bool) -> Step? {
    guard !isAsking else { return nil }
    for priority in SweepPriority.allCases {
      switch states[priority] {
      case .missing(let retryAt) where wantsMore && retryAt <= now: return .probe(priority)
      case .probed where wantsMore: return .consume(priority)
      case .consumed: return .settle(priority)
      default: continue
      }
    }
    return nil
  }

  /// Notes that a step is taken.
  mutating func took(_ step: Step, request: Int = 0) {
    switch step {
    case .probe(let priority): states[priority] = .probing(request: request)
    case .consume(let priority): states[priority] = .asked
    case .settle(let priority): settling = priority
    }
  }

  /// The answer to a probe. Returns the queue's priority.
  mutating func probed(_ request: Int, isThere: Bool, now: Duration) -> SweepPriority? {
    guard let priority = states.first(where: { $0.value == .probing(request: request) })?.key else { return nil }
    states[priority] = isThere ? .probed : .missing(retryAt: now + wait(priority))
    return priority
  }

  mutating func consumed(_ priority: SweepPriority?) throws(LinkFault) {
    guard let priority, states[priority] == .asked else {
      throw .violation("a consumption that was not asked for")
    }
    states[priority] = .consumed
  }

  mutating func settled() throws(LinkFault) {
    guard let priority = settling else { throw .violation("an answer that was not asked for") }
    settling = nil
    // It may have been cancelled meanwhile.
    guard states[priority] == .consumed else { return }
    states[priority] = .active
    policies[priority] = nil
  }

  /// The broker cancelled a consumption: its queue was deleted, or its leader moved.
  /// Returns false where there was none.
  mutating func cancelled(_ priority: SweepPriority, now: Duration) -> Bool {
    switch states[priority] {
    case .consumed, .active:
      states[priority] = .missing(retryAt: now + wait(priority))
      return true
    default: return false
    }
  }

  /// A consumption to cancel because no more is wanted; each once.
  mutating func nextToCancel() -> SweepPriority? {
    for priority in SweepPriority.allCases {
      switch states[priority] {
      case .consumed, .active:
        states[priority] = .cancelled
        return priority
      default: continue
      }
    }
    return nil
  }

  /// What was cancelled because no more was wanted is wanted again.
  mutating func resume() {
    for priority in SweepPriority.allCases where states[priority] == .cancelled {
      states[priority] = .missing(retryAt: .zero)
    }
  }

  private mutating func wait(_ priority: SweepPriority) -> Duration {
    policies[priority, default: ReconnectPolicy()].failed(afterHolding: .zero, jitter: 1)
  }
}
