import Messaging
import Orchestration
import OrchestrationSupport
import Storage
import SweepRecords
import Testing

/// The database is the truth; messages may do what they like.
@Suite struct UnreliableMessagingTests {
  @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
  func everyTaskIsDoneOnceAllTheSame(_ seed: UInt64) async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let queue = UnreliableQueue(seed: seed)
    let executors = [PretendExecutor(), PretendExecutor()]
    let workers = [
      try await world.worker("a", executor: executors[0], queue: queue),
      try await world.worker("b", executor: executors[1], queue: queue) { $0.batch = BatchSize(target: 1, limit: 8) },
    ]
    let state = try await world.run(sweep, [world.coordinator(queue: queue)], workers)
    #expect(state == .done)
    try await world.expectAsUndisturbed()
    #expect(executors[0].executionCount + executors[1].executionCount == PretendSweep().count)
  }

  @Test func deletingEveryMessageOnlyDelays() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let coordinator = world.coordinator()
    let worker = try await world.worker()
    for _ in 0..<40 {
      try await coordinator.step()
      if world.queue.counts.waiting > 2 { world.queue.purge() }
      try await worker.step(waiting: false)
      world.time.advance(.seconds(1))
    }
    #expect(try await world.run(sweep, [coordinator], [worker]) == .done)
    try await world.expectAsUndisturbed()
  }

  @Test func messagesOfOthersAreDroppedOrDeadLetters() async throws {
    let world = try SweepWorld()
    let executor = PretendExecutor()
    let worker = try await world.worker(executor: executor)
    _ = await world.queue.publish(
      UnreliableQueue.rubbish.map { OutgoingMessage(id: "?", priority: .high, body: $0) })
    while try await worker.step(waiting: false) > 0 {}
    let tally = await worker.tally
    #expect(tally.deadLetters == 5 && tally.dropped == 1)
    #expect(world.queue.deadLetters.map(\.letter.reason).filter { $0 == .newerSchema }.count == 1)
    #expect(executor.executionCount == 0)
    #expect(world.queue.counts == (0, 0))
  }

  @Test func returnedMessagesAreTriedAgainEverSlower() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit(PretendSweep(harvests: 3, extracts: 0, trainings: 0, scores: 0))
    let full = InProcessQueue(capacity: 1)
    let coordinator = world.coordinator(queue: full)
    for _ in 0..<8 { try await coordinator.step() }
    // What did not fit is ready again, not forgotten.
    let counts = try await world.store.progress(of: sweep, rateOver: 1).counts
    #expect(counts[.queued] == 1 && counts[.ready] == 3)
    #expect(try await coordinator.step() > .zero)
  }
}
