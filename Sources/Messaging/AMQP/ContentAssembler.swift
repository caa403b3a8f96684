/// Puts messages together from the frames in which they come, one channel's; never holds more than a message may have.
struct ContentAssembler: Sendable {
  /// A message with the method that announced it.
  struct Content: Sendable, Equatable {
    var method: BrokerMethod
    var messageID: String
    /// Nil for a body over the limit, which was let go as it came.
    var body: [UInt8]?
    var size: UInt64
  }

  private enum State {
    case idle
    case announced(BrokerMethod)
    case collecting(BrokerMethod, ContentHeader, received: UInt64, [UInt8])
  }

  private let limit: Int
  private var state = State.idle

  init(limit: Int) { self.limit = limit }

  /// Whether a message is underway, so that no other method may come in between.
  var isCollecting: Bool {
    if case .idle = state { false } else { true }
  }

  /// A delivery or a return, whose content follows.
  mutating func begin(_ method: BrokerMethod) throws(LinkFault) {
    guard case .idle = state else { throw .violation("a message began inside another") }
    state = .announced(method)
  }

  mutating func header(_ header: ContentHeader) throws(LinkFault) -> Content? {
    guard case .announced(let method) = state else { throw .violation("a content header that nothing announced") }
    state = .collecting(method, header, received: 0, [])
    return finished()
  }

  mutating func body(_ bytes: [UInt8]) throws(LinkFault) -> Content? {
    guard case .collecting(let method, let header, let received, var collected) = state else {
      throw .violation("a body that nothing announced")
    }
    // Dropped first, so that appending does not copy.
    state = .idle
    let (total, overflow) = received.addingReportingOverflow(UInt64(bytes.count))
    guard !overflow, total <= header.size else { throw .violation("a body longer than announced") }
    if header.size <= UInt64(limit) { collected += bytes }
    state = .collecting(method, header, received: total, collected)
    return finished()
  }

  private mutating func finished() -> Content? {
    guard case .collecting(let method, let header, let received, let collected) = state, received == header.size else {
      return nil
    }
    state = .idle
    return Content(
      method: method, messageID: header.messageID, body: header.size <= UInt64(limit) ? collected : nil,
      size: header.size)
  }
}
