import Diagnostics
import Foundation
import Messaging
import SweepRecords
import TestServers
import Testing

private func message(_ number: Int, _ priority: SweepPriority = .normal) -> OutgoingMessage {
  OutgoingMessage(id: "\(number):1", priority: priority, body: Array("body \(number)".utf8))
}

/// What goes wrong with a real broker.
@Suite(.timeLimit(.minutes(4)))
struct RabbitMQTests {
  @Test func goesOnAfterTheBrokerClosedAllConnections() async throws {
    let broker = try await TestServers.rabbitMQ()
    // A virtual host that nobody else uses.
    let settings = try AMQPSettings(parsing: try await broker.freshVirtualHost())
    let log = EventLog()
    let queue = AMQPQueue(settings, observer: log.observer)
    try await queue.declareTopology()
    #expect(await queue.publish([message(1), message(2)]) == [.confirmed, .confirmed])
    let consumer = try await queue.consume(as: "a", prefetch: 1)
    let before = try #require(try await consumer.next(upTo: 1, waiting: true).first)
    try await broker.control(["close_all_connections", "--vhost", settings.virtualHost, "maintenance"])
    #expect(await log.has { if case .lost(.publishing, let why) = $0 { why.contains("320") } else { false } })
    #expect(await log.has { if case .lost(.consuming, let why) = $0 { why.contains("maintenance") } else { false } })
    // Both come back; the late acknowledgement means nothing.
    await consumer.acknowledge([before.tag])
    #expect(await queue.publish([message(3)]) == [.confirmed])
    var got: [Delivery] = []
    while got.count < 3 {
      let next = try await consumer.next(upTo: 1, waiting: true)
      await consumer.acknowledge(next.map(\.tag))
      got += next
    }
    #expect(got.map(\.id).sorted() == ["1:1", "2:1", "3:1"])
    #expect(queue.state == .ready)
    await queue.close()
  }

  /// Nothing comes through, and nobody says so.
  @Test func noticesABrokenCable() async throws {
    let under = try await BrokerUnderTest.fresh()
    let proxy = try CuttingProxy(to: under.settings.port)
    let settings = under.with { settings in
      settings.host = "127.0.0.1"
      settings.port = proxy.port
      settings.heartbeat = 1
    }
    let log = EventLog()
    let queue = AMQPQueue(settings, observer: log.observer)
    try await queue.declareTopology()
    #expect(await queue.publish([message(1)]) == [.confirmed])
    let consumer = try await queue.consume(as: "a", prefetch: 1)
    let before = try await consumer.next(upTo: 1, waiting: true)
    proxy.hold(true)
    #expect(
      await log.has { if case .lost(.consuming, let why) = $0 { why.contains("no heartbeat") } else { false } })
    guard case .lost = queue.state else { return #expect(Bool(false), "\(queue.state)") }
    proxy.hold(false)
    await consumer.acknowledge(before.map(\.tag))
    let after = try await consumer.next(upTo: 1, waiting: true)
    #expect(after.map(\.id) == ["1:1"] && after.allSatisfy(\.redelivered))
    await queue.close()
  }

  @Test func restoresQueuesThatWereDeletedWhileConsumed() async throws {
    let under = try await BrokerUnderTest.fresh()
    let log = EventLog()
    let queue = AMQPQueue(under.settings, observer: log.observer)
    try await queue.declareTopology()
    let consumer = try await queue.consume(as: "a", prefetch: 1)
    let name = "\(under.settings.queuePrefix).normal"
    try await under.broker.control(["delete_queue", name])
    #expect(await log.has { $0 == .cancelled(queue: name) })
    // The first message finds no queue, and has it declared.
    #expect(await queue.publish([message(1)]) == [.returned])
    #expect(log.contains { $0 == .returned(id: "1:1") })
    #expect(await eventually { await queue.publish([message(2)]) == [.confirmed] })
    #expect(try await consumer.next(upTo: 1, waiting: true).map(\.id) == ["2:1"])
    await queue.close()
  }

