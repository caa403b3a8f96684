import Diagnostics
import Foundation
import Messaging
import SweepRecords
import Synchronization
import Testing

private func message(_ number: Int, _ priority: SweepPriority = .normal) -> OutgoingMessage {
  OutgoingMessage(id: "\(number):1", priority: priority, body: Array("body \(number)".utf8))
}

/// Publishing to a scripted peer, which does what Debian's broker can't be made to do.
@Suite(.timeLimit(.minutes(1)))
struct ScriptedPublishingTests {
  @Test func settlesByTheBrokersWord() async throws {
    let published = Mutex(0)
    let broker = try ScriptedBroker.behaving { peer, frame in
      guard frame.kind == PeerFrame.Kind.body.rawValue else { return false }
      let count = published.withLock { count in
        count += 1
        return count
      }
      // 1 to 3 in one word, 4 refused, 5 returned, 6 confirmed, out of order.
      if count == 6 {
        try peer.send(PeerConnection.ack(6))
        try peer.send(PeerConnection.returned(id: "5:1"))
        try peer.send(PeerConnection.ack(3, multiple: true), PeerConnection.nack(4), PeerConnection.ack(5))
      }
      return true
    }
    let log = EventLog()
    let queue = AMQPQueue(broker.settings, observer: log.observer)
    let outcomes = await queue.publish((1...6).map { message($0) })
    #expect(outcomes == [.confirmed, .confirmed, .confirmed, .refused, .returned, .confirmed])
    #expect(log.contains { $0 == .returned(id: "5:1") })
    #expect(log.contains { $0 == .refused })
    #expect(log.all.count { if case .confirmed = $0 { true } else { false } } == 4)
    await queue.close()
  }

  @Test func publishesPersistentMandatoryAndNamed() async throws {
    let seen = Seen()
    let broker = try ScriptedBroker.behaving(seen) { peer, frame in
      if frame.kind == PeerFrame.Kind.body.rawValue { try peer.send(PeerConnection.ack(1)) }
      return false
    }
    let queue = AMQPQueue(broker.settings)
    #expect(await queue.publish([message(7, .high)]) == [.confirmed])
    await queue.close()
    var publish = try #require(seen.all(.publish).first).arguments
    _ = publish.number(2)
    #expect(publish.short() == "steerscope.tasks")
    #expect(publish.short() == "high")
    #expect(publish.number(1) == 1)
    let header = try #require(seen.all.first { $0.kind == PeerFrame.Kind.header.rawValue })
    var properties = PeerReader(bytes: header.payload[12...])
    // Content type, delivery mode, message id, timestamp, app id.
    #expect(properties.number(2) == 0b1001_0000_1100_1000)
    #expect(properties.short() == "application/json")
    #expect(properties.number(1) == 2)
    #expect(properties.short() == "7:1")
    #expect(abs(Double(properties.number(8)) - Date.now.timeIntervalSince1970) < 60)
    #expect(properties.short() == "steerscope")
    let body = try #require(seen.all.first { $0.kind == PeerFrame.Kind.body.rawValue })
    #expect(body.payload == Array("body 7".utf8))
  }

  @Test func declaresQuorumQueuesWithALimit() async throws {
    let seen = Seen()
    let broker = try ScriptedBroker.behaving(seen) { _, _ in false }
    let queue = AMQPQueue(broker.settings)
    try await queue.declareTopology()
    await queue.close()
    #expect(seen.count(.exchangeDeclare) == 1)
    #expect(seen.count(.queueDeclare) == 4)
    #expect(seen.count(.queueBind) == 4)
    var declare = try #require(seen.all(.queueDeclare).first).arguments
    _ = declare.number(2)
    #expect(declare.short() == "steerscope.high")
    #expect(declare.number(1) == 0b10)
    var text = PeerBytes()
    for (name, value) in [("x-dead-letter-exchange", "steerscope.tasks"), ("x-dead-letter-routing-key", "dead")] {
      text.short(name)
      text.u8(UInt8(ascii: "S"))
      text.long(Array(value.utf8))
    }
    text.short("x-delivery-limit")
    text.u8(UInt8(ascii: "I"))
    text.u32(20)
    text.short("x-queue-type")
    text.u8(UInt8(ascii: "S"))
    text.long(Array("quorum".utf8))
    #expect(declare.long() == text.all)
  }

  @Test func keepsTheWindow() async throws {
    let (seen, most) = (Seen(), Counter())
    let broker = try ScriptedBroker.behaving(seen) { peer, frame in
      guard frame.kind == PeerFrame.Kind.body.rawValue else { return false }
      let count = UInt64(seen.count(.publish))
      most.raise(to: Int(count) - most.settled)
      if count % 8 == 0 || count == 50 {
        usleep(20_000)
        most.settled = Int(count)
        try peer.send(PeerConnection.ack(count, multiple: true))
      }
      return true
    }
    var settings = broker.settings
    settings.confirmWindow = 8
    let queue = AMQPQueue(settings)
    #expect(await queue.publish((1...50).map { message($0) }) == Array(repeating: .confirmed, count: 50))
    #expect(most.value <= 8)
    await queue.close()
  }

  /// Numbers that the peer's thread writes and the test reads.
  private final class Counter: Sendable {
    private let numbers = Mutex((value: 0, settled: 0))
    var value: Int { numbers.withLock { $0.value } }
    var settled: Int {
      get { numbers.withLock { $0.settled } }
      set { numbers.withLock { $0.settled = newValue } }
    }
    func raise(to value: Int) { numbers.withLock { $0.value = max($0.value, value) } }
  }

