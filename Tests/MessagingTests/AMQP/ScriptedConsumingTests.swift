import Diagnostics
import Foundation
import SweepRecords
import Synchronization
import Testing

@testable import Messaging

private func message(_ number: Int, _ priority: SweepPriority = .normal) -> OutgoingMessage {
  OutgoingMessage(id: "\(number):1", priority: priority, body: Array("body \(number)".utf8))
}

/// Consuming from a scripted peer, which does what RabbitMQ of other versions does.
@Suite(.timeLimit(.minutes(1)))
struct ScriptedConsumingTests {
  @Test func consumesTheUrgentQueueFirstWithAPrefetchForEach() async throws {
    let seen = Seen()
    let broker = try ScriptedBroker.delivering([], seen)
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

  /// A message that arrives while it is asked whether a less urgent queue is there fills the hands for which that queue
  /// was to be consumed: the consumer is ready all the same.
  @Test func startsWhenADeliveryFillsItsHandsMeanwhile() async throws {
    let broker = try ScriptedBroker.behaving { peer, frame in
      guard frame.method == .queueDeclare, frame.channel == 2 else { return false }
      var arguments = frame.arguments
      _ = arguments.number(2)
      if arguments.short() == "steerscope.low" { try peer.send(PeerConnection.delivery("w.normal", tag: 1, body: [1])) }
      return false
    }
    let consumer = try await AMQPQueue(broker.settings).consume(as: "w", prefetch: 1)
    let deliveries = try await consumer.next(upTo: 1, waiting: true)
    #expect(deliveries.map(\.priority) == [.normal])
    await consumer.close()
  }

  /// A changed prefetch is a matter of the channel: cancel, qos, consume with a new tag. What was on its way for the old
  /// consumers arrives, and can be acknowledged.
  @Test func resizesOnTheOpenChannel() async throws {
    let seen = Seen()
    let connections = Mutex(0)
    let broker = try ScriptedBroker { peer in
      connections.withLock { $0 += 1 }
      try peer.greet()
      try peer.serve { frame in
        seen.add(frame)
        if frame.method == .consume, seen.count(.consume) == 3 {
          try peer.answer(.consume, frame)
          try peer.send(PeerConnection.delivery("w.normal", tag: 1, body: [1], id: "1:1"))
          return true
        }
        if frame.method == .qos, seen.count(.qos) == 2 {
          // Late ones, before and after the answer.
          try peer.send(PeerConnection.delivery("w.normal", tag: 2, body: [2], id: "2:1"))
          try peer.answer(.qos, frame)
          try peer.send(PeerConnection.delivery("w.low", tag: 3, body: [3], id: "3:1"))
          return true
        }
        if frame.method == .consume, seen.count(.consume) == 6 {
          try peer.answer(.consume, frame)
          try peer.send(PeerConnection.delivery("w.low.1", tag: 4, body: [4], id: "4:1"))
          return true
        }
        return false
      }
    }
    let log = EventLog()
    let consumer = try await AMQPQueue(broker.settings, observer: log.observer).consume(as: "w", prefetch: 1)
    var got = try await consumer.next(upTo: 1, waiting: true)
    await consumer.resize(prefetch: 8)
    while got.count < 4 { got += try await consumer.next(upTo: 8, waiting: true) }
    #expect(got.map(\.id) == ["1:1", "2:1", "3:1", "4:1"])
    #expect(got.map(\.priority) == [.normal, .normal, .low, .low])
    #expect(Set(got.map(\.tag.epoch)).count == 1)
    await consumer.acknowledge(got.map(\.tag))
    #expect(await eventually { seen.count(.ack) == 1 })
    var ack = try #require(seen.all(.ack).first).arguments
    #expect([ack.number(8), ack.number(1)] == [4, 1])

    func strings(_ method: PeerMethod) -> [String] {
      seen.all(method).map { frame in
        var arguments = frame.arguments
        if method == .consume { _ = (arguments.number(2), arguments.short()) }
        return arguments.short()
      }
    }
    let tags = ["w.high", "w.normal", "w.low"]
    #expect(strings(.consume) == tags + tags.map { $0 + ".1" })
    #expect(strings(.cancel) == tags)
    let prefetches = seen.all(.qos).map { frame in
      var arguments = frame.arguments
      _ = arguments.number(4)
      return [arguments.number(2), arguments.number(1)]
    }
    #expect(prefetches == [[1, 0], [8, 0]])
    // The order on the channel: an old consumer gets no new prefetch, and a new one begins after it is set.
    let order = seen.all.compactMap(\.method).filter { [.cancel, .qos].contains($0) }
    #expect(order == [.qos, .cancel, .cancel, .cancel, .qos])
    // The same number again is no news.
    await consumer.resize(prefetch: 8)
    await consumer.close()
    #expect(seen.count(.qos) == 2 && connections.withLock { $0 } == 1)
    #expect(!log.contains { if case .reconnecting = $0 { true } else { false } })
  }

  /// With a smaller prefetch, what is more than that goes back for others, also what comes late.
  @Test func givesBackWhatASmallerPrefetchHasNoRoomFor() async throws {
    let seen = Seen()
    let broker = try ScriptedBroker.behaving(seen) { peer, frame in
      if frame.method == .consume, seen.count(.consume) == 3 {
        try peer.answer(.consume, frame)
        for tag in 1...4 {
          try peer.send(PeerConnection.delivery("w.normal", tag: UInt64(tag), body: [1], id: "\(tag):1"))
        }
        return true
      }
      if frame.method == .qos, seen.count(.qos) == 2 {
        try peer.answer(.qos, frame)
        try peer.send(PeerConnection.delivery("w.normal", tag: 5, body: [1], id: "5:1"))
        return true
      }
      return false
    }
    let consumer = try await AMQPQueue(broker.settings).consume(as: "w", prefetch: 8)
    let held = try await consumer.next(upTo: 1, waiting: true)
    await consumer.resize(prefetch: 2)
    #expect(await eventually { seen.count(.nack) == 3 })
    let nacks = seen.all(.nack).map { frame in
      var arguments = frame.arguments
      return [arguments.number(8), arguments.number(1)]
    }
    #expect(nacks == [[3, 0b10], [4, 0b10], [5, 0b10]])
    // Cancelled first: else what goes back would come right back.
    let order = seen.all.compactMap(\.method).filter { [.cancel, .nack].contains($0) }
    #expect(order.prefix(5) == [.cancel, .cancel, .cancel, .nack, .nack])
    await consumer.acknowledge(held.map(\.tag))
    #expect(try await consumer.next(upTo: 8, waiting: true).map(\.id) == ["2:1"])
    await consumer.close()
  }

  /// A connection that breaks amid the change comes back with the new prefetch; so does one that was lost before it.
  @Test func resizingOutlivesALostConnection() async throws {
    let seen = Seen()
    let broker = try ScriptedBroker { peer in
      try peer.greet()
      try peer.serve { frame in
        seen.add(frame)
        if frame.method == .qos, seen.count(.qos) == 2 { throw PeerConnection.Ended() }
        if frame.method == .consume, seen.count(.consume) == 6 {
          try peer.answer(.consume, frame)
          try peer.send(PeerConnection.delivery("w.low.1", tag: 1, body: [1], id: "1:1"))
          return true
        }
        return false
      }
    }
    let consumer = try await AMQPQueue(broker.settings).consume(as: "w", prefetch: 1)
    await consumer.resize(prefetch: 4)
    #expect(try await consumer.next(upTo: 4, waiting: true).map(\.id) == ["1:1"])
    let prefetches = seen.all(.qos).map { frame in
      var arguments = frame.arguments
      _ = arguments.number(4)
      return arguments.number(2)
    }
    #expect(prefetches == [1, 4, 4])
    await consumer.close()
  }

  /// A tag of a consumer that never was is a broker's mistake.
  @Test func refusesDeliveriesToConsumersThatNeverWere() {
    var tags = ConsumerTags(name: "a.b")
    #expect(tags.tag(of: .high) == "a.b.high")
    tags.renew()
    tags.renew()
    #expect(tags.tag(of: .low) == "a.b.low.2")
    #expect(tags.consumer("a.b.low.2")?.isCurrent == true)
    #expect(tags.consumer("a.b.normal.1")?.isCurrent == false && tags.consumer("a.b.high")?.priority == .high)
    for tag in ["", "a", "a.b", "a.b.", "a.b.low.3", "a.b.low.02", "a.b.low.-1", "a.b.low.0", "a.b.urgent", "x.y.low"] {
      #expect(tags.consumer(tag) == nil, "\(tag)")
    }
    tags.forgetEarlier()
    #expect(tags.consumer("a.b.low.1") == nil && tags.consumer("a.b.low.2") != nil)
    #expect(ConsumerTags(name: String(repeating: "n", count: 300)).tag(of: .normal).utf8.count == 207)
  }

  @Test func acknowledgesRowsInOneAndRejectsWithoutRequeue() async throws {
    let seen = Seen()
    let bytes = (1...6).flatMap {
      PeerConnection.delivery("w.normal", tag: UInt64($0), body: [1], id: "\($0):1", redelivered: $0 == 2)
    }
    let broker = try ScriptedBroker.delivering(bytes, seen)
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
    #expect(!log.contains { if case .deadLettered = $0 { true } else { false } })
  }

  /// What a stopping worker has not touched is no failure: RabbitMQ 4.3 counts a rejection, and not a nack.
  @Test func givesBackUntouchedMessagesByNack() async throws {
    let seen = Seen()
    let bytes = (1...3).flatMap { PeerConnection.delivery("w.low", tag: UInt64($0), body: [1]) }
    let broker = try ScriptedBroker.delivering(bytes, seen)
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

  /// Urgent messages don't wait behind a long task where others could work on them.
  @Test func restsWhileTheCallersHandsAreFull() async throws {
    let seen = Seen()
    let broker = try ScriptedBroker.behaving(seen) { peer, frame in
      guard frame.method == .consume else { return false }
      try peer.answer(.consume, frame)
      if seen.count(.consume) == 3 {
        try peer.send(PeerConnection.delivery("w.normal", tag: 1, body: [1], id: "1:1"))
        try peer.send(PeerConnection.delivery("w.high", tag: 2, body: [1], id: "2:1"))
      }
      // Consumed again, the urgent queue has enough: the others are left to others.
      if seen.count(.consume) == 4 {
        try peer.send(PeerConnection.delivery("w.high", tag: 3, body: [1], id: "2:1", redelivered: true))
      }
      return true
    }
    let consumer = try await AMQPQueue(broker.settings).consume(as: "w", prefetch: 1)
    let first = try await consumer.next(upTo: 1, waiting: true)
    #expect(first.count == 1)
    #expect(await eventually { seen.count(.cancel) == 3 && seen.count(.nack) == 1 })
    var nack = try #require(seen.all(.nack).first).arguments
    // Whichever of the two was not taken.
    #expect(nack.number(8) == 3 - (first.first?.tag.number ?? 0))
    #expect(seen.count(.consume) == 3)
    await consumer.acknowledge(first.map(\.tag))
    let second = try await consumer.next(upTo: 1, waiting: true)
    #expect(second.map(\.id) == ["2:1"])
    await consumer.acknowledge(second.map(\.tag))
    await consumer.close()
    #expect(seen.count(.reject) == 0)
  }

  /// RabbitMQ 4.3 cancels a consumer that held a message for too long, and keeps the channel.
  @Test func consumesAnewAfterACancel() async throws {
    let seen = Seen()
    let broker = try ScriptedBroker.behaving(seen) { peer, frame in
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
    let broker = try ScriptedBroker.behaving(seen) { peer, frame in
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
    let broker = try ScriptedBroker.behaving(seen) { peer, frame in
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
    let broker = try ScriptedBroker.behaving { peer, frame in
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
    let bytes =
      PeerConnection.delivery("w.normal", tag: 1, body: large)
      + PeerConnection.delivery("w.normal", tag: 2, body: [1], id: "2:1")
    let broker = try ScriptedBroker.delivering(bytes, seen)
    let log = EventLog()
    let consumer = try await AMQPQueue(broker.settings, observer: log.observer).consume(as: "w", prefetch: 3)
    let got = try await consumer.next(upTo: 3, waiting: true)
    #expect(got.map(\.id) == ["2:1"])
    #expect(await eventually { seen.count(.reject) == 1 })
    #expect(log.contains { $0 == .deadLettered(.oversized) })
    await consumer.close()
  }
}
