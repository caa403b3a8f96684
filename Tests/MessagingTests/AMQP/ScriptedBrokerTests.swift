import Diagnostics
import Foundation
import Messaging
import SweepRecords
import Synchronization
import Testing

private func message(_ number: Int, _ priority: SweepPriority = .normal) -> OutgoingMessage {
  OutgoingMessage(id: "\(number):1", priority: priority, body: Array("body \(number)".utf8))
}

/// What a client must survive of a peer that is slow, dead, newer, mistaken or hostile.
@Suite(.timeLimit(.minutes(1)))
struct ScriptedBrokerTests {
  // MARK: Handshake

  @Test func saysWhoItIs() async throws {
    let answers = Mutex<[PeerFrame]>([])
    let broker = try ScriptedBroker { peer in
      let answer = try peer.greet()
      answers.withLock { $0.append(answer) }
      try peer.serve()
    }
    var settings = broker.settings
    settings.connectionName = "worker 7"
    settings.version = "1.2.3"
    let queue = AMQPQueue(settings)
    try await queue.declareTopology()
    await queue.close()
    var arguments = try #require(answers.withLock { $0.first }).arguments
    let properties = String(decoding: arguments.long(), as: UTF8.self)
    for text in [
      "steerscope", "1.2.3", "worker 7 publisher", "connection.blocked", "consumer_cancel_notify", "basic.nack",
      "publisher_confirms", "authentication_failure_close",
    ] {
      #expect(properties.contains(text))
    }
    #expect(arguments.short() == "PLAIN")
    #expect(arguments.long() == Array("\0u\0p".utf8))
  }

  @Test(arguments: [false, true])
  func survivesACutAtEveryByteOfTheHandshake(publishing: Bool) async throws {
    let position = Mutex(0)
    let broker = try ScriptedBroker { peer in
      peer.cut(after: position.withLock { $0 })
      try peer.greet()
      try peer.serve()
    }
    var cut = 0
    while cut < 2000 {
      position.withLock { $0 = cut }
      let queue = AMQPQueue(broker.settings)
      do {
        if publishing {
          try await queue.declareTopology()
        } else {
          await (try queue.consume(as: "a", prefetch: 1)).close()
        }
        await queue.close()
        break
      } catch {
        #expect(error.code == .unreachable)
        await queue.close()
      }
      cut += 1
    }
    // All bytes of the broker's part: it is over when a call succeeds.
    #expect((150..<1500).contains(cut))
  }

  @Test func givesUpOnAPeerThatNeverAnswers() async throws {
    let broker = try ScriptedBroker { peer in
      _ = try peer.receive(8)
      _ = try? peer.receive(1_000_000)
    }
    var settings = broker.settings
    settings.connectLimit = 0.3
    let queue = AMQPQueue(settings)
    let error = try await #require(throws: QueueError.self) { try await queue.consume(as: "a", prefetch: 1) }
    #expect(error.code == .unreachable && error.message.contains("did not answer in time"))
    #expect(await queue.publish([message(1)]) == [.unknown(error)])
    await queue.close()
  }

  @Test(arguments: [PeerMethod.channelOpen, .qos, .consume, .queueDeclare])
  func givesUpOnARequestThatIsNotAnswered(_ method: PeerMethod) async throws {
    let broker = try ScriptedBroker { peer in
      try peer.greet()
      try peer.serve { $0.method == method }
    }
    var settings = broker.settings
    settings.replyLimit = 0.3
    let queue = AMQPQueue(settings)
    let error = try await #require(throws: QueueError.self) { try await queue.consume(as: "a", prefetch: 1) }
    #expect(error.code == .unreachable && error.message.contains("did not answer in time"))
    await queue.close()
  }

  @Test(arguments: [
    ("AMQP\u{0}\u{0}\u{9}\u{1}", QueueError.Code.refused, "another protocol"),
    ("HTTP/1.1 400 Bad Request\r\n\r\n", .unreachable, ""), ("\u{15}\u{3}\u{3}\u{0}\u{2}\u{2}\u{50}", .unreachable, ""),
    ("", .unreachable, ""),
  ])
  func refusesOtherProtocols(_ reply: String, _ code: QueueError.Code, _ words: String) async throws {
    let broker = try ScriptedBroker { peer in
      _ = try peer.receive(8)
      try peer.send(Array(reply.utf8))
    }
    let queue = AMQPQueue(broker.settings)
    let error = try await #require(throws: QueueError.self) { try await queue.consume(as: "a", prefetch: 1) }
    #expect(error.code == code && (words.isEmpty || error.message.contains(words)))
    await queue.close()
  }

