import Diagnostics
import Messaging
import Orchestration
import OrchestrationSupport
import Storage
import SweepRecords
import Testing

/// Whole sweeps in this process, by real time.
@Suite(.timeLimit(.minutes(2)))
struct EmbeddedRunTests {
  private func run(
    _ sweep: SweepID, _ world: SweepWorld, executor: any TaskExecutor = PretendExecutor(), name: String = "worker",
    mortality: Mortality = Mortality(), files: any FileResolver = PretendFiles(),
    progress: @escaping @Sendable (RunProgress) -> Void = { _ in }
  ) throws -> EmbeddedRun {
    EmbeddedRun(
      sweep, lock: try RunLock(database: world.databasePath), worker: SweepWorld.registration(name),
      store: MortalStore(inner: world.store, mortality: mortality), executor: executor, expander: PretendExpander(),
      files: files, progress: progress)
  }

  @Test func doesTheWholeSweepAndReportsIt() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let reports = Collected<RunProgress>()
    let outcome = try await run(sweep, world, progress: { reports.add($0) }).run()
    #expect(outcome == .done)
    try await world.expectAsUndisturbed()
    let last = try #require(reports.all.last)
    #expect(last.state == .done && last.done == PretendSweep().count && last.total == last.done && last.parked == 0)
    #expect(last.stages.map(\.kind) == [.harvest, .statistics, .extract, .vectors, .trainSAE, .score])
    #expect(last.stages.allSatisfy { $0.done == $0.total })
    #expect(last.secondsLeft == 0)
  }

  @Test func runAgainItDoesNothing() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    _ = try await run(sweep, world).run()
    let executor = PretendExecutor()
    #expect(try await run(sweep, world, executor: executor).run() == .done)
    #expect(executor.executionCount == 0)
  }

  @Test func leavesOtherSweepsAlone() async throws {
    let world = try SweepWorld()
    // One is not planned yet, one is under way: a run of it was stopped with messages on their way.
    var waiting = PretendSweep()
    waiting.name = "waiting"
    let planned = try await world.submit(waiting)
    let coordinator = world.coordinator("embedded run") { $0.window.perWorker = 100 }
    while world.queue.counts.waiting == 0 { try await coordinator.step() }
    waiting.name = "not planned"
    let unplanned = try await world.submit(waiting, priority: .high)
    var mine = PretendSweep()
    mine.name = "mine"
    mine.scores = 3
    // It shares the harvest with the others, and that is done by it.
    let executor = PretendExecutor()
    #expect(try await run(try await world.submit(mine), world, executor: executor).run() == .done)
    #expect(executor.executionCount == mine.count)
    #expect(try await world.store.findSweep(planned.text)?.state == .active)
    #expect(try await world.store.findSweep(unplanned.text)?.state == .planning)
    #expect(try await run(planned, world).run() == .done)
  }

  @Test func twoAtOnceAreRefused() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let first = try run(sweep, world)
    #expect(throws: InputError.self) { try run(sweep, world) }
    #expect(try await first.run() == .done)
  }

  @Test func parkedTasksAreReported() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let executor = PretendExecutor { work, _, _ throws(TaskFault) in
      if work.kind == .vectors { throw TaskFault(.task, "no") }
    }
    let reports = Collected<RunProgress>()
    #expect(
      try await run(sweep, world, executor: executor, progress: { reports.add($0) }).run() == .doneWithParked)
    #expect(reports.all.last?.parked == 1)
    #expect(try await run(sweep, world).run() == .doneWithParked)
    #expect(try await world.store.retry(sweep) == .active)
    #expect(try await run(sweep, world).run() == .done)
    try await world.expectAsUndisturbed()
  }

  @Test(arguments: [
    Mortality.Moment.afterClaim, .midCompute, .beforeFinish, .afterFinish, .beforePublish, .afterPublish,
  ])
  func aKilledRunIsTakenOverAtOnce(_ moment: Mortality.Moment) async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let mortality = Mortality(moment, count: moment == .beforePublish ? 2 : 5)
    let doomed = PretendExecutor { _, _, _ throws(TaskFault) in try? mortality.reach(.midCompute) }
    do {
      let first = try run(sweep, world, executor: doomed, name: "doomed", mortality: mortality)
      if moment != .afterPublish { await #expect(throws: Mortality.Killed.self) { try await first.run() } }
    }
    // No time passes for the database: neither lease nor lead has expired, and nothing is stale.
    let executor = PretendExecutor()
    #expect(try await run(sweep, world, executor: executor, name: "heir").run() == .done)
    try await world.expectAsUndisturbed()
    let repeated = doomed.executionCount + executor.executionCount - PretendSweep().count
    #expect(repeated >= 0 && repeated <= 5)
  }

  @Test func stoppedItContinuesLater() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let gate = Gate()
    let executor = PretendExecutor { work, _, _ throws(TaskFault) in if work.kind == .vectors { gate.block() } }
    let first = try run(sweep, world, executor: executor, name: "first")
    let outcome = Task { try await first.run() }
    await gate.arrival()
    await first.stop()
    gate.open()
    #expect(try await outcome.value == .interrupted)
    #expect(try await world.rows("SELECT count(*) FROM task WHERE state = 'running'") == ["0"])
    #expect(try await world.rows("SELECT sum(failures) FROM task") == ["0"])
    let later = PretendExecutor()
    #expect(try await run(sweep, world, executor: later, name: "later").run() == .done)
    #expect(executor.executionCount + later.executionCount == PretendSweep().count)
    try await world.expectAsUndisturbed()
  }

  @Test func stoppedTwiceItGivesBack() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let gate = Gate()
    let executor = PretendExecutor { _, _, monitor throws(TaskFault) in
      gate.block()
      if monitor.shouldStop { throw TaskFault(.stopped, "told to stop") }
    }
    let first = try run(sweep, world, executor: executor)
    let outcome = Task { try await first.run() }
    await gate.arrival()
    await first.stop()
    await first.stop()
    gate.open()
    #expect(try await outcome.value == .interrupted)
    #expect(try await world.rows("SELECT outcome FROM task_attempt WHERE outcome <> 'done'") == ["released"])
  }

  @Test func aPausedOrCancelledSweepIsTakenUpAgain() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    _ = try await world.store.pause(sweep)
    #expect(try await run(sweep, world).run() == .done)
    var other = PretendSweep()
    other.name = "other"
    let second = try await world.submit(other)
    _ = try await world.store.cancel(second)
    #expect(try await run(second, world).run() == .done)
  }

  @Test func aSweepCancelledMeanwhileEndsTheRun() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let gate = Gate()
    let executor = PretendExecutor { _, _, monitor throws(TaskFault) in
      gate.block()
      if monitor.shouldStop { throw TaskFault(.stopped, "told to stop") }
    }
    let first = try run(sweep, world, executor: executor)
    let outcome = Task { try await first.run() }
    await gate.arrival()
    _ = try await world.store.cancel(sweep)
    gate.open()
    for _ in 0..<3 { gate.open() }
    #expect(try await outcome.value == .cancelled)
  }

  @Test func whatThisMachineLacksEndsTheRunWithTheReason() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let blind = PretendFiles { file throws(TaskFault) in
      throw TaskFault(.worker, "\(file.locator) is missing", input: file.digest)
    }
    let outcome = try await run(sweep, world, files: blind).run()
    #expect(outcome == .stuck(reason: "model.gguf is missing"))
  }

  @Test func aSweepThatCannotBePlannedEndsTheRun() async throws {
    let world = try SweepWorld()
    var broken = PretendSweep(harvests: 600)
    broken.isBroken = true
    let outcome = try await run(try await world.submit(broken), world).run()
    #expect(outcome == .stuck(reason: "Broken()"))
  }
}
