import Messaging
import Orchestration
import OrchestrationSupport
import Storage
import SweepRecords
import Synchronization
import Testing

/// A coordinator whose broker or store is slow or says no.
@Suite(.timeLimit(.minutes(1)))
struct CoordinatorLaneTests {
  /// A queue that gives the outcome that a test wants, and keeps what it was asked to publish.
  private final class WilfulQueue: TaskQueue {
    let inner = InProcessQueue()
    let batches = Collected<Int>()
    let outcome: Mutex<PublishOutcome?>

    /// - Parameter outcome: of every message; nil for those of a queue in memory.
    init(_ outcome: PublishOutcome?) { self.outcome = Mutex(outcome) }

    func publish(_ messages: [OutgoingMessage]) async -> [PublishOutcome] {
      batches.add(messages.count)
      if let outcome = outcome.withLock({ $0 }) { return messages.map { _ in outcome } }
      return await inner.publish(messages)
    }

    func consume(as name: String, prefetch: Int) async throws(QueueError) -> any TaskConsumer {
      try await inner.consume(as: name, prefetch: prefetch)
    }
  }

  /// A queue whose messages stay unconfirmed until the caller gives up, like a broker that is short of memory.
  private final class SilentQueue: TaskQueue {
    let asked = AsyncStream<Void>.makeStream()

    func publish(_ messages: [OutgoingMessage]) async -> [PublishOutcome] {
      asked.continuation.yield()
      try? await Task.sleep(for: .seconds(3600))
      return messages.map { _ in .unknown(QueueError(.unreachable, "given up")) }
    }

    func consume(as name: String, prefetch: Int) async throws(QueueError) -> any TaskConsumer {
      throw QueueError(.unreachable, "says nothing")
    }
  }

  @Test func aBrokerThatSaysNothingHoldsUpNeitherLeadNorReaper() async throws {
    let world = try SweepWorld()
    try await world.submit()
    let queue = SilentQueue()
    let leads = Collected<Coordinator.Event>()
    let coordinator = world.coordinator(
      queue: queue, timekeeper: .continuous(),
      {
        $0.leadership = 0.4
        $0.reap.lease = 0.3
        $0.grace = .milliseconds(20)
      }, events: { leads.add($0) })
    let run = Task { try await coordinator.run() }
    for await _ in queue.asked.stream { break }
    // The messages hang, and the lease of a worker ends.
    try await world.store.register(SweepWorld.registration("lost"))
    let task = TaskID(try #require(Int64(try await world.rows("SELECT min(id) FROM task WHERE state = 'queued'")[0])))
    _ = try await world.store.claim([task], worker: WorkerID("lost"), for: 1)
    let before = try await world.rows("SELECT lease_until FROM leader")
    world.time.advance(.milliseconds(1200))
    while !leads.all.contains(.leasesExpired(1, parked: 0)) { try await Task.sleep(for: .milliseconds(5)) }
    while try await world.rows("SELECT lease_until FROM leader") == before {
      try await Task.sleep(for: .milliseconds(5))
    }
    #expect(await coordinator.isLeading)
    #expect(leads.all.filter { $0 == .tookLead }.count == 1)
    // Told to stop, it does not wait for the broker either, and the next one leads at once.
    await coordinator.stop()
    try await run.value
    let next = world.coordinator("next")
    try await next.step()
    #expect(await next.isLeading)
  }

  @Test(arguments: [
    PublishOutcome.returned, .refused, .unknown(QueueError(.unreachable, "the connection was lost")),
  ])
  func whatIsNotTakenGoesBackAndOneTriesAgain(_ outcome: PublishOutcome) async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let queue = WilfulQueue(outcome)
    let coordinator = world.coordinator(queue: queue)
    for _ in 0..<12 {
      try await coordinator.step()
      world.time.advance(.seconds(1))
    }
    // One message tries the broker, less and less often.
    let batches = queue.batches.all
    #expect(batches.count > 2 && batches.count < 7)
    #expect(batches[0] > 1 && batches.dropFirst().allSatisfy { $0 == 1 })
    let counts = try await world.store.progress(of: sweep, rateOver: 1).counts
    #expect(counts[.queued] == nil && counts[.ready] == 13)
    #expect(await coordinator.hindrances == ["the broker takes no messages"])
    // It comes to itself, and all is well.
    queue.outcome.withLock { $0 = nil }
    world.time.advance(.seconds(60))
    #expect(try await world.run(sweep, [coordinator], [try await world.worker(queue: queue)]) == .done)
    try await world.expectAsUndisturbed()
    #expect(await coordinator.hindrances.isEmpty)
  }

