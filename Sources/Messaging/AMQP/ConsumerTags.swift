internal import SweepRecords

/// The tags of a worker's consumers on a channel: its name, the queue's priority, and a generation, which is another for
/// each prefetch, so that what is on its way for an earlier consumer is told from what a new one brings.
struct ConsumerTags: Sendable {
  private let name: String
  private var generation = 0
  /// The first generation whose consumers were on this channel.
  private var oldest = 0

  init(name: String) {
    // A tag is a short string: 255 bytes with all its parts.
    self.name = String(decoding: name.utf8.prefix(200), as: UTF8.self)
  }

  /// The next generation, on the same channel.
  mutating func renew() { generation += 1 }

  /// A new channel: nothing comes for earlier generations any more.
  mutating func forgetEarlier() { oldest = generation }

  func tag(of priority: SweepPriority) -> String { tag(of: priority, generation) }

  /// The queue of a consumer that is or was on this channel, and whether it is of the present generation; nil for a tag
  /// that never was one.
  func consumer(_ tag: String) -> (priority: SweepPriority, isCurrent: Bool)? {
    let parts = tag.dropFirst(name.count + 1).split(separator: ".", omittingEmptySubsequences: false)
    guard let word = parts.first, let priority = SweepPriority(rawValue: String(word)) else { return nil }
    let generation = parts.count > 1 ? Int(parts[1]) : 0
    guard let generation, (oldest...self.generation).contains(generation), tag == self.tag(of: priority, generation)
    else { return nil }
    return (priority, generation == self.generation)
  }

  private func tag(of priority: SweepPriority, _ generation: Int) -> String {
    "\(name).\(priority.rawValue)" + (generation == 0 ? "" : ".\(generation)")
  }
}
