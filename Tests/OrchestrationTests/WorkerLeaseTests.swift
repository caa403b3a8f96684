import Foundation
import Messaging
import Orchestration
import OrchestrationSupport
import Storage
import SweepRecords
import Testing

/// Leases that end while a task is being computed, and workers that are told to stop.
@Suite(.timeLimit(.minutes(1)))
struct WorkerLeaseTests {
  private static let single = PretendSweep(harvests: 1, extracts: 0, trainings: 0, scores: 0)

  /// A worker in the midst of its first task, and the step that it is in.
  private struct Midway {
    let world: SweepWorld
    let sweep: SweepID
    let coordinator: Coordinator
    let worker: Worker
    let gate: Gate
    let step: Task<Int, any Error>
    let sawStop: Collected<Bool>
  }

  private func midway(sweep pretend: PretendSweep = single) async throws -> Midway {
    let world = try SweepWorld()
    let sweep = try await world.submit(pretend)
    let gate = Gate()
    let sawStop = Collected<Bool>()
    let executor = PretendExecutor { _, _, monitor throws(TaskFault) in
      gate.block()
      sawStop.add(monitor.shouldStop)
      if monitor.shouldStop { throw TaskFault(.stopped, "told to stop") }
    }
    let coordinator = world.coordinator()
    let worker = try await world.worker("slow", executor: executor)
    while world.queue.counts.waiting == 0 { try await coordinator.step() }
    let step = Task { try await worker.step(waiting: true) }
    await gate.arrival()
    return Midway(
      world: world, sweep: sweep, coordinator: coordinator, worker: worker, gate: gate, step: step, sawStop: sawStop)
  }

  @Test func aHeartbeatKeepsTheLease() async throws {
    let midway = try await midway()
    for _ in 0..<10 {
      midway.world.time.advance(.seconds(40))
      try await midway.worker.beat()
      try await midway.coordinator.step()
    }
    midway.gate.open()
    _ = try await midway.step.value
    #expect(await midway.worker.tally.done == 1)
    #expect(try await midway.world.rows("SELECT outcome FROM task_attempt") == ["done"])
  }

  @Test func anExpiredLeaseIsFenced() async throws {
    let midway = try await midway()
    midway.world.time.advance(.seconds(50))
    let other = try await midway.world.worker("quick")
    for _ in 0..<20 {
      try await midway.coordinator.step()
      try await other.step(waiting: false)
      midway.world.time.advance(.seconds(1))
    }
    #expect(await other.tally.done > 0)
    // The slow one has heard nothing, finishes, and is turned away.
    let before = try await midway.world.results()
    midway.gate.open()
    _ = try await midway.step.value
    #expect(midway.sawStop.all == [false])
    let tally = await midway.worker.tally
    #expect(tally.fenced == 1 && tally.done == 0)
    #expect(try await midway.world.results() == before)
    #expect(midway.world.queue.counts.unacknowledged == 0)
  }

  @Test func aLostLeaseStopsTheComputation() async throws {
    let midway = try await midway()
    midway.world.time.advance(.seconds(50))
    for _ in 0..<3 { try await midway.coordinator.step() }
    try await midway.worker.beat()
    midway.gate.open()
    _ = try await midway.step.value
    #expect(midway.sawStop.all == [true])
    let tally = await midway.worker.tally
    #expect(tally.fenced == 1 && tally.released == 0 && tally.retried == 0)
  }

  @Test func aCancelledSweepStopsTheComputation() async throws {
    let midway = try await midway()
    _ = try await midway.world.store.cancel(midway.sweep)
    try await midway.worker.beat()
    midway.gate.open()
    _ = try await midway.step.value
    #expect(midway.sawStop.all == [true])
    #expect(await midway.worker.tally.cancelled == 1)
    #expect(try await midway.world.rows("SELECT state FROM task WHERE state <> 'cancelled'").isEmpty)
  }

