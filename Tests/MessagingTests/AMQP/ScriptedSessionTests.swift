import Diagnostics
import Foundation
import Messaging
import SweepRecords
import Synchronization
import Testing

private func message(_ number: Int, _ priority: SweepPriority = .normal) -> OutgoingMessage {
  OutgoingMessage(id: "\(number):1", priority: priority, body: Array("body \(number)".utf8))
}

/// What happens on connections that are open: a scripted peer does what Debian's broker can't be made to do.
@Suite(.timeLimit(.minutes(1)))
struct ScriptedSessionTests {
  /// What the peer saw, for a test to look at.
  private final class Seen: Sendable {
    private let frames = Mutex<[PeerFrame]>([])
    func add(_ frame: PeerFrame) { frames.withLock { $0.append(frame) } }
    var all: [PeerFrame] { frames.withLock { $0 } }
    func all(_ method: PeerMethod) -> [PeerFrame] { all.filter { $0.method == method } }
    func count(_ method: PeerMethod) -> Int { all(method).count }
  }

  /// A peer that behaves, except where a test has something special.
  private func broker(
    heartbeat: UInt16 = 0, _ seen: Seen = Seen(),
    _ special: @escaping @Sendable (PeerConnection, PeerFrame) throws -> Bool
  ) throws -> ScriptedBroker {
    try ScriptedBroker { peer in
      try peer.greet(heartbeat: heartbeat)
      try peer.serve { frame in
        seen.add(frame)
        return try special(peer, frame)
      }
    }
  }

  // MARK: Publishing

