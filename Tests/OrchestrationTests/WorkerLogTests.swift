import Messaging
import Orchestration
import OrchestrationSupport
import Storage
import SweepRecords
import Testing

/// What a worker's log says, and what its events count.
@Suite(.timeLimit(.minutes(1)))
struct WorkerLogTests {
  @Test func everyLineSaysWhatItIsAbout() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let lines = Collected<LogEntry>()
    let executor = PretendExecutor { work, _, _ throws(TaskFault) in
      if work.kind == .vectors { throw TaskFault(.task, "no") }
    }
    let worker = try await world.worker(executor: executor, log: { lines.add($0) })
    _ = try await world.run(sweep, [world.coordinator()], [worker])
    #expect(lines.all.allSatisfy { $0.worker == worker.id })
    let tasks = lines.all.filter { $0.message.hasPrefix("a task") }
    #expect(tasks.count > 20 && tasks.allSatisfy { $0.sweep == sweep && $0.task != nil && $0.attempt != nil })
    let failed = tasks.filter { $0.message == "a task failed" }
    #expect(failed.count == 1 && failed.allSatisfy { $0.level == .error && $0.details["error"] == "no" })
  }

  /// A worker that the kernel ends for its memory can't report it: the coordinator says what it said last.
  @Test func theCoordinatorSaysWhatIsKnownOfAWorkerThatIsGone() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let lines = Collected<LogEntry>()
    let coordinator = world.coordinator(log: { lines.add($0) })
    let doomed = try await world.worker(
      "doomed", mortality: Mortality(.afterClaim), memoryInUse: { 8_482_560_410 }, memoryAvailable: 8 << 30)
    try await doomed.beat()
    await #expect(throws: Mortality.Killed.self) { _ = try await world.run(sweep, [coordinator], [doomed]) }
    func reaped() -> LogEntry? { lines.all.first { $0.message == "took a lease away" } }
    for _ in 0..<40 where reaped() == nil {
      world.time.advance(.seconds(5))
      try await coordinator.step()
    }
    let line = try #require(reaped())
    #expect(line.sweep == sweep && line.task != nil && line.worker == doomed.id)
    let token = try await world.rows("SELECT token FROM task_attempt WHERE outcome = 'expired'")
    #expect(line.attempt.map { ["\($0.number)"] } == token)
    let error = try #require(line.details["error"])
    #expect(error.hasPrefix("its worker doomed on here was last heard of "))
    #expect(error.hasSuffix(" s ago, using 7.9 GiB of 8.0 GiB of memory"))
    #expect(try await world.rows("SELECT error FROM task_attempt WHERE outcome = 'expired'") == [error])
  }

  @Test func aTaskGivenBackBecauseTheWorkerStopsIsNoFailure() async throws {
    let world = try SweepWorld()
    try await world.submit()
    let gate = Gate()
    let lines = Collected<LogEntry>()
    let executor = PretendExecutor { _, _, monitor throws(TaskFault) in
      gate.block()
      if monitor.shouldStop { throw TaskFault(.stopped, "told to stop") }
    }
    let coordinator = world.coordinator()
    while world.queue.counts.waiting == 0 { try await coordinator.step() }
    let worker = try await world.worker(executor: executor, timekeeper: .continuous(), log: { lines.add($0) })
    let run = Task { try await worker.run() }
    await gate.arrival()
    await worker.stop()
    gate.open()
    #expect(try await run.value == .stopped)
    #expect(lines.all.allSatisfy { $0.level <= .info })
    #expect(lines.all.contains { $0.message == "a task is given back" })
  }

  @Test func stoppingAtOnceWaitsForNothing() async throws {
    let world = try SweepWorld()
    try await world.submit()
    let gate = Gate()
    let executor = PretendExecutor { _, _, _ throws(TaskFault) in gate.block() }
    let coordinator = world.coordinator()
    while world.queue.counts.waiting == 0 { try await coordinator.step() }
    let worker = try await world.worker(executor: executor, timekeeper: .continuous()) { $0.grace = .seconds(3600) }
    let run = Task { try await worker.run() }
    await gate.arrival()
    await worker.drain(within: .seconds(3600))
    await worker.stopAtOnce()
    #expect(try await run.value == .stopped)
    #expect(try await world.rows("SELECT outcome, error FROM task_attempt") == ["released|shutdown"])
    gate.open()
  }

  @Test func messagesInVainAreCountedByReason() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let misses = Collected<[ClaimMiss: Int]>()
    let worker = try await world.worker(events: { if case .missed(let reasons) = $0 { misses.add(reasons) } })
    #expect(try await world.run(sweep, [world.coordinator()], [worker]) == .done)
    #expect(misses.all.isEmpty)
    let task = try #require(Int64(try await world.rows("SELECT min(id) FROM task")[0]))
    for id in [task, 999_999] {
      let message = TaskMessage(sweep: sweep.text, task: id, dispatch: 1, kind: .score)
      _ = await world.queue.publish([OutgoingMessage(id: message.id, priority: .high, body: try message.body())])
      try await worker.step(waiting: false)
    }
    #expect(misses.all == [[.ended: 1], [.missing: 1]])
  }

  @Test func aWorkerOfAnotherNumericsVersionStandsBack() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let old = PretendExecutor()
    var registration = SweepWorld.registration("old")
    registration.numericsVersion += 1
    let stranger = Worker(
      registration, store: world.store, queue: world.queue, executor: old, files: PretendFiles(),
      time: world.time.timekeeper)
    try await stranger.start()
    let coordinator = world.coordinator()
    while world.queue.counts.waiting == 0 { try await coordinator.step() }
    while await stranger.troubles.isEmpty { try await stranger.step(waiting: false) }
    #expect(await stranger.troubles[0].contains("another numerics version than \(registration.numericsVersion)"))
    // It rests, and whoever can does the work.
    #expect(try await world.run(sweep, [coordinator], [try await world.worker("right"), stranger]) == .done)
    #expect(old.executionCount == 0)
    try await world.expectAsUndisturbed()
  }

  @Test func rowsTokensAndFeaturesAreCounted() async throws {
    struct Busy: TaskExecutor {
      let inner = PretendExecutor()
      func execute(_ work: TaskWork, inputs: TaskInputs, monitor: any TaskMonitor) throws(TaskFault) -> TaskResult {
        var result = try inner.execute(work, inputs: inputs, monitor: monitor)
        result.effort = TaskEffort(tokens: 10, features: 100)
        return result
      }
    }
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let events = Collected<Worker.Event>()
    let worker = try await world.worker(executor: Busy(), events: { events.add($0) })
    #expect(try await world.run(sweep, [world.coordinator()], [worker]) == .done)
    var (tokens, features, rows, stored, claimed) = (0, 0, 0, 0, 0)
    for event in events.all {
      switch event {
      case .computed(_, _, let effort):
        tokens += effort.tokens
        features += effort.features
      case .stored(let tasks, let count, _):
        rows += count
        stored += tasks
      case .claimed(let count, _): claimed += count
      default: break
      }
    }
    let count = PretendSweep().count
    #expect(tokens == 10 * count && features == 100 * count && stored == count && claimed == count)
    #expect(rows == 14)
  }

  @Test func prefetchGrowsInFewSteps() {
    var batch = BatchSize()
    var seen: [Int] = [batch.prefetch]
    for _ in 0..<40 {
      batch.took(0.0001, .score)
      if batch.prefetch != seen.last { seen.append(batch.prefetch) }
      #expect(batch.prefetch >= batch.size)
    }
    #expect(seen == [1, 8, 32, 128])
    // One long task, and no more than one is held.
    batch.took(30, .score)
    #expect(batch.prefetch == 1)
  }
}
