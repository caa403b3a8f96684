/// What a connection is for: the part of the protocol above the connection itself. A value without I/O: it is told what
/// came, asked what to send, and asked what to do for others.
protocol LinkRole: Sendable {
  /// What is to be done outside the lock.
  associatedtype Effect: Sendable

  /// Whether there is a reason to be connected.
  var wantsConnection: Bool { get }

  /// The connection is ready.
  mutating func connected(now: Duration)

  /// The connection is gone, or could not be made.
  ///
  /// - Returns: whether to try again.
  mutating func disconnected(_ fault: LinkFault, now: Duration) -> Bool

  /// The broker stopped to take messages, or takes them again.
  mutating func blocked(_ isBlocked: Bool)

  mutating func received(_ frame: BrokerFrame, now: Duration) throws(LinkFault)

  /// The next thing to send, if any.
  mutating func output(now: Duration) -> ClientOutput?

  /// What the broker owes us answers to.
  var awaited: [String] { get }

  /// When `tick` is due.
  var deadline: Duration? { get }

  /// Does what time asks for.
  mutating func tick(now: Duration)

  /// The owner closes the connection: nothing new begins, and what is settled already still goes out.
  mutating func close(now: Duration)

  mutating func takeEffects() -> [Effect]
}
