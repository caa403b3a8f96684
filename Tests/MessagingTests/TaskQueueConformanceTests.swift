import Diagnostics
import Messaging
import SweepRecords
import Testing

/// A queue that must keep the contract of `TaskQueue`, and the means to disturb it.
struct QueueUnderTest: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let make: @Sendable () async throws -> Instance

  struct Instance: Sendable {
    let queue: any TaskQueue
    /// Cuts every connection.
    let disconnect: @Sendable () async throws -> Void
    /// Throws away what waits.
    let purge: @Sendable () async throws -> Void
    /// How many messages were rejected.
    let deadLetterCount: @Sendable () async throws -> Int
    /// How many connections were made more than one for publishing and one for each consumer.
    var connectionsLost: @Sendable () async -> Int = { 0 }
  }

  static let all = [
    QueueUnderTest(testDescription: "in process") {
      let queue = InProcessQueue(capacity: 100)
      return Instance(
        queue: queue, disconnect: { queue.disconnect() }, purge: { queue.purge() },
        deadLetterCount: { queue.deadLetterCount })
    },
    .rabbitMQ,
  ]
}

private func message(_ number: Int, _ priority: SweepPriority = .normal) -> OutgoingMessage {
  OutgoingMessage(id: "\(number):1", priority: priority, body: Array("body \(number)".utf8))
}

/// What every implementation of `TaskQueue` must do.
@Suite(.timeLimit(.minutes(4)))  // Starting a broker takes its time on a busy machine.
struct TaskQueueConformanceTests {
  @Test(arguments: QueueUnderTest.all)
  func deliversWhatWasPublishedOnce(_ kind: QueueUnderTest) async throws {
    let queue = try await kind.make().queue
    #expect(await queue.publish((1...5).map { message($0) }) == Array(repeating: .confirmed, count: 5))
    let consumer = try await queue.consume(as: "a", prefetch: 10)
    var got: [Delivery] = []
    while got.count < 5 { got += try await consumer.next(upTo: 3, waiting: true) }
    #expect(got.map(\.id) == (1...5).map { "\($0):1" })
    #expect(got.map { String(decoding: $0.body, as: UTF8.self) } == (1...5).map { "body \($0)" })
    #expect(got.allSatisfy { !$0.redelivered && $0.priority == .normal })
    await consumer.acknowledge(got.map(\.tag))
    await consumer.close()
    let second = try await queue.consume(as: "b", prefetch: 10)
    #expect(try await second.next(upTo: 10, waiting: false).isEmpty)
  }

  @Test(arguments: QueueUnderTest.all)
  func servesTheUrgentFirst(_ kind: QueueUnderTest) async throws {
    let queue = try await kind.make().queue
    _ = await queue.publish([message(1, .low), message(2, .normal), message(3, .high), message(4, .low)])
    let consumer = try await queue.consume(as: "a", prefetch: 10)
    var got: [Delivery] = []
    while got.count < 4 { got += try await consumer.next(upTo: 10, waiting: true) }
    #expect(got.map(\.id) == ["3:1", "2:1", "1:1", "4:1"])
    #expect(got.map(\.priority) == [.high, .normal, .low, .low])
  }

  @Test(arguments: QueueUnderTest.all)
  func holdsBackBeyondThePrefetch(_ kind: QueueUnderTest) async throws {
    let queue = try await kind.make().queue
    _ = await queue.publish((1...5).map { message($0) })
    let consumer = try await queue.consume(as: "a", prefetch: 2)
    var got: [Delivery] = []
    while got.count < 2 { got += try await consumer.next(upTo: 10, waiting: true) }
    #expect(got.count == 2)
    #expect(try await consumer.next(upTo: 10, waiting: false).isEmpty)
    await consumer.acknowledge([got[0].tag])
    #expect(try await consumer.next(upTo: 10, waiting: true).map(\.id) == ["3:1"])
  }

