import Testing

@testable import Messaging

/// A role that notes what it is told.
private struct ProbeRole: LinkRole {
  var wantsConnection = true
  var goesOn = true
  var outputs: [ClientOutput] = []
  var awaited: [String] = []
  var deadline: Duration?
  var notes: [String] = []

  mutating func connected(now: Duration) { notes.append("connected") }
  mutating func disconnected(_ fault: LinkFault, now: Duration) -> Bool {
    notes.append("disconnected \(fault.code.rawValue)")
    return goesOn
  }
  mutating func blocked(_ isBlocked: Bool) { notes.append(isBlocked ? "blocked" : "unblocked") }
  mutating func received(_ frame: BrokerFrame, now: Duration) throws(LinkFault) { notes.append("frame") }
  mutating func output(now: Duration) -> ClientOutput? { outputs.isEmpty ? nil : outputs.removeFirst() }
  mutating func tick(now: Duration) {}
  mutating func close(now: Duration) { notes.append("close") }
  mutating func takeEffects() -> [String] { [] }
}

@Suite struct LinkMachineTests {
  private typealias Machine = LinkMachine<ProbeRole>

  private func machine(_ role: ProbeRole = ProbeRole(), heartbeat: UInt16 = 10) -> Machine {
    Machine(
      .init(
        identity: ClientIdentity(user: "u", password: "secret", connectionName: "c", version: "1"),
        virtualHost: "/", purpose: .publishing, heartbeat: heartbeat, handshakeLimit: .seconds(10),
        replyLimit: .seconds(5)), role: role)
  }

  /// All that the machine sends now; what it wants then.
  private func drain(_ machine: inout Machine, at now: Duration) -> (sent: [ClientOutput], then: Machine.Step) {
    var sent: [ClientOutput] = []
    while true {
      let step = machine.next(now: now, jitter: 1, hasRoom: true)
      guard case .send(let output) = step else { return (sent, step) }
      sent.append(output)
    }
  }

  @discardableResult
  private func connect(_ machine: inout Machine, at now: Duration, heartbeat: UInt16 = 60) -> [ClientOutput] {
    #expect(machine.next(now: now, jitter: 1, hasRoom: false) == .open)
    machine.opened(now: now)
    var sent: [ClientOutput] = []
    for method in [
      BrokerMethod.start(major: 0, minor: 9, mechanisms: "AMQPLAIN PLAIN", broker: "RabbitMQ 3.10.8"),
      .tune(frameMax: 131_072, heartbeat: heartbeat), .openOK,
    ] {
      let frameMax = machine.received(.method(channel: 0, method), now: now)
      if case .tune = method { #expect(frameMax == 131_072) } else { #expect(frameMax == nil) }
      sent += drain(&machine, at: now).sent
    }
    return sent
  }

  @Test func shakesHands() {
    var machine = machine()
    #expect(machine.state == .idle)
    let sent = connect(&machine, at: .zero)
    #expect(
      sent == [
        .method(
          channel: 0,
          .startOK(ClientIdentity(user: "u", password: "secret", connectionName: "c", version: "1"))),
        .method(channel: 0, .tuneOK(frameMax: 131_072, heartbeat: 10)), .method(channel: 0, .open(virtualHost: "/")),
      ])
    #expect(machine.state == .ready && machine.role.notes == ["connected"])
    #expect(machine.takeEvents() == [.connected(.publishing, broker: "RabbitMQ 3.10.8")])
  }

  @Test(arguments: [(10, 60, 10), (60, 10, 10), (0, 60, 60), (60, 0, 60), (0, 0, 0)] as [(UInt16, UInt16, UInt16)])
  func agreesOnTheShorterHeartbeat(_ ours: UInt16, _ theirs: UInt16, _ agreed: UInt16) {
    var machine = machine(heartbeat: ours)
    let sent = connect(&machine, at: .zero, heartbeat: theirs)
    #expect(sent.contains(.method(channel: 0, .tuneOK(frameMax: 131_072, heartbeat: agreed))))
  }

  @Test func nothingIsSentWithoutRoom() {
    var machine = machine()
    _ = machine.next(now: .zero, jitter: 1, hasRoom: false)
    machine.opened(now: .zero)
    _ = machine.received(
      .method(channel: 0, .start(major: 0, minor: 9, mechanisms: "PLAIN", broker: "")), now: .zero)
    guard case .wait = machine.next(now: .zero, jitter: 1, hasRoom: false) else {
      return #expect(Bool(false), "sent without room")
    }
    guard case .send = machine.next(now: .zero, jitter: 1, hasRoom: true) else {
      return #expect(Bool(false), "did not send with room")
    }
  }