  @Test func unconfirmedIsUnknown() async throws {
    let broker = try ScriptedBroker.behaving { peer, frame in
      guard frame.kind == PeerFrame.Kind.body.rawValue else { return false }
      try peer.send(PeerConnection.ack(1))
      usleep(50_000)
      throw PeerConnection.Ended()
    }
    let log = EventLog()
    let queue = AMQPQueue(broker.settings, observer: log.observer)
    let outcomes = await queue.publish([message(1), message(2)])
    #expect(outcomes.first == .confirmed)
    guard case .unknown(let error) = outcomes.last else { return #expect(Bool(false), "\(outcomes)") }
    #expect(error.code == .unreachable)
    #expect(await log.has { if case .reconnecting(.publishing, 1, _) = $0 { true } else { false } })
    await queue.close()
  }

  @Test(arguments: [true, false])
  func waitsWhileBlockedButNotForEver(isUnblocked: Bool) async throws {
    let isBlocked = Mutex(true)
    let broker = try ScriptedBroker { peer in
      try peer.greet()
      try peer.send(PeerFrame(.blocked, 0) { $0.short("low on memory") })
      if isUnblocked {
        usleep(200_000)
        isBlocked.withLock { $0 = false }
        try peer.send(PeerFrame(.unblocked, 0))
      }
      try peer.serve { frame in
        if frame.kind == PeerFrame.Kind.body.rawValue {
          isBlocked.withLock { #expect(!$0) }
          try peer.send(PeerConnection.ack(1))
        }
        return false
      }
    }
    var settings = broker.settings
    settings.publishLimit = isUnblocked ? 10 : 0.6
    let log = EventLog()
    let queue = AMQPQueue(settings, observer: log.observer)
    async let outcomes = queue.publish([message(1)])
    #expect(await log.has { $0 == .blocked(reason: "low on memory") })
    if isUnblocked {
      #expect(await outcomes == [.confirmed])
      #expect(log.contains { $0 == .unblocked })
      #expect(queue.state == .ready)
    } else {
      #expect(queue.state == .blocked(reason: "low on memory"))
      #expect(
        await outcomes == [.unknown(QueueError(.unreachable, "the broker takes no messages at present"))])
    }
    await queue.close()
    #expect(queue.state == .closed)
  }

  /// A peer that stops reading: the thread must not hang in a write, nor `publish` or `close` with it.
  @Test func survivesAPeerThatStopsReading() async throws {
    let broker = try ScriptedBroker { peer in
      peer.shrinkReceiveBuffer()
      try peer.greet()
      while try peer.receiveFrame().method != .channelOpen {}
      try peer.send(PeerFrame(.channelOpenOK, 1) { $0.u32(0) })
      while try peer.receiveFrame().method != .confirmSelect {}
      try peer.send(PeerFrame(.confirmSelectOK, 1))
      sleep(30)
    }
    var settings = broker.settings
    settings.publishLimit = 0.5
    let queue = AMQPQueue(settings)
    let body = [UInt8](repeating: 0x20, count: 60_000)
    let start = ContinuousClock.now
    let outcomes = await queue.publish(
      (0..<200).map { OutgoingMessage(id: "\($0):1", priority: .normal, body: body) })
    #expect(outcomes.allSatisfy { if case .unknown = $0 { true } else { false } })
    await queue.close()
    #expect(ContinuousClock.now - start < .seconds(25))
  }

  @Test func mendsAClosedChannel() async throws {
    let publications = Mutex(0)
    let seen = Seen()
    let broker = try ScriptedBroker.behaving(seen) { peer, frame in
      guard frame.kind == PeerFrame.Kind.body.rawValue else { return false }
      let count = publications.withLock { count in
        count += 1
        return count
      }
      try peer.send(
        count == 1
          ? PeerConnection.closing(.channelClose, 1, 404, "no exchange") : PeerConnection.ack(1))
      return true
    }
    let queue = AMQPQueue(broker.settings)
    try await queue.declareTopology()
    let first = await queue.publish([message(1)])
    #expect(first.allSatisfy { if case .unknown = $0 { true } else { false } })
    #expect(await queue.publish([message(1)]) == [.confirmed])
    // Whoever declared the topology declares it again.
    #expect(seen.count(.exchangeDeclare) == 2)
    #expect(seen.count(.channelCloseOK) == 1)
    await queue.close()
  }

  @Test func refusesWhatIsTooLong() async throws {
    let broker = try ScriptedBroker.behaving { peer, frame in
      if frame.kind == PeerFrame.Kind.body.rawValue { try peer.send(PeerConnection.ack(1)) }
      return false
    }
    let queue = AMQPQueue(broker.settings)
    let long = OutgoingMessage(id: "1:1", priority: .low, body: Array(repeating: 0, count: 65_537))
    let named = OutgoingMessage(id: String(repeating: "1", count: 256), priority: .low, body: [1])
    #expect(await queue.publish([long, message(2), named]) == [.refused, .confirmed, .refused])
    await queue.close()
    #expect(await queue.publish([message(3)]) == [.unknown(QueueError(.closed, "the queue was closed"))])
  }

  @Test func cancelledPublishersDoNotWait() async throws {
    let seen = Seen()
    let broker = try ScriptedBroker.behaving(seen) { _, _ in false }
    let queue = AMQPQueue(broker.settings)
    let publishing = Task { await queue.publish([message(1)]) }
    #expect(await eventually { seen.count(.publish) == 1 })
    publishing.cancel()
    #expect(await publishing.value == [.unknown(QueueError(.closed, "publishing was cancelled"))])
    await queue.close()
  }
}
