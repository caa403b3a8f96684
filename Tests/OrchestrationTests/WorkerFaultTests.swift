import Foundation
import Messaging
import Orchestration
import OrchestrationSupport
import Storage
import SweepRecords
import Testing

/// Whose fault it was, and what becomes of the task (protocol.md 9).
@Suite struct WorkerFaultTests {
  private static func isVectors(_ work: TaskWork) -> Bool { work.kind == .vectors }

  @Test func aTaskFaultParksAtOnceAndLeavesDependentsBlocked() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let bad = PretendExecutor { work, _, _ throws(TaskFault) in
      if Self.isVectors(work) { throw TaskFault(.task, "the pairs are all the same") }
    }
    let coordinator = world.coordinator()
    let worker = try await world.worker(executor: bad)
    #expect(try await world.run(sweep, [coordinator], [worker]) == .doneWithParked)
    let counts = try await world.store.progress(of: sweep, rateOver: 1).counts
    #expect(counts == [.done: PretendSweep().count - 11, .parked: 1, .blocked: 10])
    let parked = try await world.store.parkedTasks(of: sweep, limit: 10)
    #expect(parked.map(\.error) == ["the pairs are all the same"] && parked.map(\.failures) == [1])

    // The cause is mended: retry revives the task, and with it those that waited.
    #expect(try await world.store.retry(sweep) == .active)
    let good = try await world.worker("better")
    #expect(try await world.run(sweep, [coordinator], [good]) == .done)
    try await world.expectAsUndisturbed()
  }

  @Test func transientFaultsAreTriedAgainUntilTheLimit() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let executor = PretendExecutor { work, _, _ throws(TaskFault) in
      if Self.isVectors(work) { throw TaskFault(.transient, "timed out") }
    }
    let worker = try await world.worker(executor: executor)
    #expect(try await world.run(sweep, [world.coordinator()], [worker]) == .doneWithParked)
    let parked = try await world.store.parkedTasks(of: sweep, limit: 10)
    #expect(parked.map(\.failures) == [5])
    #expect(parked.first.map { executor.executions[$0.key] } == 5)
    let tally = await worker.tally
    #expect(tally.retried == 4 && tally.parked == 1)
  }

  @Test func aWorkerFaultGivesBackUncountedToWhoCan() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let model = Digest(of: PretendSweep.model)
    let blind = PretendFiles { file throws(TaskFault) in
      throw TaskFault(.worker, "\(file.locator) is missing", input: file.digest)
    }
    let one = PretendExecutor()
    let other = PretendExecutor()
    let workers = [
      try await world.worker("blind", executor: one, files: blind), try await world.worker("able", executor: other),
    ]
    #expect(try await world.run(sweep, [world.coordinator()], workers) == .done)
    try await world.expectAsUndisturbed()
    #expect(await workers[0].tally.released > 0)
    #expect(await workers[0].troubles == ["model.gguf is missing"])
    let seen = try await world.store.workers().first { $0.registration.id == WorkerID("blind") }
    #expect(seen?.condition == .unready(reason: "model.gguf is missing"))
    #expect(try await world.rows("SELECT sum(failures) FROM task") == ["0"])
    // What needs no model it could do.
    for (key, _) in one.executions {
      let work = try await world.rows("SELECT work FROM task WHERE key = '\(key)'")[0]
      #expect(!work.contains(model.hex))
    }
  }

  @Test func aWorkerThatCanDoNothingRests() async throws {
    let world = try SweepWorld()
    try await world.submit()
    let executor = PretendExecutor { _, _, _ throws(TaskFault) in throw TaskFault(.worker, "too little memory") }
    let worker = try await world.worker(executor: executor)
    let coordinator = world.coordinator()
    for _ in 0..<20 {
      try await coordinator.step()
      try await worker.step(waiting: false)
    }
    #expect(executor.executionCount == 1)
    world.time.advance(.seconds(5))
    try await worker.step(waiting: false)
    #expect(executor.executionCount == 2)
    #expect(await worker.avoided.failuresInARow == 2)
  }

  @Test func resultsThatAreNotFiniteArePossibleForNobody() async throws {
    struct Infinite: TaskExecutor {
      func execute(_ work: TaskWork, inputs: TaskInputs, monitor: any TaskMonitor) throws(TaskFault) -> TaskResult {
        TaskResult(rows: [TableRow(.steeringVector, ["norm": .real(.infinity)])])
      }
    }
    let error = try await parkedError(Infinite())
    #expect(error == "steering_vector.norm is not finite")
  }

  @Test func rowsThatTheTablesDoNotTakeAreSeen() async throws {
    struct Strange: TaskExecutor {
      func execute(_ work: TaskWork, inputs: TaskInputs, monitor: any TaskMonitor) throws(TaskFault) -> TaskResult {
        TaskResult(rows: [TableRow(.steeringVector, ["colour": "red"])])
      }
    }
    let error = try await parkedError(Strange())
    #expect(error.contains("its results can't be stored") && error.contains("colour"))
  }

  /// The error with which the first task is parked.
  private func parkedError(_ executor: any TaskExecutor) async throws -> String {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let worker = Worker(
      SweepWorld.registration("worker"), store: world.store, queue: world.queue, executor: executor,
      files: PretendFiles(), time: world.time.timekeeper)
    try await worker.start()
    let coordinator = world.coordinator()
    while await worker.tally.parked == 0 {
      try await coordinator.step()
      try await worker.step(waiting: false)
    }
    return try #require(try await world.store.parkedTasks(of: sweep, limit: 1).first).error
  }

  @Test func oneBadResultSpoilsNoOtherOfItsBatch() async throws {
    struct OneStrange: TaskExecutor {
      let inner = PretendExecutor()
      func execute(_ work: TaskWork, inputs: TaskInputs, monitor: any TaskMonitor) throws(TaskFault) -> TaskResult {
        var result = try inner.execute(work, inputs: inputs, monitor: monitor)
        if case .score(let score) = work, score.layer == 4 { result.rows.append(TableRow(.evaluation, ["x": 1])) }
        return result
      }
    }
    let world = try SweepWorld()
    let sweep = try await world.submit()
    var settings = Worker.Settings()
    settings.batch = BatchSize(target: 100, limit: 64)
    let worker = Worker(
      SweepWorld.registration("worker"), settings: settings, store: world.store, queue: world.queue,
      executor: OneStrange(), files: PretendFiles(), time: world.time.timekeeper)
    try await worker.start()
    #expect(try await world.run(sweep, [world.coordinator()], [worker]) == .doneWithParked)
    #expect(
      try await world.store.progress(of: sweep, rateOver: 1).counts == [.done: PretendSweep().count - 1, .parked: 1])
  }

  @Test func missingInputsAreNamed() async throws {
    let world = try SweepWorld()
    let pretend = PretendSweep(harvests: 0, extracts: 1, trainings: 0, scores: 0)
    var submission = try pretend.submission()
    submission.inputs = []
    let sweep = try await world.store.submit(submission).id
    let state = try await world.run(sweep, [world.coordinator()], [try await world.worker()])
    #expect(state == .doneWithParked)
    let errors = try await world.store.parkedTasks(of: sweep, limit: 10).map(\.error)
    #expect(errors == ["input \(Digest(of: PretendSweep.contrast).short) is not in the database"])
  }
}