  @Test func waitsLongerAfterEachFailureAndForgivesAfterAMinute() {
    var machine = machine()
    var now: Duration = .zero
    for wait in [200, 400, 800, 1600] {
      #expect(machine.next(now: now, jitter: 1, hasRoom: false) == .open)
      machine.failed(LinkFault("no route"))
      #expect(machine.next(now: now, jitter: 1, hasRoom: false) == .drop)
      #expect(machine.state == .lost(reason: "no route"))
      let until = now + .milliseconds(wait)
      #expect(machine.next(now: now, jitter: 1, hasRoom: false) == .wait(until: until))
      now = until
    }
    #expect(machine.takeEvents().contains(.reconnecting(.publishing, attempt: 4, wait: .milliseconds(1600))))
    // A minute of health.
    connect(&machine, at: now)
    now += .seconds(60)
    machine.heard(now: now)
    machine.failed(LinkFault("reset"))
    #expect(machine.next(now: now, jitter: 1, hasRoom: false) == .drop)
    #expect(machine.next(now: now, jitter: 1, hasRoom: false) == .wait(until: now + .milliseconds(200)))
  }

  @Test func endsWhereTheRoleGivesUp() {
    var machine = machine(ProbeRole(goesOn: false))
    #expect(machine.next(now: .zero, jitter: 1, hasRoom: false) == .open)
    machine.failed(LinkFault(.refused, "no"))
    #expect(machine.next(now: .zero, jitter: 1, hasRoom: false) == .drop)
    #expect(machine.next(now: .zero, jitter: 1, hasRoom: false) == .end)
    #expect(machine.hasEnded && machine.role.notes == ["disconnected refused"])
    #expect(machine.state == .lost(reason: "no"))
  }

  @Test func aHandshakeHasALimit() {
    var machine = machine()
    _ = machine.next(now: .zero, jitter: 1, hasRoom: false)
    machine.opened(now: .zero)
    #expect(machine.next(now: .seconds(9), jitter: 1, hasRoom: true) == .wait(until: .seconds(10)))
    #expect(machine.next(now: .seconds(10), jitter: 1, hasRoom: true) == .drop)
  }

  @Test func answersHaveALimitEachUnlessBlocked() {
    var machine = machine(ProbeRole(awaited: ["basic.qos"]), heartbeat: 0)
    connect(&machine, at: .zero, heartbeat: 0)
    #expect(drain(&machine, at: .zero).then == .wait(until: .seconds(5)))
    // A blocked connection answers later.
    _ = machine.received(.method(channel: 0, .blocked(reason: "disk")), now: .seconds(1))
    #expect(drain(&machine, at: .seconds(20)).then == .wait(until: nil))
    _ = machine.received(.method(channel: 0, .unblocked), now: .seconds(21))
    #expect(drain(&machine, at: .seconds(21)).then == .wait(until: .seconds(26)))
    #expect(machine.next(now: .seconds(26), jitter: 1, hasRoom: true) == .drop)
    #expect(machine.role.notes == ["connected", "blocked", "unblocked", "disconnected unreachable"])
  }