  @Test func refusesHandshakesItCannotUse() async throws {
    let scripts: [(@Sendable (PeerConnection) throws -> Void, QueueError.Code, String)] = [
      ({ try $0.greet(mechanisms: "EXTERNAL") }, .refused, "takes no passwords"),
      ({ try $0.greet(minor: 10) }, .refused, "another protocol"),
      ({ try $0.greet(frameMax: 8) }, .unreachable, "too small"),
      (
        { peer in
          _ = try peer.receive(8)
          try peer.send(PeerConnection.start())
          try peer.await(.startOK)
          try peer.send(PeerConnection.closing(.connectionClose, 0, 403, "ACCESS_REFUSED"))
          try peer.await(.connectionCloseOK)
        }, .refused, "ACCESS_REFUSED"
      ),
      (
        { peer in
          _ = try peer.receive(8)
          try peer.send(PeerFrame(.openOK, 0) { $0.short("") })
        }, .unreachable, "out of turn"
      ),
      (
        { peer in
          _ = try peer.receive(8)
          try peer.send(PeerFrame(.channelOpenOK, 1) { $0.u32(0) })
        }, .unreachable, "before the connection was open"
      ),
    ]
    for (script, code, words) in scripts {
      let broker = try ScriptedBroker { peer in
        try script(peer)
        _ = try peer.receive(1_000_000)
      }
      let queue = AMQPQueue(broker.settings)
      let error = try await #require(throws: QueueError.self) { try await queue.consume(as: "a", prefetch: 1) }
      #expect(error.code == code)
      #expect(error.message.contains(words))
      await queue.close()
    }
  }

  // MARK: Bad frames

  /// A peer that consumes properly, then sends bytes, and tells how the connection ended.
  private func send(_ bytes: [UInt8]) async throws -> [AMQPEvent] {
    let isFirst = Mutex(true)
    let broker = try ScriptedBroker { peer in
      try peer.greet()
      let sendsBytes = isFirst.withLock { first in
        defer { first = false }
        return first
      }
      var consumed = 0
      try peer.serve { frame in
        guard sendsBytes, frame.method == .consume else { return false }
        consumed += 1
        try peer.answer(.consume, frame)
        if consumed == 3 { try peer.send(bytes) }
        return true
      }
    }
    let log = EventLog()
    let queue = AMQPQueue(broker.settings, observer: log.observer)
    let consumer = try? await queue.consume(as: "a", prefetch: 1)
    let next = Task { _ = try? await consumer?.next(upTo: 1, waiting: true) }
    _ = await log.has { event in
      switch event {
      case .lost, .delivered: true
      default: false
      }
    }
    await consumer?.close()
    await next.value
    await queue.close()
    return log.all
  }

  /// A delivery's method, without the message.
  private static let announcement = Array(
    PeerConnection.delivery("a.normal", tag: 1, body: [])
      .dropLast(PeerFrame.header(1, size: 0, messageID: "1:1").bytes.count))

