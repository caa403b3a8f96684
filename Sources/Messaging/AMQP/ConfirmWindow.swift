/// Publications whose confirmation is awaited, by the sequence numbers that broker and publisher both count from 1.
struct ConfirmWindow<Publication: Sendable>: Sendable {
  /// A publication whose fate is known.
  struct Settled {
    var publication: Publication
    var fate: Fate
    /// From publishing to the broker's word.
    var latency: Duration
  }

  enum Fate: Sendable, Equatable {
    case confirmed, returned, refused
  }

  private struct Entry {
    var publication: Publication
    var since: Duration
    var isReturned = false
  }

  private let limit: Int
  private var entries: [UInt64: Entry] = [:]
  /// No entry is older.
  private var oldest: UInt64 = 1
  private var next: UInt64 = 1

  /// - Parameter limit: how many may be unconfirmed at a time.
  init(limit: Int) { self.limit = max(1, limit) }

  var count: Int { entries.count }
  var hasRoom: Bool { entries.count < limit }

  /// Notes a publication that goes out now.
  mutating func publish(_ publication: Publication, at now: Duration) {
    entries[next] = Entry(publication: publication, since: now)
    next += 1
  }

  /// The broker could route a message to no queue, and says so before it confirms it. Marks the oldest publication that
  /// fits.
  mutating func returned(where fits: (Publication) -> Bool) throws(LinkFault) {
    for number in oldest..<next {
      guard let entry = entries[number], !entry.isReturned, fits(entry.publication) else { continue }
      entries[number]?.isReturned = true
      return
    }
    throw .violation("it returned a message that was not published")
  }

  /// The broker's word on one publication, or on all up to it (number 0: all there are).
  mutating func settle(
    _ number: UInt64, multiple: Bool, isAcknowledged: Bool, at now: Duration
  ) throws(LinkFault) -> [Settled] {
    guard number < next, number > 0 || multiple else { throw .violation("it confirmed what was not published") }
    let last = number == 0 ? next - 1 : number
    guard !multiple else {
      guard oldest <= last else { return [] }
      let settled = (oldest...last).compactMap { settle($0, isAcknowledged, now) }
      oldest = last + 1
      return settled
    }
    let settled = settle(last, isAcknowledged, now)
    while oldest < next, entries[oldest] == nil { oldest += 1 }
    return settled.map { [$0] } ?? []
  }

  private mutating func settle(_ number: UInt64, _ isAcknowledged: Bool, _ now: Duration) -> Settled? {
    guard let entry = entries.removeValue(forKey: number) else { return nil }
    let fate: Fate = isAcknowledged ? (entry.isReturned ? .returned : .confirmed) : .refused
    return Settled(publication: entry.publication, fate: fate, latency: now - entry.since)
  }

  /// The channel is gone: what was unconfirmed stays unknown, and counting begins anew. In order of publishing.
  mutating func lose() -> [Publication] {
    let lost = entries.sorted { $0.key < $1.key }.map(\.value.publication)
    self = Self(limit: limit)
    return lost
  }
}
