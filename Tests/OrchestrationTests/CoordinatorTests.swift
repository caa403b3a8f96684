import Messaging
import Orchestration
import OrchestrationSupport
import Storage
import SweepRecords
import Testing

@Suite struct CoordinatorTests {
  @Test func oneOfTwoLeads() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let coordinators = [world.coordinator("a"), world.coordinator("b")]
    #expect(try await world.run(sweep, coordinators, [try await world.worker()]) == .done)
    try await world.expectAsUndisturbed()
    let leading = [await coordinators[0].isLeading, await coordinators[1].isLeading]
    #expect(leading == [true, false])
  }

  @Test func theLeadChangesHandsWhenItIsGivenUp() async throws {
    let world = try SweepWorld()
    let first = world.coordinator("a")
    let second = world.coordinator("b")
    try await first.step()
    try await second.step()
    await first.stop()
    try await first.run()
    world.time.advance(.seconds(5))
    try await second.step()
    #expect(await second.isLeading)
  }

  @Test func aLeaderThatSleptIsFenced() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let sleeper = world.coordinator("sleeper") { $0.leadership = 15 }
    try await sleeper.step()
    #expect(await sleeper.isLeading)
    world.time.advance(.seconds(20))
    let successor = world.coordinator("successor")
    try await successor.step()
    #expect(await successor.isLeading)
    // It still believes to lead, until the store says otherwise; nothing it does counts.
    try await sleeper.step()
    #expect(await !sleeper.isLeading)
    let workers = [try await world.worker()]
    #expect(try await world.run(sweep, [sleeper, successor], workers) == .done)
    try await world.expectAsUndisturbed()
  }

  @Test func twoWorkersShareTheWork() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let executors = [PretendExecutor(), PretendExecutor()]
    let workers = [
      try await world.worker("a", executor: executors[0]), try await world.worker("b", executor: executors[1]),
    ]
    #expect(try await world.run(sweep, [world.coordinator()], workers) == .done)
    try await world.expectAsUndisturbed()
    #expect(executors.allSatisfy { $0.executionCount > 5 })
    #expect(executors.map(\.executionCount).reduce(0, +) == PretendSweep().count)
  }

  @Test func aSecondSubmissionRunsNothing() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let executor = PretendExecutor()
    let coordinator = world.coordinator()
    let worker = try await world.worker(executor: executor)
    _ = try await world.run(sweep, [coordinator], [worker])
    #expect(try await world.submit() == sweep)
    for _ in 0..<10 {
      world.time.advance(.seconds(5))
      try await coordinator.step()
      try await worker.step(waiting: false)
    }
    #expect(executor.executionCount == PretendSweep().count)
  }

  @Test func aLargerSweepRunsOnlyWhatIsNew() async throws {
    let world = try SweepWorld()
    let executor = PretendExecutor()
    let coordinator = world.coordinator()
    let worker = try await world.worker(executor: executor)
    _ = try await world.run(try await world.submit(), [coordinator], [worker])
    let larger = PretendSweep(scores: 13)
    #expect(try await world.run(try await world.submit(larger), [coordinator], [worker]) == .done)
    #expect(executor.executionCount == larger.count)
  }

  @Test func urgentSweepsGoFirst() async throws {
    let world = try SweepWorld()
    let slow = try await world.submit()
    var urgent = PretendSweep()
    urgent.name = "urgent"
    urgent.scores = 3
    let fast = try await world.submit(urgent, priority: .high)
    let worker = try await world.worker()
    let coordinator = world.coordinator { $0.window.perWorker = 2 }
    #expect(try await world.run(fast, [coordinator], [worker]) == .done)
    #expect(try await world.store.findSweep(slow.text)?.state == .active)
    #expect(try await world.run(slow, [coordinator], [worker]) == .done)
  }

  @Test func aSweepThatCannotBePlannedHoldsUpNoOther() async throws {
    let world = try SweepWorld()
    var broken = PretendSweep()
    broken.isBroken = true
    broken.name = "broken"
    let bad = try await world.submit(broken)
    let good = try await world.submit()
    let events = Collected<Coordinator.Event>()
    let coordinator = world.coordinator(events: { events.add($0) })
    #expect(try await world.run(good, [coordinator], [try await world.worker()]) == .done)
    #expect(try await world.store.findSweep(bad.text)?.state == .planning)
    let complaints = events.all.filter { if case .unplannable(bad, _) = $0 { true } else { false } }
    #expect(!complaints.isEmpty && complaints.count < 6)
  }

  @Test func wrongCountersAreMendedAndSeen() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let coordinator = world.coordinator { $0.recountEvery = .seconds(30) }
    for _ in 0..<12 { try await coordinator.step() }
    try world.damage("UPDATE task_group SET remaining = remaining + 1")
    #expect(try await world.run(sweep, [coordinator], [try await world.worker()]) == .done)
    try await world.expectAsUndisturbed()
  }

  @Test func idleLoopsWakeWhenPoked() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let ended = Collected<SweepSummary>()
    // No duty but the first of each comes by itself within the test's time.
    var settings = Coordinator.Settings()
    settings.dispatchEvery = .seconds(3600)
    settings.settleEvery = .seconds(3600)
    settings.expandEvery = .seconds(3600)
    let coordinator = Coordinator(
      settings: settings, store: world.store, queue: world.queue, expander: PretendExpander(), holder: "a",
      events: { if case .ended(let summary) = $0 { ended.add(summary) } })
    let worker = try await world.worker(
      timekeeper: .continuous(),
      events: { event in
        if case .settled = event { coordinator.poke() }
      })
    let leading = Task { try await coordinator.run() }
    let working = Task { try await worker.run() }
    while ended.all.isEmpty { await Task.yield() }
    await worker.stop()
    await coordinator.stop()
    _ = try await working.value
    try await leading.value
    #expect(ended.all.map(\.id) == [sweep] && ended.all.map(\.state) == [.done])
    try await world.expectAsUndisturbed()
  }
}