  private static let badFrames: [(String, [UInt8])] = [
    ("another end", Array(PeerFrame.heartbeat.bytes.dropLast()) + [0xcd]),
    ("a frame of 4 GiB", [1, 0, 1, 0xff, 0xff, 0xff, 0xff] + Array(repeating: 0, count: 100)),
    ("a frame over the maximum", [3, 0, 1, 0, 3, 0, 0] + Array(repeating: 0, count: 200_000)),
    ("an empty method", PeerFrame(.method, 1, []).bytes), ("a short method", PeerFrame(.method, 1, [0, 60]).bytes),
    ("an empty header", PeerFrame(.header, 1, []).bytes),
    ("a short header", PeerFrame(.header, 1, [0, 60, 0, 0, 0]).bytes),
    ("an unknown class", PeerFrame(.method, 1, [0, 99, 0, 1]).bytes),
    ("an unknown method", PeerFrame(.method, 1, [0, 60, 0, 99]).bytes),
    ("a delivery without arguments", PeerFrame(.deliver, 1).bytes),
    ("a delivery to nobody", PeerConnection.delivery("stranger", tag: 1, body: [1])),
    ("a delivery out of order", PeerConnection.delivery("a.normal", tag: 7, body: [1])),
    ("a body without a header", PeerFrame.body(1, [1, 2, 3]).bytes),
    ("a header without a delivery", PeerFrame.header(1, size: 3).bytes),
    (
      "a body that is too long",
      Array(PeerConnection.delivery("a.normal", tag: 1, body: [1]).dropLast(9))
        + PeerFrame.body(1, [1, 2]).bytes
    ),
    (
      "a method inside a message",
      announcement
        + PeerFrame(.qosOK, 1).bytes
    ),
    ("a strange channel", PeerFrame(.channelOpenOK, 9) { $0.u32(0) }.bytes),
    ("an answer without a question", PeerFrame(.qosOK, 1).bytes),
    ("an ack from the broker", PeerConnection.ack(1).bytes),
    ("a second open-ok", PeerFrame(.openOK, 0) { $0.short("") }.bytes),
    (
      "a table longer than its frame",
      PeerFrame(
        .header, 1,
        [0, 60, 0, 0] + Array(repeating: 0, count: 7) + [1]
          + [0x20, 0, 0xff, 0xff, 0xff, 0xff]
      ).bytes
    ),
  ]

  @Test(arguments: badFrames)
  func dropsAConnectionThatSends(_ what: String, _ bytes: [UInt8]) async throws {
    let events = try await send(bytes)
    #expect(events.contains { if case .lost = $0 { true } else { false } })
  }

  /// As deep as a frame has room for: the library decodes tables by recursion.
  @Test func survivesDeepTables() async throws {
    // A table in a table under the name "a", and an array in an array.
    for opening in [[1, 0x61, 0x46], [0x41]] as [[UInt8]] {
      let depth = 120_000 / (opening.count + 4)
      // An array stands in a table under a name.
      var table: [UInt8] = opening.count == 1 ? [1, 0x61] : []
      for level in 0..<depth {
        var length = PeerBytes()
        length.u32(UInt32((depth - 1 - level) * (opening.count + 4)))
        table += opening + length.all
      }
      var header = PeerBytes()
      header.u16(60)
      header.u16(0)
      header.u64(1)
      header.u16(1 << 13)
      header.long(table)
      let events = try await send(
        Self.announcement + PeerFrame(.header, 1, header.all).bytes + PeerFrame.body(1, [1]).bytes)
      // Newer libraries refuse them.
      #expect(
        events.contains { $0 == .delivered(count: 1) }
          || events.contains { if case .lost = $0 { true } else { false } })
    }
  }

  @Test func survivesDamageAnywhere() async throws {
    var bytes = PeerConnection.delivery("a.normal", tag: 1, body: [1, 2, 3])
    bytes +=
      PeerFrame(.cancel, 1) { bytes in
        bytes.short("a.low")
        bytes.u8(0)
      }.bytes
    bytes += PeerFrame(.blocked, 0) { $0.short("memory") }.bytes + PeerFrame(.unblocked, 0).bytes
    for index in bytes.indices {
      let isFirst = Mutex(true)
      let damaged = bytes.enumerated().map { $0.offset == index ? $0.element ^ 0x81 : $0.element }
      let broker = try ScriptedBroker { peer in
        try peer.greet()
        guard
          isFirst.withLock({ first in
            defer { first = false }
            return first
          })
        else { return try peer.serve() }
        var consumed = 0
        try peer.serve { frame in
          guard frame.method == .consume else { return false }
          consumed += 1
          try peer.answer(.consume, frame)
          if consumed == 3 {
            try peer.send(damaged)
            throw PeerConnection.Ended()
          }
          return true
        }
      }
      let queue = AMQPQueue(broker.settings)
      let consumer = try? await queue.consume(as: "a", prefetch: 4)
      if let deliveries = try await consumer?.next(upTo: 4, waiting: false) { #expect(deliveries.count <= 1) }
      await consumer?.close()
      await queue.close()
    }
  }
}
