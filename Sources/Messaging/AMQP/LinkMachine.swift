/// The life of a connection to the broker: opening, handshake, ready, blocked, closing, lost, waiting to try again. A
/// value without I/O and without a clock: it says what to do next, and is told what came of it.
struct LinkMachine<Role: LinkRole>: Sendable {
  /// What the owning thread does next.
  enum Step: Sendable, Equatable {
    /// Open a socket to the broker, then say `opened` or `failed`.
    case open
    case send(ClientOutput)
    /// Let go of the socket at once, without a word.
    case drop
    /// Wait for the socket, for the owner, or until a time.
    case wait(until: Duration?)
    /// The connection will not be used again.
    case end
  }

  struct Settings: Sendable {
    var identity: ClientIdentity
    var virtualHost: String
    var purpose: AMQPEvent.Purpose
    var isTLS = false
    /// Seconds; the smaller of ours and the broker's holds.
    var heartbeat: UInt16
    /// For the whole handshake.
    var handshakeLimit: Duration
    /// For a single answer.
    var replyLimit: Duration
    /// For a friendly end.
    var closeLimit: Duration = .seconds(2)
  }

  private enum Phase: Equatable {
    case idle
    case waiting(until: Duration)
    case opening
    case greeting, tuning, entering
    case ready
    /// Sends what is left, then takes leave.
    case leaving
    case takingLeave
    /// A dead connection, until its socket is dropped.
    case lost(LinkFault)
    case ended
  }

  static var frameMax: UInt32 { 131_072 }
  /// The least that a peer must be able to receive.
  static var leastFrameMax: UInt32 { 4096 }

  private let settings: Settings
  private(set) var role: Role
  private var phase = Phase.idle
  private var watchdog = LinkWatchdog(now: .zero)
  private var policy = ReconnectPolicy()
  private var outputs: [ClientOutput] = []
  private var broker = ""
  private var blockedReason: String?
  /// Since when the connection is ready.
  private var readySince: Duration?
  private var fault: LinkFault?
  private var isClosing = false
  private var awaited: Set<String> = []
  private var events: [AMQPEvent] = []

  init(_ settings: Settings, role: Role) {
    self.settings = settings
    self.role = role
  }

  var hasEnded: Bool { phase == .ended }
  /// Whether the thread is in the system's hands: it resolves a name, or connects.
  var isOpening: Bool { phase == .opening }

  var state: AMQPState {
    switch phase {
    case .idle: .idle
    case .opening, .greeting, .tuning, .entering: fault.map { .lost(reason: $0.message) } ?? .connecting
    case .ready: blockedReason.map { .blocked(reason: $0) } ?? .ready
    case .waiting, .lost: .lost(reason: fault?.message ?? "not connected")
    case .leaving, .takingLeave: .closed
    case .ended: isClosing ? .closed : .lost(reason: fault?.message ?? "not connected")
    }
  }

  // MARK: The owner

  /// Changes the role at the wish of a caller.
  mutating func ask<Answer>(_ question: (inout Role) -> Answer) -> Answer { question(&role) }

  /// Ends the connection in a friendly way, as far as the broker plays along.
  mutating func close(now: Duration) {
    guard !isClosing else { return }
    isClosing = true
    role.close(now: now)
    switch phase {
    case .idle, .waiting: phase = .ended
    case .ready: leave(now: now)
    // A handshake is not worth waiting for.
    case .greeting, .tuning, .entering: phase = .lost(LinkFault(.closed, "the connection was closed"))
    case .opening, .leaving, .takingLeave, .lost, .ended: break
    }
  }

  private mutating func leave(now: Duration) {
    phase = .leaving
    watchdog.expect("connection.close", by: now + settings.closeLimit)
  }

  // MARK: The thread