  @Test func beatsAndListens() {
    var machine = machine()
    connect(&machine, at: .zero)
    #expect(drain(&machine, at: .seconds(4)).sent.isEmpty)
    #expect(drain(&machine, at: .seconds(5)).sent == [.heartbeat])
    #expect(drain(&machine, at: .seconds(5)).sent.isEmpty)
    machine.heard(now: .seconds(6))
    #expect(drain(&machine, at: .seconds(25)).then != .drop)
    #expect(machine.next(now: .seconds(26), jitter: 1, hasRoom: true) == .drop)
    #expect(
      machine.takeEvents().contains { if case .lost(_, let why) = $0 { why.contains("heartbeat") } else { false } })
  }

  @Test func aBlockThatEndsWithTheConnectionIsOver() {
    var machine = machine()
    connect(&machine, at: .zero)
    _ = machine.received(.method(channel: 0, .blocked(reason: "memory")), now: .zero)
    _ = machine.received(.method(channel: 0, .blocked(reason: "disk")), now: .zero)
    #expect(machine.state == .blocked(reason: "memory"))
    machine.failed(LinkFault("reset"))
    #expect(machine.next(now: .zero, jitter: 1, hasRoom: true) == .drop)
    #expect(machine.role.notes == ["connected", "blocked", "unblocked", "disconnected unreachable"])
    #expect(machine.takeEvents().contains(.unblocked))
  }

  @Test func takesLeaveAfterWhatIsLeft() {
    var machine = machine()
    connect(&machine, at: .zero)
    machine.ask { $0.outputs = [.method(channel: 1, .ack(1, multiple: false))] }
    machine.close(now: .zero)
    machine.close(now: .zero)
    let (sent, then) = drain(&machine, at: .zero)
    #expect(sent == [.method(channel: 1, .ack(1, multiple: false)), .method(channel: 0, .connectionClose)])
    #expect(then == .wait(until: .seconds(2)))
    #expect(machine.state == .closed)
    // What is on its way means nothing now.
    _ = machine.received(.body(channel: 1, [1]), now: .zero)
    _ = machine.received(.method(channel: 0, .connectionCloseOK), now: .zero)
    #expect(machine.next(now: .zero, jitter: 1, hasRoom: true) == .drop)
    #expect(machine.next(now: .zero, jitter: 1, hasRoom: true) == .end)
    #expect(machine.role.notes == ["connected", "close", "disconnected closed"])
    #expect(!machine.takeEvents().contains { if case .lost = $0 { true } else { false } })
  }

  @Test func leavesWithoutAnAnswerInTheEnd() {
    var machine = machine()
    connect(&machine, at: .zero)
    machine.close(now: .zero)
    _ = drain(&machine, at: .zero)
    #expect(machine.next(now: .seconds(2), jitter: 1, hasRoom: true) == .drop)
    #expect(machine.next(now: .seconds(2), jitter: 1, hasRoom: true) == .end)
  }

  @Test func closesInEveryPhase() {
    // Before anything, while it waits, while it opens, in the handshake.
    var idle = machine()
    idle.close(now: .zero)
    #expect(idle.next(now: .zero, jitter: 1, hasRoom: true) == .end)

    var waiting = machine()
    _ = waiting.next(now: .zero, jitter: 1, hasRoom: true)
    waiting.failed(LinkFault("no"))
    _ = waiting.next(now: .zero, jitter: 1, hasRoom: true)
    waiting.close(now: .zero)
    #expect(waiting.next(now: .zero, jitter: 1, hasRoom: true) == .end)

    var opening = machine()
    _ = opening.next(now: .zero, jitter: 1, hasRoom: true)
    opening.close(now: .zero)
    #expect(opening.isOpening)
    opening.opened(now: .zero)
    #expect(opening.next(now: .zero, jitter: 1, hasRoom: true) == .drop)
    #expect(opening.next(now: .zero, jitter: 1, hasRoom: true) == .end)

    var greeting = machine()
    _ = greeting.next(now: .zero, jitter: 1, hasRoom: true)
    greeting.opened(now: .zero)
    greeting.close(now: .zero)
    #expect(greeting.next(now: .zero, jitter: 1, hasRoom: true) == .drop)
    #expect(greeting.next(now: .zero, jitter: 1, hasRoom: true) == .end)
  }

  @Test func leavesWhenTheRoleWantsNoConnection() {
    var machine = machine()
    connect(&machine, at: .zero)
    machine.ask { $0.wantsConnection = false }
    #expect(drain(&machine, at: .zero).sent == [.method(channel: 0, .connectionClose)])
  }

  /// Any frames in any phase: no trap, and an end.
  @Test(arguments: 0..<40)
  func survivesAnyFrames(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var machine = machine()
    let close = Closure(code: 320, text: "x")
    let methods: [BrokerMethod] = [
      .start(major: 0, minor: 9, mechanisms: "PLAIN", broker: ""), .tune(frameMax: 0, heartbeat: 1),
      .tune(frameMax: 5, heartbeat: 1), .openOK, .connectionClose(close), .connectionCloseOK, .blocked(reason: ""),
      .unblocked, .channelOpenOK, .channelClose(close), .other(7), .ack(0, multiple: true),
    ]
    var now: Duration = .zero
    for _ in 0..<300 {
      now += .milliseconds(Int.random(in: 0..<3000, using: &random))
      switch Int.random(in: 0..<6, using: &random) {
      case 0: machine.opened(now: now)
      case 1: machine.failed(LinkFault("x"))
      case 2: if Int.random(in: 0..<40, using: &random) == 0 { machine.close(now: now) }
      default:
        let method = methods.randomElement(using: &random) ?? .openOK
        _ = machine.received(.method(channel: UInt16.random(in: 0...1, using: &random), method), now: now)
      }
      _ = machine.next(now: now, jitter: 0.5, hasRoom: Bool.random(using: &random))
    }
    machine.close(now: now)
    for _ in 0..<10 {
      if machine.isOpening { machine.opened(now: now) }
      now += .seconds(3)
      _ = drain(&machine, at: now)
    }
    #expect(machine.hasEnded)
  }
}