  @Test func queuesAreDeclaredBeforeTheFirstMessageAndAfterOneCameBack() async throws {
    let world = try SweepWorld()
    try await world.submit()
    let queue = WilfulQueue(.returned)
    let declarations = Collected<Int>()
    let refusals = Mutex(2)
    let coordinator = Coordinator(
      store: world.store, queue: queue,
      declareQueues: { () async throws(QueueError) in
        declarations.add(queue.batches.all.count)
        let left = refusals.withLock { left in
          left -= 1
          return left
        }
        if left >= 0 { throw QueueError(.unreachable, "not there") }
      }, expander: PretendExpander(), holder: "a", time: world.time.timekeeper)
    for _ in 0..<20 {
      try await coordinator.step()
      world.time.advance(.seconds(1))
      if queue.batches.all.count == 2 { queue.outcome.withLock { $0 = nil } }
    }
    // Twice in vain, then before the first message, and anew after each of the two that came back.
    #expect(declarations.all == [0, 0, 0, 1, 2])
    #expect(queue.inner.counts.waiting > 0)
  }

  @Test func aStoreThatFailsForAWhileIsWaitedFor() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let coordinator = world.coordinator()
    let worker = try await world.worker()
    try await coordinator.step()
    // Somebody else leads for a while, and is gone.
    world.time.advance(.seconds(10))
    _ = try await world.store.acquireLeadership(holder: "other", for: 30)
    for _ in 0..<5 {
      try await coordinator.step()
      world.time.advance(.seconds(1))
    }
    #expect(await !coordinator.isLeading)
    world.time.advance(.seconds(30))
    #expect(try await world.run(sweep, [coordinator], [worker]) == .done)
    try await world.expectAsUndisturbed()
  }

  // MARK: Problems

  @Test func aSweepThatNoLiveWorkerCanGoOnWithSaysSo() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let blind = PretendFiles { file throws(TaskFault) in
      throw TaskFault(.worker, "\(file.locator) is missing", input: file.digest)
    }
    let coordinator = world.coordinator()
    let worker = try await world.worker("blind", files: blind)
    func turns(_ count: Int, _ workers: [Worker]) async throws {
      for _ in 0..<count {
        try await coordinator.step()
        for worker in workers {
          try await worker.step(waiting: false)
          try await worker.beat()
        }
        world.time.advance(.seconds(5))
      }
    }
    try await turns(4, [worker])
    #expect(try await world.store.findSweep(sweep.text)?.problem == nil)
    try await turns(8, [worker])
    let problem = try #require(try await world.store.findSweep(sweep.text)?.problem)
    #expect(problem == "no live worker can go on with it: here/1: model.gguf is missing")
    // One comes that can, and the note goes.
    let able = try await world.worker("able")
    #expect(try await world.run(sweep, [coordinator], [worker, able]) == .done)
    #expect(try await world.store.findSweep(sweep.text)?.problem == nil)
  }

  @Test func whileOneOfTheWorkersCanThereIsNoProblem() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    // Nobody takes tasks, but one of two could.
    for name in ["able", "blind"] { try await world.store.register(SweepWorld.registration(name)) }
    let coordinator = world.coordinator()
    for _ in 0..<12 {
      _ = try await world.store.heartbeat(WorkerID("blind"), .unready(reason: "no model"), memory: nil, for: 45)
      _ = try await world.store.heartbeat(WorkerID("able"), .ready, memory: nil, for: 45)
      try await coordinator.step()
      world.time.advance(.seconds(5))
    }
    #expect(try await world.store.findSweep(sweep.text)?.problem == nil)
  }

  @Test func aSweepThatCannotBePlannedSaysWhy() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit(PretendSweep(name: "broken", isBroken: true))
    let coordinator = world.coordinator()
    for _ in 0..<4 { try await coordinator.step() }
    let problem = try #require(try await world.store.findSweep(sweep.text)?.problem)
    #expect(problem.hasPrefix("it can't be planned: "))
  }
}
