import Testing

@testable import Messaging

@Suite struct ReconnectPolicyTests {
  @Test func doublesUpToALimit() {
    var policy = ReconnectPolicy()
    let waits = (0..<10).map { _ in policy.failed(afterHolding: .zero, jitter: 1) }
    #expect(waits.prefix(4) == [.milliseconds(200), .milliseconds(400), .milliseconds(800), .milliseconds(1600)])
    #expect(waits.suffix(2) == [.seconds(30), .seconds(30)])
    #expect(policy.failures == 10)
  }

  @Test func spreadsOverTheUpperHalf() {
    var (low, high) = (ReconnectPolicy(), ReconnectPolicy())
    #expect(low.failed(afterHolding: .zero, jitter: 0) == .milliseconds(100))
    #expect(high.failed(afterHolding: .zero, jitter: 1) == .milliseconds(200))
  }

  @Test func beginsAnewAfterAMinuteOfHealth() {
    var policy = ReconnectPolicy()
    for _ in 0..<5 { _ = policy.failed(afterHolding: .seconds(59), jitter: 1) }
    #expect(policy.failed(afterHolding: .seconds(59), jitter: 1) == .milliseconds(6400))
    #expect(policy.failed(afterHolding: .seconds(60), jitter: 1) == .milliseconds(200))
    #expect(policy.failed(afterHolding: .zero, jitter: 1) == .milliseconds(400))
  }

  @Test func neverOverflows() {
    var policy = ReconnectPolicy()
    for _ in 0..<10_000 { _ = policy.failed(afterHolding: .zero, jitter: 0.5) }
    #expect(policy.failed(afterHolding: .zero, jitter: .nan) <= .seconds(30))
  }
}

@Suite struct LinkWatchdogTests {
  @Test func sendsAfterHalfAnIntervalOfItsOwnSilence() {
    var watchdog = LinkWatchdog(now: .zero)
    watchdog.negotiated(heartbeat: 10, now: .zero)
    #expect(!watchdog.owesHeartbeat(at: .milliseconds(4999)))
    #expect(watchdog.owesHeartbeat(at: .seconds(5)))
    #expect(watchdog.deadline == .seconds(5))
    watchdog.sent(at: .seconds(4))
    #expect(!watchdog.owesHeartbeat(at: .milliseconds(8999)))
    #expect(watchdog.deadline == .seconds(9))
  }

  @Test func thePeerIsDeadAfterTwoIntervals() {
    var watchdog = LinkWatchdog(now: .zero)
    watchdog.negotiated(heartbeat: 10, now: .zero)
    #expect(watchdog.verdict(at: .milliseconds(19_999)) == nil)
    #expect(watchdog.verdict(at: .seconds(20)) != nil)
    watchdog.heard(at: .seconds(19))
    #expect(watchdog.verdict(at: .seconds(38)) == nil)
    #expect(watchdog.verdict(at: .seconds(39)) != nil)
  }

  @Test func withoutHeartbeatsOnlyAnswersAreOwed() {
    var watchdog = LinkWatchdog(now: .zero)
    watchdog.negotiated(heartbeat: 0, now: .zero)
    #expect(watchdog.verdict(at: .seconds(1_000_000)) == nil && watchdog.deadline == nil)
    watchdog.expect("basic.qos", by: .seconds(3))
    #expect(watchdog.deadline == .seconds(3) && watchdog.verdict(at: .milliseconds(2999)) == nil)
    #expect(watchdog.verdict(at: .seconds(3))?.message.contains("basic.qos") == true)
    watchdog.expect("basic.qos", by: nil)
    #expect(watchdog.verdict(at: .seconds(9)) == nil)
  }
}

@Suite struct ContentAssemblerTests {
  private let deliver = BrokerMethod.deliver(consumer: "a", tag: 1, redelivered: false)

  @Test func putsFragmentsTogether() throws {
    var assembler = ContentAssembler(limit: 10)
    try assembler.begin(deliver)
    #expect(try assembler.header(ContentHeader(size: 3, messageID: "7:1")) == nil)
    #expect(try assembler.body([1, 2]) == nil)
    #expect(try assembler.body([]) == nil)
    let content = try #require(try assembler.body([3]))
    #expect(content == .init(method: deliver, messageID: "7:1", body: [1, 2, 3], size: 3))
    #expect(!assembler.isCollecting)
  }

  @Test func takesEmptyBodies() throws {
    var assembler = ContentAssembler(limit: 10)
    try assembler.begin(deliver)
    #expect(try assembler.header(ContentHeader(size: 0))?.body == [])
  }

  @Test func letsOversizedBodiesGo() throws {
    var assembler = ContentAssembler(limit: 10)
    try assembler.begin(deliver)
    #expect(try assembler.header(ContentHeader(size: 11)) == nil)
    #expect(try assembler.body([UInt8](repeating: 1, count: 10)) == nil)
    let content = try #require(try assembler.body([1]))
    #expect(content.body == nil && content.size == 11)
    // A length that no body reaches.
    try assembler.begin(deliver)
    #expect(try assembler.header(ContentHeader(size: .max)) == nil)
    #expect(try assembler.body([1]) == nil)
  }

  @Test func refusesFramesOutOfOrder() throws {
    var idle = ContentAssembler(limit: 10)
    #expect(throws: LinkFault.self) { try idle.header(ContentHeader(size: 1)) }
    #expect(throws: LinkFault.self) { try idle.body([1]) }
    var announced = ContentAssembler(limit: 10)
    try announced.begin(deliver)
    #expect(throws: LinkFault.self) { try announced.begin(self.deliver) }
    #expect(throws: LinkFault.self) { try announced.body([1]) }
    var collecting = ContentAssembler(limit: 10)
    try collecting.begin(deliver)
    _ = try collecting.header(ContentHeader(size: 2))
    #expect(throws: LinkFault.self) { try collecting.header(ContentHeader(size: 2)) }
    #expect(throws: LinkFault.self) { try collecting.body([1, 2, 3]) }
  }
}