  @Test func settlesByTheBrokersWord() async throws {
    let published = Mutex(0)
    let broker = try broker { peer, frame in
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
    let broker = try broker(seen) { peer, frame in
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
    let broker = try broker(seen) { _, _ in false }
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
    let broker = try broker(seen) { peer, frame in
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
    let broker = try broker { peer, frame in
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

  @Test(arguments: [3, 0])
  func waitsWhileBlockedButNotForEver(unblockedAfter: Int) async throws {
    let blocks = Mutex(0)
    let broker = try ScriptedBroker { peer in
      try peer.greet()
      try peer.send(PeerFrame(.blocked, 0) { $0.short("low on memory") })
      try peer.serve { frame in
        if frame.method == .confirmSelect {
          try peer.answer(.confirmSelect, frame)
          if unblockedAfter > 0 {
            usleep(200_000)
            blocks.withLock { $0 += 1 }
            try peer.send(PeerFrame(.unblocked, 0))
          }
          return true
        }
        if frame.kind == PeerFrame.Kind.body.rawValue {
          blocks.withLock { #expect($0 == 1) }
          try peer.send(PeerConnection.ack(1))
        }
        return false
      }
    }
    var settings = broker.settings
    settings.publishLimit = 0.6
    let log = EventLog()
    let queue = AMQPQueue(settings, observer: log.observer)
    async let outcomes = queue.publish([message(1)])
    #expect(await log.has { $0 == .blocked(reason: "low on memory") })
    if unblockedAfter > 0 {
      #expect(await outcomes == [.confirmed])
      #expect(log.contains { $0 == .unblocked })
      #expect(queue.connectionState == .ready)
    } else {
      #expect(queue.connectionState == .blocked(reason: "low on memory"))
      #expect(
        await outcomes == [.unknown(QueueError(.unreachable, "the broker takes no messages at present"))])
    }
    await queue.close()
    #expect(queue.connectionState == .closed)
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
      sleep(8)
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
    #expect(ContinuousClock.now - start < .seconds(5))
  }

  @Test func mendsAClosedChannel() async throws {
    let publications = Mutex(0)
    let seen = Seen()
    let broker = try broker(seen) { peer, frame in
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
    let broker = try broker { peer, frame in
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
    let broker = try broker(seen) { _, _ in false }
    let queue = AMQPQueue(broker.settings)
    let publishing = Task { await queue.publish([message(1)]) }
    #expect(await eventually { seen.count(.publish) == 1 })
    publishing.cancel()
    #expect(await publishing.value == [.unknown(QueueError(.closed, "publishing was cancelled"))])
    await queue.close()
  }

  // MARK: Consuming

  /// A peer that delivers bytes once the third queue is consumed.
  private func consuming(
    _ seen: Seen, delivering bytes: [UInt8]
  ) throws -> ScriptedBroker {
    try broker(seen) { peer, frame in
      guard frame.method == .consume, seen.count(.consume) == 3 else { return false }
      try peer.answer(.consume, frame)
      try peer.send(bytes)
      return true
    }
  }

  @Test func consumesTheUrgentQueueFirstWithAPrefetchForEach() async throws {
    let seen = Seen()
    let broker = try consuming(seen, delivering: [])
    let consumer = try await AMQPQueue(broker.settings).consume(as: "w", prefetch: 3)
    let queues = seen.all(.consume).map { frame in
      var arguments = frame.arguments
      _ = arguments.number(2)
      return [arguments.short(), arguments.short()]
    }
    #expect(
      queues == [
        ["steerscope.high", "w.high"], ["steerscope.normal", "w.normal"], ["steerscope.low", "w.low"],
      ])
    var qos = try #require(seen.all(.qos).first).arguments
    #expect([qos.number(4), qos.number(2), qos.number(1)] == [0, 3, 0])
    await consumer.close()
  }

  @Test func acknowledgesRowsInOneAndRejectsWithoutRequeue() async throws {
    let seen = Seen()
    let bytes = (1...6).flatMap {
      PeerConnection.delivery("w.normal", tag: UInt64($0), body: [1], id: "\($0):1", redelivered: $0 == 2)
    }
    let broker = try consuming(seen, delivering: bytes)
    let log = EventLog()
    let consumer = try await AMQPQueue(broker.settings, observer: log.observer).consume(as: "w", prefetch: 6)
    var got: [Delivery] = []
    while got.count < 6 { got += try await consumer.next(upTo: 6, waiting: true) }
    #expect(got.map(\.redelivered) == [false, true, false, false, false, false])
    await consumer.acknowledge([got[2].tag, got[0].tag, got[1].tag, got[5].tag])
    #expect(await eventually { seen.count(.ack) == 2 })
    let letter = DeadLetter(.unreadable, InputError("message", expected: "JSON", found: "garbage"))
    await consumer.reject(got[3].tag, because: letter)
    await consumer.reject(got[3].tag, because: letter)
    await consumer.acknowledge([got[3].tag, got[0].tag])
    #expect(await eventually { seen.count(.reject) == 1 })
    await consumer.close()
    let acks = seen.all(.ack).map { frame in
      var arguments = frame.arguments
      return [arguments.number(8), arguments.number(1)]
    }
    #expect(acks == [[3, 1], [6, 0]])
    var reject = try #require(seen.all(.reject).first).arguments
    #expect([reject.number(8), reject.number(1)] == [4, 0])
    #expect(seen.count(.nack) == 0)
    #expect(log.all.count { if case .deadLettered(.unreadable, _) = $0 { true } else { false } } == 1)
  }

  /// What a stopping worker has not touched is no failure: RabbitMQ 4.3 counts a rejection, and not a nack.
  @Test func givesBackUntouchedMessagesByNack() async throws {
    let seen = Seen()
    let bytes = (1...3).flatMap { PeerConnection.delivery("w.low", tag: UInt64($0), body: [1]) }
    let broker = try consuming(seen, delivering: bytes)
    let consumer = try await AMQPQueue(broker.settings).consume(as: "w", prefetch: 3)
    let held = try await consumer.next(upTo: 1, waiting: true)
    await consumer.stop()
    #expect(await eventually { seen.count(.nack) == 2 && seen.count(.cancel) == 3 })
    var nack = try #require(seen.all(.nack).first).arguments
    #expect([nack.number(8), nack.number(1)] == [2, 0b10])
    #expect(seen.count(.reject) == 0)
    await consumer.acknowledge(held.map(\.tag))
    await consumer.close()
    #expect(seen.count(.ack) == 1)
  }

  /// RabbitMQ 4.3 cancels a consumer that held a message for too long, and keeps the channel.
  @Test func consumesAnewAfterACancel() async throws {
    let seen = Seen()
    let broker = try broker(seen) { peer, frame in
      guard frame.method == .consume else { return false }
      try peer.answer(.consume, frame)
      if seen.count(.consume) == 3 {
        try peer.send(PeerConnection.delivery("w.normal", tag: 1, body: [1], id: "1:1"))
        try peer.send(
          PeerFrame(.cancel, 1) { bytes in
            bytes.short("w.normal")
            bytes.u8(1)
          })
      }
      if seen.count(.consume) == 4 {
        try peer.send(PeerConnection.delivery("w.normal", tag: 2, body: [2], id: "2:1"))
      }
      return true
    }
    let log = EventLog()
    let consumer = try await AMQPQueue(broker.settings, observer: log.observer).consume(as: "w", prefetch: 3)
    var got: [Delivery] = []
    while got.count < 2 { got += try await consumer.next(upTo: 2, waiting: true) }
    #expect(got.map(\.id) == ["1:1", "2:1"])
    #expect(got[0].tag.epoch == got[1].tag.epoch)
    #expect(log.contains { $0 == .cancelled(queue: "steerscope.normal") })
    await consumer.close()
  }

  /// RabbitMQ before 4.3 closes the channel instead.
  @Test(arguments: [UInt16(406), 404])
  func opensAClosedChannelAnew(_ code: UInt16) async throws {
    let seen = Seen()
    let isClosing = Mutex(false)
    let broker = try broker(seen) { peer, frame in
      if frame.method == .channelCloseOK { isClosing.withLock { $0 = false } }
      // What a client sent before it heard of the end is let go.
      if isClosing.withLock({ $0 }), frame.channel == 1 { return true }
      guard frame.method == .consume else { return false }
      try peer.answer(.consume, frame)
      if [3, 6].contains(seen.count(.consume)) {
        try peer.send(PeerConnection.delivery("w.normal", tag: 1, body: [1], redelivered: seen.count(.consume) == 6))
      }
      if seen.count(.consume) == 3 {
        isClosing.withLock { $0 = true }
        try peer.send(PeerConnection.closing(.channelClose, 1, code, "timeout"))
      }
      return true
    }
    let log = EventLog()
    let consumer = try await AMQPQueue(broker.settings, observer: log.observer).consume(as: "w", prefetch: 3)
    var got: [Delivery] = []
    while got.last?.redelivered != true { got += try await consumer.next(upTo: 2, waiting: true) }
    await consumer.acknowledge(got.map(\.tag))
    #expect(await eventually { seen.count(.ack) == 1 })
    #expect(log.contains { if case .channelClosed = $0 { true } else { false } })
    await consumer.close()
  }

  @Test func missingQueuesAreTriedAgain() async throws {
    let seen = Seen()
    let isThere = Mutex(false)
    let broker = try broker(seen) { peer, frame in
      guard frame.method == .queueDeclare, frame.channel == 2 else { return false }
      var arguments = frame.arguments
      _ = arguments.number(2)
      guard arguments.short() == "steerscope.high", !isThere.withLock({ $0 }) else { return false }
      try peer.send(PeerConnection.closing(.channelClose, 2, 404, "no queue"))
      return true
    }
    let log = EventLog()
    let consumer = try await AMQPQueue(broker.settings, observer: log.observer).consume(as: "w", prefetch: 1)
    #expect(seen.count(.consume) == 2)
    #expect(log.contains { $0 == .queueUnavailable(queue: "steerscope.high", reason: "404 no queue") })
    isThere.withLock { $0 = true }
    #expect(await eventually { seen.count(.consume) == 3 })
    await consumer.close()
  }

  @Test(arguments: [UInt16(404), 403])
  func saysWhyNothingCanBeConsumed(_ code: UInt16) async throws {
    let broker = try broker { peer, frame in
      guard frame.method == .queueDeclare else { return false }
      try peer.send(PeerConnection.closing(.channelClose, frame.channel, code, "no such luck"))
      return true
    }
    let queue = AMQPQueue(broker.settings)
    let error = try await #require(throws: QueueError.self) { try await queue.consume(as: "w", prefetch: 1) }
    #expect(error.code == (code == 403 ? .refused : .unreachable))
    #expect(error.message.contains("no such luck") && error.message.contains("steerscope."))
    await queue.close()
  }

  /// Bodies over the limit go to the dead letters, and are not collected on the way.
  @Test func rejectsOversizedMessagesWithoutKeepingThem() async throws {
    let seen = Seen()
    let large = [UInt8](repeating: 0x20, count: 3_000_000)
    let broker = try consuming(
      seen,
      delivering: PeerConnection.delivery("w.normal", tag: 1, body: large)
        + PeerConnection.delivery("w.normal", tag: 2, body: [1], id: "2:1"))
    let log = EventLog()
    let consumer = try await AMQPQueue(broker.settings, observer: log.observer).consume(as: "w", prefetch: 3)
    let got = try await consumer.next(upTo: 3, waiting: true)
    #expect(got.map(\.id) == ["2:1"])
    #expect(await eventually { seen.count(.reject) == 1 })
    #expect(log.contains { $0 == .deadLettered(.oversized, id: "1:1") })
    await consumer.close()
  }

  // MARK: Life of a connection

  @Test func noticesASilentPeerAndSpeaksItself() async throws {
    let seen = Seen()
    let broker = try broker(heartbeat: 1, seen) { _, _ in false }
    let log = EventLog()
    let consumer = try await AMQPQueue(broker.settings, observer: log.observer).consume(as: "w", prefetch: 1)
    #expect(
      await log.has(within: .seconds(4)) {
        if case .lost(_, let reason) = $0 { reason.contains("no heartbeat") } else { false }
      })
    #expect(seen.all.count { $0.kind == PeerFrame.Kind.heartbeat.rawValue } >= 2)
    await consumer.close()
  }

  @Test func heartbeatsKeepAConnection() async throws {
    let broker = try broker(heartbeat: 1) { peer, frame in
      if frame.kind == PeerFrame.Kind.heartbeat.rawValue { try peer.send(.heartbeat) }
      return false
    }
    let log = EventLog()
    let consumer = try await AMQPQueue(broker.settings, observer: log.observer).consume(as: "w", prefetch: 1)
    try await Task.sleep(for: .seconds(2.5))
    #expect(!log.contains { if case .lost = $0 { true } else { false } })
    await consumer.close()
  }

  @Test(arguments: [PeerMethod.channelOpen, .qos, .queueDeclare, .consume, .confirmSelect, .publish])
  func survivesACloseAtAnOddMoment(_ method: PeerMethod) async throws {
    let isFirst = Mutex(true)
    let broker = try broker { peer, frame in
      if frame.kind == PeerFrame.Kind.body.rawValue { try peer.send(PeerConnection.ack(peer.nextPublication())) }
      guard frame.method == method,
        isFirst.withLock({ first in
          defer { first = false }
          return first
        })
      else { return false }
      try peer.send(PeerConnection.closing(.connectionClose, 0, 320, "CONNECTION_FORCED"))
      try peer.await(.connectionCloseOK)
      throw PeerConnection.Ended()
    }
    let queue = AMQPQueue(broker.settings)
    if [.confirmSelect, .publish].contains(method) {
      let first = await queue.publish([message(1)])
      // What was not sent yet goes out on the next connection.
      #expect(first == [.confirmed] || method == .publish)
      #expect(await queue.publish([message(2)]) == [.confirmed])
    } else {
      let error = try await #require(throws: QueueError.self) { try await queue.consume(as: "w", prefetch: 1) }
      #expect(error.code == .unreachable && error.message.contains("320 CONNECTION_FORCED"))
      await (try queue.consume(as: "w", prefetch: 1)).close()
    }
    await queue.close()
  }

  @Test func closesEvenIfThePeerDoesNotAnswer() async throws {
    let broker = try broker { _, frame in frame.method == .connectionClose }
    let queue = AMQPQueue(broker.settings)
    let consumer = try await queue.consume(as: "w", prefetch: 1)
    let start = ContinuousClock.now
    await consumer.close()
    #expect(ContinuousClock.now - start < .seconds(4))
    await #expect(throws: QueueError.self) { try await consumer.next(upTo: 1, waiting: true) }
  }

  /// Threads and descriptors come and go with their connections.
  @Test func leavesNothingBehind() async throws {
    let broker = try broker { _, _ in false }
    func descriptors() throws -> Int { try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count }
    let before = try descriptors()
    for round in 0..<40 {
      let queue = AMQPQueue(broker.settings)
      try await queue.declareTopology()
      let consumer = try await queue.consume(as: "w", prefetch: 1)
      // Some are closed, some only dropped.
      if round % 2 == 0 {
        await consumer.close()
        await queue.close()
      }
    }
    // Other tests run beside this one.
    #expect(try await eventually(within: .seconds(15)) { try descriptors() < before + 60 })
  }
}