  /// Who has not declared the queues does not mend them.
  @Test func messagesToMissingQueuesComeBack() async throws {
    let under = try await BrokerUnderTest.fresh()
    let owner = AMQPQueue(under.settings)
    try await owner.declareTopology()
    try await under.broker.control(["delete_queue", "\(under.settings.queuePrefix).low"])
    let other = AMQPQueue(under.settings)
    for _ in 0..<2 {
      #expect(await other.publish([message(1, .low), message(2)]) == [.returned, .confirmed])
    }
    await other.close()
    await owner.close()
  }

  @Test func messagesWithoutAnExchangeAreUnknown() async throws {
    let under = try await BrokerUnderTest.fresh()
    let queue = AMQPQueue(under.settings)
    let outcome = try #require(await queue.publish([message(1)]).first)
    guard case .unknown(let error) = outcome else { return #expect(Bool(false), "\(outcome)") }
    #expect(error.message.contains("404"))
    let missing = try await #require(throws: QueueError.self) { try await queue.consume(as: "a", prefetch: 1) }
    #expect(missing.code == .unreachable && missing.message.contains("the coordinator declares it"))
    // Declared now, the same connection goes on.
    try await queue.declareTopology()
    #expect(await queue.publish([message(1)]) == [.confirmed])
    await queue.close()
  }

  @Test func deliversEachOfTwoCopies() async throws {
    let under = try await BrokerUnderTest.fresh()
    let queue = AMQPQueue(under.settings)
    try await queue.declareTopology()
    _ = await queue.publish((0..<20).map { message($0 / 2) })
    let consumer = try await queue.consume(as: "a", prefetch: 4)
    var got: [Delivery] = []
    while got.count < 20 {
      let next = try await consumer.next(upTo: 4, waiting: true)
      await consumer.acknowledge(next.map(\.tag) + next.map(\.tag))
      got += next
    }
    #expect(got.map(\.id) == (0..<20).map { "\($0 / 2):1" })
    await queue.close()
  }

  @Test func messagesThatKillTheirConsumersBecomeDeadLetters() async throws {
    let under = try await BrokerUnderTest.fresh()
    let queue = AMQPQueue(under.settings)
    try await queue.declareTopology()
    _ = await queue.publish([message(1)])
    var deliveries = 0
    while deliveries < 21 {
      let consumer = try await queue.consume(as: "a", prefetch: 1)
      deliveries += try await consumer.next(upTo: 1, waiting: true).count
      await consumer.close()
    }
    #expect(try await eventually { try await queue.deadLetterCount() == 1 })
    await queue.close()
  }

  @Test func oversizedMessagesBecomeDeadLetters() async throws {
    let under = try await BrokerUnderTest.fresh()
    let log = EventLog()
    let queue = AMQPQueue(under.settings, observer: log.observer)
    try await queue.declareTopology()
    // What we would never publish, another program may.
    try await under.broker.control([
      "eval",
      """
      X = rabbit_misc:r(<<"/">>, exchange, <<"\(under.settings.queuePrefix).tasks">>),
      ok = rabbit_basic:publish(X, <<"normal">>, [], binary:copy(<<"x">>, 1000000)).
      """,
    ])
    _ = await queue.publish([message(1)])
    let consumer = try await queue.consume(as: "a", prefetch: 2)
    #expect(try await consumer.next(upTo: 2, waiting: true).map(\.id) == ["1:1"])
    #expect(await log.has { if case .deadLettered(.oversized) = $0 { true } else { false } })
    #expect(try await eventually { try await queue.deadLetterCount() == 1 })
    await queue.close()
  }

  /// The file for operators imports. It holds the topology that the program would declare, and its users may do what
  /// they need: workers read and no more, coordinators all of ours.
  @Test func definitionsImportWithTheRightsThatAreNeeded() async throws {
    let (under, id) = (try await BrokerUnderTest.fresh(), UUID().uuidString.prefix(8).lowercased())
    let source = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../../ops/rabbitmq/definitions.json").standardizedFileURL
    let text = try String(contentsOf: source, encoding: .utf8)
      .replacing(#""steerscope""#, with: "\"host-\(id)\"")
      .replacing(#""steerscope_"#, with: "\"\(id)_")
      .replacing(#""password_hash": """#, with: "\"password\": \"secret-\(id)\"")
    let file = FileManager.default.temporaryDirectory.appending(path: "definitions-\(id).json")
    defer { try? FileManager.default.removeItem(at: file) }
    try text.write(to: file, atomically: true, encoding: .utf8)
    try await under.broker.control(["import_definitions", file.path])
    func settings(_ user: String, password: String = "secret", host: String = "host", prefix: String = "steerscope")
      -> AMQPSettings
    {
      under.with { settings in
        settings.user = "\(id)_\(user)"
        settings.password = "\(password)-\(id)"
        settings.virtualHost = "\(host)-\(id)"
        settings.queuePrefix = prefix
      }
    }
    let coordinator = AMQPQueue(settings("coordinator"))
    // The import goes on for a moment after the command is back.
    #expect(await eventually { await (try? coordinator.deadLetterCount()) == 0 })
    try await coordinator.declareTopology()
    try await coordinator.declareTopology()
    #expect(await coordinator.publish([message(1)]) == [.confirmed])

    let worker = AMQPQueue(settings("worker"))
    let consumer = try await worker.consume(as: "w", prefetch: 1)
    let got = try await consumer.next(upTo: 1, waiting: true)
    #expect(got.map(\.id) == ["1:1"])
    await consumer.reject(
      got[0].tag, because: DeadLetter(.unreadable, InputError("message", expected: "JSON", found: "garbage")))
    #expect(try await eventually { try await coordinator.deadLetterCount() == 1 })
    let declaring = try await #require(throws: QueueError.self) { try await worker.declareTopology() }
    #expect(declaring.code == .refused && declaring.message.contains("exchange steerscope.tasks"))
    guard case .unknown(let error) = await worker.publish([message(2)]).first else {
      return #expect(Bool(false), "a worker published")
    }
    #expect(error.code == .refused)

    for settings in [
      settings("worker", password: "wrong"), settings("nobody"), settings("worker", host: "none"),
      settings("worker", prefix: "elsewhere"),
    ] {
      let queue = AMQPQueue(settings)
      let error = try await #require(throws: QueueError.self) { try await queue.consume(as: "w", prefetch: 1) }
      #expect(error.code == .refused || settings.queuePrefix == "elsewhere")
      #expect(!error.message.contains("wrong-") && !error.message.contains("secret-"))
      await queue.close()
    }
    await worker.close()
    await coordinator.close()
  }

  @Test func namesAQueueOfOtherProperties() async throws {
    let under = try await BrokerUnderTest.fresh()
    let prefix = under.settings.queuePrefix
    try await under.broker.control([
      "eval",
      """
      Q = rabbit_misc:r(<<"/">>, queue, <<"\(prefix).normal">>),
      {new, _} = rabbit_amqqueue:declare(Q, true, false, [], none, <<"test">>), ok.
      """,
    ])
    let queue = AMQPQueue(under.settings)
    let error = try await #require(throws: QueueError.self) { try await queue.declareTopology() }
    #expect(error.code == .refused)
    #expect(error.message.contains("rabbitmqctl delete_queue \(prefix).normal"))
    await queue.close()
  }

  @Test func waitsWhileTheBrokerIsShortOfMemory() async throws {
    let under = try await BrokerUnderTest.fresh()
    let log = EventLog()
    let queue = AMQPQueue(under.with { $0.publishLimit = 30 }, observer: log.observer)
    try await queue.declareTopology()
    #expect(await queue.publish([message(1)]) == [.confirmed])
    try await under.broker.control(["set_vm_memory_high_watermark", "absolute", "1MB"])
    // The broker tells who publishes into an alarm.
    async let outcomes = queue.publish([message(2)])
    let isBlocked = await log.has { if case .blocked(let reason) = $0 { reason.contains("memory") } else { false } }
    try await under.broker.control(["set_vm_memory_high_watermark", "absolute", "1GB"])
    #expect(isBlocked)
    #expect(await outcomes == [.confirmed])
    #expect(await log.has { $0 == .unblocked })
    await queue.close()
  }
}