  @Test(arguments: QueueUnderTest.all)
  func holdsMoreOrFewerOnDemand(_ kind: QueueUnderTest) async throws {
    let instance = try await kind.make()
    _ = await instance.queue.publish((1...8).map { message($0) })
    let consumer = try await instance.queue.consume(as: "a", prefetch: 1)
    var held = try await consumer.next(upTo: 8, waiting: true)
    #expect(held.map(\.id) == ["1:1"])
    #expect(try await consumer.next(upTo: 8, waiting: false).isEmpty)
    await consumer.resize(prefetch: 5)
    while held.count < 5 { held += try await consumer.next(upTo: 8, waiting: true) }
    #expect(Set(held.map(\.id)) == Set((1...5).map { "\($0):1" }))
    #expect(try await consumer.next(upTo: 8, waiting: false).isEmpty)

    // What is in hand is more than fits now: nothing comes until there is room. All of it can be acknowledged.
    await consumer.resize(prefetch: 2)
    await consumer.acknowledge(held.prefix(3).map(\.tag))
    #expect(try await consumer.next(upTo: 8, waiting: false).isEmpty)
    await consumer.acknowledge([held[3].tag])
    held = [held[4]] + (try await consumer.next(upTo: 8, waiting: true))
    #expect(held.count == 2 && held[0].tag.epoch == held[1].tag.epoch)
    await consumer.acknowledge(held.map(\.tag))
    // Nothing was lost, nothing comes twice.
    var rest = Set(["6:1", "7:1", "8:1"])
    #expect(rest.remove(held[1].id) != nil)
    while !rest.isEmpty {
      let got = try await consumer.next(upTo: 8, waiting: true)
      #expect(got.count <= 2)
      for delivery in got { #expect(rest.remove(delivery.id) != nil) }
      await consumer.acknowledge(got.map(\.tag))
    }
    await consumer.close()
    await consumer.resize(prefetch: 9)
    let second = try await instance.queue.consume(as: "b", prefetch: 10)
    #expect(try await second.next(upTo: 10, waiting: false).isEmpty)
    #expect(await instance.connectionsLost() == 0)
  }

  /// Who waits while the prefetch grows gets what it allows.
  @Test(arguments: QueueUnderTest.all)
  func resizingServesWhoWaits(_ kind: QueueUnderTest) async throws {
    let queue = try await kind.make().queue
    _ = await queue.publish([message(1), message(2)])
    let consumer = try await queue.consume(as: "a", prefetch: 1)
    let first = try await consumer.next(upTo: 2, waiting: true)
    async let second = consumer.next(upTo: 2, waiting: true)
    await Task.yield()
    await consumer.resize(prefetch: 2)
    #expect(try await (first + second).map(\.id).sorted() == ["1:1", "2:1"])
  }

  /// The prefetch goes up and down while messages come: each is dealt with once, and no connection is made for it.
  @Test(arguments: QueueUnderTest.all)
  func resizingAtAnyTimeLosesAndRepeatsNothing(_ kind: QueueUnderTest) async throws {
    let instance = try await kind.make()
    let consumer = try await instance.queue.consume(as: "a", prefetch: 1)
    let published = Task {
      for number in 1...90 {
        _ = await instance.queue.publish([message(number, SweepPriority.allCases[number % 3])])
      }
    }
    var ids: [String] = []
    var round = 0
    while ids.count < 90 {
      await consumer.resize(prefetch: [1, 8, 3, 32, 2][round % 5])
      round += 1
      let got = try await consumer.next(upTo: 4, waiting: true)
      await consumer.acknowledge(got.map(\.tag))
      ids += got.map(\.id)
    }
    await published.value
    #expect(ids.sorted() == (1...90).map { "\($0):1" }.sorted())
    #expect(await instance.connectionsLost() == 0)
  }

  @Test(arguments: QueueUnderTest.all)
  func givesBackWhatAClosedConsumerHeld(_ kind: QueueUnderTest) async throws {
    let queue = try await kind.make().queue
    _ = await queue.publish((1...3).map { message($0) })
    let first = try await queue.consume(as: "a", prefetch: 3)
    var held: [Delivery] = []
    while held.count < 3 { held += try await first.next(upTo: 3, waiting: true) }
    await first.acknowledge([held[1].tag])
    await first.close()
    await first.close()
    await #expect(throws: QueueError.self) { try await first.next(upTo: 1, waiting: true) }
    let second = try await queue.consume(as: "b", prefetch: 3)
    var got: [Delivery] = []
    while got.count < 2 { got += try await second.next(upTo: 3, waiting: true) }
    #expect(got.map(\.id).sorted() == ["1:1", "3:1"])
    #expect(got.allSatisfy { $0.redelivered })
  }

  @Test(arguments: QueueUnderTest.all)
  func forgetsTagsOfALostConnection(_ kind: QueueUnderTest) async throws {
    let instance = try await kind.make()
    _ = await instance.queue.publish([message(1)])
    let consumer = try await instance.queue.consume(as: "a", prefetch: 3)
    let before = try #require(try await consumer.next(upTo: 1, waiting: true).first)
    try await instance.disconnect()
    await consumer.acknowledge([before.tag])
    let after = try #require(try await consumer.next(upTo: 1, waiting: true).first)
    #expect(after.id == "1:1" && after.redelivered && after.tag.epoch > before.tag.epoch)
    await consumer.acknowledge([before.tag, after.tag, after.tag])
    #expect(try await consumer.next(upTo: 1, waiting: false).isEmpty)
  }

  @Test(arguments: QueueUnderTest.all)
  func stoppedConsumersGetNothingButMayAcknowledge(_ kind: QueueUnderTest) async throws {
    let queue = try await kind.make().queue
    _ = await queue.publish([message(1), message(2)])
    let consumer = try await queue.consume(as: "a", prefetch: 5)
    let held = try await consumer.next(upTo: 1, waiting: true)
    await consumer.stop()
    await consumer.stop()
    #expect(try await consumer.next(upTo: 1, waiting: true).isEmpty)
    await consumer.acknowledge(held.map(\.tag))
    await consumer.close()
    let second = try await queue.consume(as: "b", prefetch: 5)
    #expect(try await second.next(upTo: 5, waiting: true).map(\.id) == ["2:1"])
  }

  @Test(arguments: QueueUnderTest.all)
  func waitingEndsByPublishStopAndCancellation(_ kind: QueueUnderTest) async throws {
    let queue = try await kind.make().queue
    let consumer = try await queue.consume(as: "a", prefetch: 5)
    async let first = consumer.next(upTo: 5, waiting: true)
    _ = await queue.publish([message(1)])
    #expect(try await first.map(\.id) == ["1:1"])

    let cancelled = Task { try await consumer.next(upTo: 5, waiting: true) }
    await Task.yield()
    cancelled.cancel()
    #expect(try await cancelled.value.isEmpty)

    async let stopped = consumer.next(upTo: 5, waiting: true)
    await Task.yield()
    await consumer.stop()
    #expect(try await stopped.isEmpty)
  }

  @Test(arguments: QueueUnderTest.all)
  func rejectedMessagesAreDeadLetters(_ kind: QueueUnderTest) async throws {
    let instance = try await kind.make()
    _ = await instance.queue.publish([OutgoingMessage(id: "x", priority: .high, body: [0xff])])
    let consumer = try await instance.queue.consume(as: "a", prefetch: 5)
    let delivery = try #require(try await consumer.next(upTo: 1, waiting: true).first)
    let letter = DeadLetter(.unreadable, InputError("task message", expected: "JSON", found: "garbage"))
    await consumer.reject(delivery.tag, because: letter)
    #expect(try await instance.deadLetterCount() == 1)
    await consumer.close()
    let second = try await instance.queue.consume(as: "b", prefetch: 5)
    #expect(try await second.next(upTo: 5, waiting: false).isEmpty)
  }

  @Test(arguments: QueueUnderTest.all)
  func survivesAPurge(_ kind: QueueUnderTest) async throws {
    let instance = try await kind.make()
    _ = await instance.queue.publish([message(1), message(2)])
    let consumer = try await instance.queue.consume(as: "a", prefetch: 1)
    let held = try await consumer.next(upTo: 1, waiting: true)
    try await instance.purge()
    await consumer.acknowledge(held.map(\.tag))
    #expect(try await consumer.next(upTo: 1, waiting: false).isEmpty)
    _ = await instance.queue.publish([message(3)])
    #expect(try await consumer.next(upTo: 1, waiting: true).map(\.id) == ["3:1"])
  }

  @Test(arguments: QueueUnderTest.all)
  func sharesAmongConsumersWithoutLossOrRepetition(_ kind: QueueUnderTest) async throws {
    let queue = try await kind.make().queue
    let consumers = [
      try await queue.consume(as: "a", prefetch: 4), try await queue.consume(as: "b", prefetch: 4),
      try await queue.consume(as: "c", prefetch: 4),
    ]
    let published = Task {
      for number in 1...60 { _ = await queue.publish([message(number)]) }
    }
    let ids = try await withThrowingTaskGroup(of: [String].self) { group in
      let (seen, counted) = AsyncStream.makeStream(of: Int.self)
      for consumer in consumers {
        group.addTask {
          var ids: [String] = []
          while true {
            let got = try await consumer.next(upTo: 3, waiting: true)
            guard !got.isEmpty else { return ids }
            await consumer.acknowledge(got.map(\.tag))
            ids += got.map(\.id)
            counted.yield(got.count)
          }
        }
      }
      var total = 0
      for await count in seen {
        total += count
        if total >= 60 { break }
      }
      for consumer in consumers { await consumer.stop() }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    await published.value
    #expect(ids.sorted() == (1...60).map { "\($0):1" }.sorted())
  }
}

@Suite struct InProcessQueueTests {
  @Test func refusesWhatDoesNotFit() async throws {
    let queue = InProcessQueue(capacity: 2)
    let outcomes = await queue.publish([message(1), message(2), message(3), message(4, .high)])
    #expect(outcomes == [.confirmed, .confirmed, .refused, .confirmed])
    #expect(queue.counts == (3, 0))
  }

  @Test func droppedConsumersGiveBack() async throws {
    let queue = InProcessQueue()
    _ = await queue.publish([message(1)])
    do {
      let consumer = try await queue.consume(as: "a", prefetch: 1)
      #expect(try await consumer.next(upTo: 1, waiting: true).count == 1)
      #expect(queue.counts == (0, 1))
    }
    #expect(queue.counts == (1, 0))
  }
}