  /// What to do next.
  ///
  /// - Parameters:
  ///   - now: the time since some moment.
  ///   - jitter: 0..<1, for waits.
  ///   - hasRoom: whether something can be sent without waiting for the socket.
  mutating func next(now: Duration, jitter: Double, hasRoom: Bool) -> Step {
    switch phase {
    case .ended: return .end
    case .idle, .waiting: return tryAgain(now: now)
    case .opening: return .open
    case .lost(let fault):
      lose(fault, now: now, jitter: jitter)
      return .drop
    case .greeting, .tuning, .entering, .ready, .leaving, .takingLeave: break
    }
    if let fault = watchdog.verdict(at: now) {
      phase = .lost(fault)
      return next(now: now, jitter: jitter, hasRoom: hasRoom)
    }
    if case .ready = phase {
      role.tick(now: now)
      if !role.wantsConnection { leave(now: now) }
    }
    if hasRoom, let output = output(now: now) {
      watchdog.sent(at: now)
      keepTrack(now: now)
      return .send(output)
    }
    keepTrack(now: now)
    return .wait(until: [watchdog.deadline, role.deadline].compactMap { $0 }.min())
  }

  private mutating func tryAgain(now: Duration) -> Step {
    role.tick(now: now)
    guard role.wantsConnection, !isClosing else {
      phase = .ended
      return .end
    }
    if case .waiting(let until) = phase, now < until {
      return .wait(until: min(until, role.deadline ?? until))
    }
    phase = .opening
    return .open
  }

  private mutating func output(now: Duration) -> ClientOutput? {
    if !outputs.isEmpty { return outputs.removeFirst() }
    switch phase {
    case .ready:
      if let output = role.output(now: now) { return output }
    case .leaving:
      if let output = role.output(now: now) { return output }
      phase = .takingLeave
      return .method(channel: 0, .connectionClose)
    case .idle, .waiting, .opening, .greeting, .tuning, .entering, .takingLeave, .lost, .ended: break
    }
    return watchdog.owesHeartbeat(at: now) ? .heartbeat : nil
  }

  /// Sets time limits for what the role waits for.
  private mutating func keepTrack(now: Duration) {
    var present: Set<String> = []
    // A blocked connection is not read: it answers later.
    if case .ready = phase, blockedReason == nil { present = Set(role.awaited) }
    for what in awaited.subtracting(present) { watchdog.expect(what, by: nil) }
    for what in present.subtracting(awaited) { watchdog.expect(what, by: now + settings.replyLimit) }
    awaited = present
  }

  /// The socket is open, and the protocol header sent.
  mutating func opened(now: Duration) {
    guard phase == .opening else { return }
    watchdog = LinkWatchdog(now: now)
    awaited = []
    outputs = []
    guard !isClosing else { return phase = .lost(LinkFault(.closed, "the connection was closed")) }
    watchdog.expect("handshake", by: now + settings.handshakeLimit)
    phase = .greeting
  }

  /// The socket could not be opened, or is broken.
  mutating func failed(_ fault: LinkFault) {
    switch phase {
    case .idle, .waiting, .lost, .ended: break
    case .greeting: phase = .lost(fault.beforeTheFirstWord(isTLS: settings.isTLS))
    case .opening, .tuning, .entering, .ready, .leaving, .takingLeave: phase = .lost(fault)
    }
  }

  /// Bytes came.
  mutating func heard(now: Duration) { watchdog.heard(at: now) }

  /// - Returns: the frame size to use from now on, once it is negotiated.
  mutating func received(_ frame: BrokerFrame, now: Duration) -> UInt32? {
    do {
      return try take(frame, now: now)
    } catch {
      failed(error)
      return nil
    }
  }

  // MARK: Frames

  private mutating func take(_ frame: BrokerFrame, now: Duration) throws(LinkFault) -> UInt32? {
    if case .method(0, let method) = frame { return try control(method, now: now) }
    switch phase {
    case .ready:
      try role.received(frame, now: now)
      keepTrack(now: now)
    // Deliveries may still be on their way.
    case .leaving, .takingLeave: break
    case .idle, .waiting, .opening, .lost, .ended: break
    case .greeting, .tuning, .entering:
      if case .protocolHeader(let major, let minor) = frame {
        throw LinkFault(.refused, "the broker speaks another protocol (AMQP \(major).\(minor), not 0-9-1)")
      }
      throw .violation("a frame before the connection was open")
    }
    return nil
  }

