internal import SweepRecords

/// What a consumer holds: deliveries that wait here for their turn, those in the caller's hands, and acknowledgements
/// that are still to be sent. Tags belong to one epoch: they mean nothing after their channel is gone.
struct DeliveryLedger: Sendable {
  private enum Mark: Sendable {
    /// Here, or in the caller's hands.
    case open
    /// Acknowledged by the caller; the broker does not know yet.
    case acknowledged
    /// The broker knows.
    case told
  }

  /// How many deliveries the caller holds at most.
  private(set) var prefetch: Int
  private(set) var epoch: UInt64
  private var buffered: [SweepPriority: FirstInFirstOut<Delivery>] = [:]
  private var inHand: Set<UInt64> = []
  /// The marks of tags from `base` on; the broker numbers deliveries of a channel from 1 without gaps.
  private var marks: [Mark] = []
  private var base: UInt64 = 1
  private var acknowledgements = 0
  private var refusals: [ClientMethod] = []

  init(prefetch: Int, epoch: UInt64 = 1) {
    self.prefetch = max(1, prefetch)
    self.epoch = epoch
  }

  var bufferedCount: Int { buffered.values.reduce(0) { $0 + $1.count } }
  var inHandCount: Int { inHand.count }
  /// How many more the caller may take.
  var room: Int { max(0, prefetch - inHand.count) }
  var hasOutput: Bool { acknowledgements > 0 || !refusals.isEmpty }

  /// A new channel: everything held has gone back to the queue.
  mutating func begin(epoch: UInt64) { self = DeliveryLedger(prefetch: prefetch, epoch: epoch) }

  /// The caller holds more or fewer from now on. What waits beyond fewer goes back, the least urgent first.
  mutating func resize(to prefetch: Int) {
    let isSmaller = prefetch < self.prefetch
    self.prefetch = max(1, prefetch)
    guard isSmaller else { return }
    var excess: [UInt64] = []
    var kept = 0
    for priority in SweepPriority.allCases {
      var queue = FirstInFirstOut<Delivery>()
      while let delivery = buffered[priority]?.popFirst() {
        if kept < room { queue.append(delivery) } else { excess.append(delivery.tag.number) }
        kept += 1
      }
      buffered[priority] = queue
    }
    for tag in excess.sorted() { giveBack(tag) }
  }

  /// The broker delivered something. Returns its tag.
  mutating func delivered(_ number: UInt64) throws(LinkFault) -> DeliveryTag {
    guard number == base + UInt64(marks.count) else { throw .violation("a delivery tag out of order") }
    marks.append(.open)
    return DeliveryTag(epoch: epoch, number: number)
  }

  /// Keeps a delivery until the caller takes it.
  mutating func keep(_ delivery: Delivery) { buffered[delivery.priority, default: .init()].append(delivery) }

  /// Hands out deliveries, the more urgent first.
  mutating func take(upTo limit: Int) -> [Delivery] {
    var taken: [Delivery] = []
    let count = min(limit, room)
    for priority in SweepPriority.allCases {
      while taken.count < count, let delivery = buffered[priority]?.popFirst() { taken.append(delivery) }
    }
    inHand.formUnion(taken.map(\.tag.number))
    return taken
  }

  /// The caller is done with a delivery. False when it was not in its hands (twice, or of an earlier epoch).
  @discardableResult
  mutating func acknowledge(_ tag: DeliveryTag) -> Bool {
    guard tag.epoch == epoch, inHand.remove(tag.number) != nil else { return false }
    mark(tag.number, .acknowledged)
    acknowledgements += 1
    return true
  }

  /// Sends a delivery to the dead letters, whether in the caller's hands or refused before it got there.
  @discardableResult
  mutating func reject(_ tag: DeliveryTag, isInHand: Bool = true) -> Bool {
    guard tag.epoch == epoch, !isInHand || inHand.remove(tag.number) != nil else { return false }
    mark(tag.number, .told)
    refusals.append(.reject(tag.number))
    return true
  }

  /// Gives back what the caller has not taken.
  mutating func giveBackBuffered() {
    let tags = SweepPriority.allCases.flatMap { priority in
      var tags: [UInt64] = []
      while let delivery = buffered[priority]?.popFirst() { tags.append(delivery.tag.number) }
      return tags
    }
    for tag in tags.sorted() { giveBack(tag) }
  }

  mutating func giveBack(_ number: UInt64) {
    mark(number, .told)
    refusals.append(.giveBack(number))
  }

  /// The next settlement to send: one acknowledgement for all of a closed row of tags, single ones behind a gap.
  mutating func output() -> ClientMethod? {
    if let refusal = refusals.first {
      refusals.removeFirst()
      return refusal
    }
    guard acknowledgements > 0 else { return nil }
    let closed = marks.firstIndex { $0 == .open } ?? marks.count
    if let last = marks[..<closed].lastIndex(of: .acknowledged) {
      let count = marks[...last].count { $0 == .acknowledged }
      let tag = base + UInt64(last)
      acknowledgements -= count
      marks.removeFirst(closed)
      base += UInt64(closed)
      return .ack(tag, multiple: count > 1)
    }
    guard let index = marks.firstIndex(of: .acknowledged) else {
      acknowledgements = 0
      return nil
    }
    marks[index] = .told
    acknowledgements -= 1
    return .ack(base + UInt64(index), multiple: false)
  }

  private mutating func mark(_ number: UInt64, _ mark: Mark) {
    guard number >= base, number - base < UInt64(marks.count) else { return }
    marks[Int(number - base)] = mark
    guard mark == .told, marks.first == .told else { return }
    let told = marks.firstIndex { $0 != .told } ?? marks.count
    marks.removeFirst(told)
    base += UInt64(told)
  }
}
