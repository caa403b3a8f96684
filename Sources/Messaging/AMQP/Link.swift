internal import CRabbitMQ
internal import Foundation
internal import Synchronization

/// A connection to the broker with the one thread that owns it. Callers change the machine under its lock and wake the
/// thread; the thread does what the machine says, and is the only one that touches the library.
final class Link<Role: LinkRole>: Sendable {
  private let machine: Mutex<LinkMachine<Role>>
  private let settings: AMQPSettings
  /// Wakes the thread's poll.
  private let bell: Int32
  private let start = ContinuousClock.now
  private let perform: @Sendable (Role.Effect) -> Void
  private let observe: @Sendable (AMQPEvent) -> Void
  private let endings = Mutex<(hasEnded: Bool, waiters: [CheckedContinuation<Void, Never>])>((false, []))

  init(
    _ settings: AMQPSettings, purpose: AMQPEvent.Purpose, name: String, role: Role,
    perform: @escaping @Sendable (Role.Effect) -> Void, observe: @escaping @Sendable (AMQPEvent) -> Void
  ) {
    self.settings = settings
    self.perform = perform
    self.observe = observe
    bell = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
    let identity = ClientIdentity(
      user: settings.user, password: settings.password, connectionName: name, version: settings.version)
    machine = Mutex(
      LinkMachine(
        .init(
          identity: identity, virtualHost: settings.virtualHost, purpose: purpose, isTLS: settings.tls != nil,
          heartbeat: settings.heartbeat,
          handshakeLimit: .seconds(settings.connectLimit), replyLimit: .seconds(settings.replyLimit)), role: role))
    let thread = Thread { [self] in run() }
    thread.name = "amqp \(purpose.rawValue)"
    // The library decodes nested tables by recursion, as deep as a frame has room for: about 26,000 levels.
    thread.stackSize = 64 << 20
    thread.start()
  }

  deinit { Foundation.close(bell) }

  private var now: Duration { ContinuousClock.now - start }

  var state: AMQPState { machine.withLock { $0.state } }
  var hasEnded: Bool { machine.withLock { $0.hasEnded } }

  /// Asks the role for something, and lets the thread see what came of it.
  func ask<Answer: Sendable>(_ question: @Sendable (inout Role, _ now: Duration) -> Answer) -> Answer {
    let now = now
    let answer = change { machine in machine.ask { question(&$0, now) } }
    ring()
    return answer
  }

  /// Begins to close; `ended` waits for it.
  func close() {
    let now = now
    change { $0.close(now: now) }
    ring()
  }

  /// Returns when the thread is done, or has nothing more to do than to hear that a connection failed.
  func ended() async {
    guard !machine.withLock({ $0.isOpening }) else { return }
    await withCheckedContinuation { continuation in
      let hasEnded = endings.withLock { endings in
        if !endings.hasEnded { endings.waiters.append(continuation) }
        return endings.hasEnded
      }
      if hasEnded { continuation.resume() }
    }
  }

  private func ring() {
    var one: UInt64 = 1
    // Full means rung already.
    _ = write(bell, &one, 8)
  }

  /// Changes the machine, then does outside the lock what came of it.
  private func change<Answer: Sendable>(_ body: @Sendable (inout LinkMachine<Role>) -> Answer) -> Answer {
    let (answer, effects, events) = machine.withLock { machine in
      let answer = body(&machine)
      return (answer, machine.ask { $0.takeEffects() }, machine.takeEvents())
    }
    for event in events { observe(event) }
    for effect in effects { perform(effect) }
    return answer
  }

  // MARK: The thread

  private func run() {
    while true {
      let (now, jitter) = (now, Double.random(in: 0..<1))
      switch change({ $0.next(now: now, jitter: jitter, hasRoom: false) }) {
      case .open: connect()
      case .wait(let until): pause(nil, until: until)
      case .send, .drop: continue
      case .end:
        let waiters = endings.withLock { endings in
          endings.hasEnded = true
          defer { endings.waiters = [] }
          return endings.waiters
        }
        for waiter in waiters { waiter.resume() }
        return
      }
    }
  }

  private func connect() {
    let socket: BrokerSocket
    do throws(LinkFault) { socket = try BrokerSocket(settings) } catch {
      change { $0.failed(error) }
      return
    }
    let opened = now
    change { $0.opened(now: opened) }
    serve(socket)
  }

  /// Serves a connection until it is dropped.
  private func serve(_ socket: borrowing BrokerSocket) {
    var room = socket.room
    while true {
      let (now, jitter, hasRoom) = (now, Double.random(in: 0..<1), room > 0)
      switch change({ $0.next(now: now, jitter: jitter, hasRoom: hasRoom) }) {
      case .open: continue
      case .send(let output):
        room -= output.size
        do throws(LinkFault) {
          try socket.send(output, timestamp: UInt64(max(0, Date.now.timeIntervalSince1970)))
        } catch {
          change { $0.failed(error) }
        }
        if room <= 0 { room = socket.room }
      case .drop, .end: return
      case .wait(let until):
        // Without room, the socket tells nothing until the peer has read a lot.
        let soon = hasRoom ? until : min(until ?? .seconds(3600), now + .milliseconds(10))
        if pause(socket.descriptor, until: soon) {
          let heard = self.now
          change { $0.heard(now: heard) }
        }
        read(socket)
        room = socket.room
      }
    }
  }

  /// Reads until the socket is empty, or for a while: what is to be sent has its turn in between.
  private func read(_ socket: borrowing BrokerSocket) {
    do throws(LinkFault) {
      for _ in 0..<256 {
        guard let frame = try socket.receive() else { return }
        let now = now
        if let frameMax = change({ $0.received(frame, now: now) }) { try socket.tune(frameMax: frameMax) }
      }
      // More may be there, where poll can't see it.
      ring()
    } catch {
      change { $0.failed(error) }
    }
  }

  /// Waits for the socket, the bell, or a time. Returns whether the socket has something.
  @discardableResult
  private func pause(_ descriptor: Int32?, until: Duration?) -> Bool {
    var milliseconds: Int32 = -1
    if let until {
      let (seconds, attoseconds) = max(.zero, until - now).components
      milliseconds = Int32(clamping: min(seconds, 3600) * 1000 + attoseconds / 1_000_000_000_000_000 + 1)
    }
    var polled = [pollfd(fd: bell, events: Int16(POLLIN), revents: 0)]
    if let descriptor { polled.append(pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)) }
    guard poll(&polled, nfds_t(polled.count), milliseconds) > 0 else { return false }
    if polled[0].revents != 0 {
      var count: UInt64 = 0
      _ = Foundation.read(bell, &count, 8)
    }
    return polled.count > 1 && polled[1].revents != 0
  }
}