  /// A method on channel 0.
  private mutating func control(_ method: BrokerMethod, now: Duration) throws(LinkFault) -> UInt32? {
    switch (method, phase) {
    case (.start(let major, let minor, let mechanisms, let broker), .greeting):
      guard major == 0, minor == 9 else {
        throw LinkFault(.refused, "the broker speaks another protocol (AMQP \(major).\(minor), not 0-9-1)")
      }
      guard mechanisms.split(separator: " ").contains("PLAIN") else {
        throw LinkFault(.refused, "the broker takes no passwords (its mechanisms: \(mechanisms.prefix(200)))")
      }
      self.broker = String(broker.prefix(100))
      outputs.append(.method(channel: 0, .startOK(settings.identity)))
      phase = .tuning
    case (.tune(let offered, let heartbeat), .tuning):
      let frameMax = offered == 0 ? Self.frameMax : min(offered, Self.frameMax)
      guard frameMax >= Self.leastFrameMax else { throw .violation("frames of \(offered) bytes are too small") }
      let agreed: UInt16 = [heartbeat, settings.heartbeat].filter { $0 > 0 }.min() ?? 0
      watchdog.negotiated(heartbeat: agreed, now: now)
      outputs.append(.method(channel: 0, .tuneOK(frameMax: frameMax, heartbeat: agreed)))
      outputs.append(.method(channel: 0, .open(virtualHost: settings.virtualHost)))
      phase = .entering
      return frameMax
    case (.openOK, .entering):
      watchdog.expect("handshake", by: nil)
      phase = .ready
      readySince = now
      fault = nil
      blockedReason = nil
      events.append(.connected(settings.purpose, broker: broker))
      role.connected(now: now)
    case (.connectionClose(let closure), .greeting), (.connectionClose(let closure), .tuning),
      (.connectionClose(let closure), .entering), (.connectionClose(let closure), .ready),
      (.connectionClose(let closure), .leaving), (.connectionClose(let closure), .takingLeave):
      throw LinkFault(closure)
    case (.connectionCloseOK, .takingLeave): phase = .lost(LinkFault(.closed, "the connection was closed"))
    case (.blocked(let reason), .ready): block(String(reason.prefix(200)), now: now)
    case (.unblocked, .ready): block(nil, now: now)
    case (.blocked, .leaving), (.unblocked, .leaving), (.blocked, .takingLeave), (.unblocked, .takingLeave): break
    default: throw .violation("a method out of turn on channel 0")
    }
    return nil
  }

  private mutating func block(_ reason: String?, now: Duration) {
    guard (reason == nil) != (blockedReason == nil) else { return }
    blockedReason = reason
    role.blocked(reason != nil)
    keepTrack(now: now)
    events.append(reason.map { .blocked(reason: $0) } ?? .unblocked)
  }

  private mutating func lose(_ fault: LinkFault, now: Duration, jitter: Double) {
    var held: Duration = .zero
    if blockedReason != nil { block(nil, now: now) }
    let fault = isClosing ? LinkFault(.closed, "the connection was closed") : fault
    if !isClosing, fault.code != .closed { events.append(.lost(settings.purpose, reason: fault.message)) }
    if let since = readySince { held = now - since }
    readySince = nil
    self.fault = fault
    let goesOn = role.disconnected(fault, now: now)
    guard goesOn, !isClosing else { return phase = .ended }
    let wait = policy.failed(afterHolding: held, jitter: jitter)
    events.append(.reconnecting(settings.purpose, attempt: policy.failures, wait: wait))
    phase = .waiting(until: now + wait)
  }

  /// What happened since the last call.
  mutating func takeEvents() -> [AMQPEvent] {
    defer { events = [] }
    return events
  }
}