  @Test func aPausedSweepFinishesWhatRunsAndStartsNothing() async throws {
    let midway = try await midway(sweep: PretendSweep())
    _ = try await midway.world.store.pause(midway.sweep)
    try await midway.worker.beat()
    midway.gate.open()
    _ = try await midway.step.value
    #expect(await midway.worker.tally.done == 1)
    let quick = try await midway.world.worker("quick")
    for _ in 0..<30 {
      try await midway.coordinator.step()
      try await quick.step(waiting: false)
      midway.world.time.advance(.seconds(5))
    }
    #expect(await quick.tally.done == 0)
    _ = try await midway.world.store.resume(midway.sweep)
    #expect(try await midway.world.run(midway.sweep, [midway.coordinator], [quick]) == .done)
    try await midway.world.expectAsUndisturbed()
  }

  @Test func leasesWhoseClaimWentUnheardAreGivenBack() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit(Self.single)
    let coordinator = world.coordinator()
    let worker = try await world.worker()
    while world.queue.counts.waiting == 0 { try await coordinator.step() }
    // The store has given the worker a lease of which it knows nothing.
    let task = try #require(Int64(try await world.rows("SELECT id FROM task WHERE state = 'queued'")[0]))
    _ = try await world.store.claim([TaskID(task)], worker: worker.id, for: 45)
    try await worker.beat()
    #expect(try await world.run(sweep, [coordinator], [worker]) == .done)
    #expect(
      try await world.rows("SELECT outcome FROM task_attempt WHERE task = \(task) ORDER BY token") == [
        "released", "done",
      ])
  }

  @Test func drainingFinishesWhatRuns() async throws {
    let (world, worker, gate, run) = try await running()
    await worker.drain(within: .seconds(3600))
    gate.open()
    _ = try await run.value
    let tally = await worker.tally
    #expect(tally.done == 1 && tally.released == 0)
    #expect(world.queue.counts.unacknowledged == 0)
    let seen = try #require(try await world.store.workers().first)
    #expect(seen.stoppedAt != nil)
    #expect(try await world.rows("SELECT count(*) FROM task WHERE state = 'running'") == ["0"])
  }

  @Test func stoppingGivesBackUncounted() async throws {
    let (world, worker, gate, run) = try await running()
    await worker.drain(within: .seconds(3600))
    await worker.stop()
    gate.open()
    _ = try await run.value
    #expect(await worker.tally.released == 1)
    #expect(try await world.rows("SELECT outcome, error FROM task_attempt") == ["released|shutdown"])
    #expect(try await world.rows("SELECT sum(failures) FROM task") == ["0"])
  }

  @Test func theDeadlineStopsWhatStillRuns() async throws {
    let (world, worker, gate, run) = try await running(untilStopped: true) { $0.grace = .seconds(3600) }
    await worker.drain(within: .zero)
    gate.open()
    _ = try await run.value
    #expect(try await world.rows("SELECT outcome FROM task_attempt") == ["released"])
  }

  @Test func aTaskThatWillNotStopIsLeftBehind() async throws {
    let (world, worker, gate, run) = try await running { $0.grace = .zero }
    await worker.stop()
    _ = try await run.value
    #expect(try await world.rows("SELECT outcome FROM task_attempt") == ["released"])
    #expect(try await world.rows("SELECT count(*) FROM task WHERE state = 'running'") == ["0"])
    gate.open()
  }

  @Test func cancellationOfTheTaskStopsToo() async throws {
    let (world, _, gate, run) = try await running { $0.grace = .zero }
    run.cancel()
    _ = try await run.value
    #expect(try await world.rows("SELECT outcome FROM task_attempt") == ["released"])
    gate.open()
  }

  /// A worker whose `run` is computing its first task, by real time; once let go, the task may wait to be stopped.
  private func running(
    untilStopped: Bool = false, _ change: (inout Worker.Settings) -> Void = { _ in }
  ) async throws -> (SweepWorld, Worker, Gate, Task<Worker.End, any Error>) {
    let world = try SweepWorld()
    try await world.submit()
    let gate = Gate()
    let executor = PretendExecutor { _, _, monitor throws(TaskFault) in
      gate.block()
      while untilStopped, !monitor.shouldStop { usleep(100) }
      if monitor.shouldStop { throw TaskFault(.stopped, "told to stop") }
    }
    let coordinator = world.coordinator()
    while world.queue.counts.waiting == 0 { try await coordinator.step() }
    let worker = try await world.worker(executor: executor, timekeeper: .continuous(), change)
    let run = Task { try await worker.run() }
    await gate.arrival()
    return (world, worker, gate, run)
  }
}
