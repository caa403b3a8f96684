import Messaging
import Orchestration
import OrchestrationSupport
import Storage
import SweepRecords
import Testing

/// A process dies at every moment at which that could matter; others carry on, and nothing is lost or done twice.
@Suite struct KillPointTests {
  struct Death: Sendable, CustomTestStringConvertible {
    var moment: Mortality.Moment
    var count: Int
    var testDescription: String { "\(moment) \(count)" }

    static let all = Mortality.Moment.allCases.flatMap { moment in
      (moment == .afterPublish || moment == .beforePublish || moment == .afterExpand ? [1, 2, 4] : [1, 9, 20])
        .map { Death(moment: moment, count: $0) }
    }
  }

  @Test(arguments: Death.all)
  func anotherProcessCarriesOn(_ death: Death) async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let mortality = Mortality(death.moment, count: death.count)
    let executor = PretendExecutor { _, _, _ throws(TaskFault) in
      // What happens to the result of a dead process's thread is nobody's business: it can't be stored.
      try? mortality.reach(.midCompute)
    }
    await #expect(throws: Mortality.Killed.self) {
      let worker = try await world.worker("doomed", executor: executor, mortality: mortality)
      _ = try await world.run(sweep, [world.coordinator("doomed", mortality: mortality)], [worker])
    }
    // The broker notices that the connection is gone; a lease later everyone else does.
    world.queue.disconnect()

    let survivor = PretendExecutor()
    let state = try await world.run(
      sweep, [world.coordinator("survivor")], [try await world.worker("survivor", executor: survivor)])
    #expect(state == .done)
    try await world.expectAsUndisturbed()

    let executions = executor.executions.merging(survivor.executions, uniquingKeysWith: +)
    #expect(executions.count == PretendSweep().count)
    let computedTwice = executions.values.reduce(0, +) - PretendSweep().count
    switch death.moment {
    case .midCompute, .beforeFinish: #expect(computedTwice == 1)
    default: #expect(computedTwice == 0)
    }
  }

  @Test(arguments: Mortality.Moment.allCases)
  func aBatchOfManyDiesWell(_ moment: Mortality.Moment) async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let mortality = Mortality(moment, count: 2)
    let executor = PretendExecutor { _, _, _ throws(TaskFault) in try? mortality.reach(.midCompute) }
    let short: (inout Worker.Settings) -> Void = { $0.batch = BatchSize(target: 10, limit: 16) }
    await #expect(throws: Mortality.Killed.self) {
      let worker = try await world.worker("doomed", executor: executor, mortality: mortality, short)
      _ = try await world.run(sweep, [world.coordinator("doomed", mortality: mortality)], [worker])
    }
    world.queue.disconnect()
    let survivor = try await world.worker("survivor", short)
    #expect(try await world.run(sweep, [world.coordinator("survivor")], [survivor]) == .done)
    try await world.expectAsUndisturbed()
  }

  @Test func onlyTheSurvivorsLeaseCounts() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit(PretendSweep(harvests: 1, extracts: 1, trainings: 0, scores: 0))
    let mortality = Mortality(.afterClaim)
    await #expect(throws: Mortality.Killed.self) {
      let worker = try await world.worker("doomed", mortality: mortality)
      _ = try await world.run(sweep, [world.coordinator("a")], [worker])
    }
    #expect(try await world.run(sweep, [world.coordinator("a")], [try await world.worker("survivor")]) == .done)
    let outcomes = try await world.rows("SELECT worker, outcome FROM task_attempt ORDER BY token")
    #expect(outcomes == ["doomed|expired", "survivor|done", "survivor|done", "survivor|done", "survivor|done"])
    #expect(try await world.rows("SELECT sum(failures) FROM task") == ["1"])
  }
}
