/// The second channel of a connection, for questions and declarations: the broker answers a wrong one by closing the
/// channel that it came on, and nothing else hangs on this one. One request is underway at a time.
struct ServiceChannel: Sendable {
  static let number: UInt16 = 2

  /// What became of a request: the broker's answer, or why it closed the channel, or nil for a lost connection.
  enum Answer: Sendable, Equatable {
    case granted(BrokerMethod)
    case denied(Closure)
    case lost
  }

  private enum State {
    case closed, opening, open, asking(since: Duration)
  }

  private var state = State.closed
  private var requests: FirstInFirstOut<(number: Int, method: ClientMethod)> = .init()
  private var underway: (number: Int, method: ClientMethod)?
  private var lastNumber = 0
  private var replies: [ClientOutput] = []

  /// Queues a request. Returns the number under which its answer comes.
  mutating func request(_ method: ClientMethod) -> Int {
    lastNumber += 1
    requests.append((lastNumber, method))
    return lastNumber
  }

  /// The connection is gone, or new. Returns the requests that will have no answer.
  mutating func reset() -> [Int] {
    var lost = underway.map { [$0.number] } ?? []
    while let request = requests.popFirst() { lost.append(request.number) }
    underway = nil
    state = .closed
    replies = []
    return lost
  }

  mutating func output(now: Duration) -> ClientOutput? {
    if !replies.isEmpty { return replies.removeFirst() }
    switch state {
    case .opening, .asking: return nil
    case .closed:
      guard !requests.isEmpty || underway != nil else { return nil }
      state = .opening
      return .method(channel: Self.number, .channelOpen)
    case .open:
      guard let request = requests.popFirst() else { return nil }
      underway = request
      state = .asking(since: now)
      return .method(channel: Self.number, request.method)
    }
  }

  /// What the broker owes an answer to.
  var awaits: String? {
    switch state {
    case .closed, .open: nil
    case .opening: "channel.open"
    case .asking: "a declaration"
    }
  }

  mutating func received(_ method: BrokerMethod) throws(LinkFault) -> (number: Int, answer: Answer)? {
    switch (method, state) {
    case (.channelOpenOK, .opening):
      state = .open
      return nil
    case (.channelClose(let closure), .opening), (.channelClose(let closure), .open),
      (.channelClose(let closure), .asking):
      replies.append(.method(channel: Self.number, .channelCloseOK))
      state = .closed
      guard let request = underway else { return nil }
      underway = nil
      return (request.number, .denied(closure))
    case (.exchangeDeclareOK, .asking), (.queueDeclareOK, .asking), (.queueBindOK, .asking):
      guard let request = underway, Self.answers(method, request.method) else {
        throw .violation("another answer than was asked for")
      }
      state = .open
      underway = nil
      return (request.number, .granted(method))
    default: throw .violation("a method out of turn on the second channel")
    }
  }

  private static func answers(_ answer: BrokerMethod, _ request: ClientMethod) -> Bool {
    switch (answer, request) {
    case (.exchangeDeclareOK, .exchangeDeclare), (.queueDeclareOK, .queueDeclare), (.queueDeclareOK, .queueInquire),
      (.queueBindOK, .queueBind):
      true
    default: false
    }
  }
}
