import Foundation
import Messaging
import OrchestrationSupport
import Storage
import SweepRecords
import Synchronization
import Testing

@testable import Orchestration

/// Tasks that take too long, or too much memory: stopped, reported, counted.
@Suite(.timeLimit(.minutes(1)))
struct WorkerLimitTests {
  private static let single = PretendSweep(harvests: 1, extracts: 0, trainings: 0, scores: 0)

  /// A worker by real time with limits, on a sweep of three tasks of which the first is there to be claimed.
  private func prepare(
    _ executor: PretendExecutor, memoryInUse: @escaping @Sendable () -> Int? = { nil },
    events: @escaping @Sendable (Worker.Event) -> Void = { _ in }, _ change: (inout Worker.Settings) -> Void
  ) async throws -> (world: SweepWorld, sweep: SweepID, coordinator: Coordinator, worker: Worker) {
    let world = try SweepWorld()
    let sweep = try await world.submit(Self.single)
    let coordinator = world.coordinator()
    let worker = try await world.worker(
      executor: executor, timekeeper: .continuous(),
      {
        $0.watchEvery = .milliseconds(2)
        $0.grace = .seconds(20)
        change(&$0)
      }, memoryInUse: memoryInUse, events: events)
    while world.queue.counts.waiting == 0 { try await coordinator.step() }
    return (world, sweep, coordinator, worker)
  }

  @Test func aTaskThatTakesTooLongIsTriedOnceMoreAndThenParked() async throws {
    let endless = PretendExecutor { work, _, monitor throws(TaskFault) in
      guard work.kind == .harvest else { return }
      while !monitor.shouldStop { usleep(500) }
      throw TaskFault(.stopped, "told to stop")
    }
    let overruns = Collected<Worker.Event>()
    let (world, sweep, coordinator, worker) = try await prepare(
      endless, events: { if case .overran = $0 { overruns.add($0) } }
    ) { $0.taskSeconds = 0.02 }
    try await worker.step(waiting: true)
    #expect(await worker.tally.retried == 1)
    while await worker.tally.parked == 0 {
      world.time.advance(.seconds(1))
      try await coordinator.step()
      try await worker.step(waiting: false)
    }
    let parked = try await world.store.parkedTasks(of: sweep, limit: 5)
    #expect(parked.map(\.error) == ["took longer than 0.02 s on here"] && parked.map(\.failures) == [2])
    let attempts = try await world.store.attempts(at: try #require(parked.first).id)
    #expect(attempts.map(\.outcome) == [.failed, .failed])
    #expect(overruns.all.count == 2)
    // It stopped when it was told: the process goes on.
    #expect(await worker.unfit == nil)
  }

  @Test func aTaskThatTakesTooMuchMemoryIsReportedAndTheProcessStartsAnew() async throws {
    let used = Mutex(1 << 30)
    let greedy = PretendExecutor { _, _, monitor throws(TaskFault) in
      used.withLock { $0 = 5 << 30 }
      while !monitor.shouldStop { usleep(500) }
      throw TaskFault(.stopped, "told to stop")
    }
    let (world, _, _, worker) = try await prepare(greedy, memoryInUse: { used.withLock { $0 } }) {
      $0.memoryLimit = 4 << 30
    }
    let end = try await worker.run()
    #expect(end == .mustRestart(reason: "a task used too much memory"))
    let rows = try await world.rows("SELECT outcome, error FROM task_attempt")
    #expect(
      rows == [
        "failed|used 5120 MiB of memory on here, where 4096 MiB are allowed: give workers more memory, or fewer threads"
      ])
    #expect(try await world.rows("SELECT failures, state FROM task WHERE failures > 0") == ["1|ready"])
    #expect(try await world.store.workers(seenWithin: 45).isEmpty)
  }

  @Test func aTaskThatWouldNotStopIsLeftBehindWithItsProcess() async throws {
    let gate = Gate()
    let stubborn = PretendExecutor { _, _, _ throws(TaskFault) in gate.block() }
    let (world, _, _, worker) = try await prepare(stubborn) {
      $0.taskSeconds = 0.01
      $0.grace = .milliseconds(20)
    }
    let end = try await worker.run()
    #expect(end == .mustRestart(reason: "a task would not stop"))
    #expect(
      try await world.rows("SELECT outcome, error FROM task_attempt") == ["failed|took longer than 0.01 s on here"])
    gate.open()
  }

  @Test func whatStaysWithinItsLimitsIsLeftAlone() async throws {
    let executor = PretendExecutor { _, _, _ throws(TaskFault) in usleep(20_000) }
    let (world, sweep, coordinator, worker) = try await prepare(executor, memoryInUse: { 1000 }) {
      $0.taskSeconds = 60
      $0.memoryLimit = 1000
    }
    #expect(try await world.run(sweep, [coordinator], [worker]) == .done)
    #expect(await worker.tally.done == Self.single.count)
  }

  // MARK: Memory of the process

  @Test func memoryInUseIsTheProcessesOwn() throws {
    let before = try #require(ProcessMemory.inUse)
    let block = UnsafeMutableRawPointer.allocate(byteCount: 64 << 20, alignment: 4096)
    memset(block, 1, 64 << 20)
    let during = try #require(ProcessMemory.inUse)
    block.deallocate()
    #expect(during - before > 48 << 20)
    #expect(ProcessMemory.available > 1 << 20)
  }

  @Test func limitsOfControlGroupsBindTheirChildren() throws {
    let root = FileManager.default.temporaryDirectory.appending(path: "steerscope-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: root) }
    func write(_ text: String, _ path: String) throws {
      let file = URL(fileURLWithPath: root + path)
      try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(text.utf8).write(to: file)
    }
    // Version 2: one group, whose parent has the limit.
    try write("max\n", "/a/b/memory.max")
    try write("4294967296\n", "/a/memory.max")
    #expect(ProcessMemory.limits(of: "0::/a/b\n", root: root) == [4 << 30])
    // Version 1: a line for each controller; the largest number means none, and so is larger than any memory.
    try write("9223372036854771712\n", "/memory/docker/x/memory.limit_in_bytes")
    try write("1073741824\n", "/memory/docker/memory.limit_in_bytes")
    #expect(
      ProcessMemory.limits(of: "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n", root: root) == [
        9_223_372_036_854_771_712, 1 << 30,
      ])
    #expect(ProcessMemory.limits(of: "nonsense\n0::/nowhere\n", root: root).isEmpty)
  }
}
