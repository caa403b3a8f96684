import Messaging
import Orchestration
import OrchestrationSupport
import Storage
import SweepRecords
import TestServers
import Testing

/// A process dies at a moment at which that could matter, over PostgreSQL and RabbitMQ; others carry on, nothing is lost
/// and nothing done twice. (OrchestrationTests has the same over SQLite, many more of them.)
@Suite(.timeLimit(.minutes(10))) struct ServerKillPointTests {
  struct Death: Sendable, CustomTestStringConvertible {
    var name: String
    var moment: Mortality.Moment
    var count: Int
    /// How many tasks one at a time are computed twice.
    var again: Int
    var testDescription: String { name }

    static let all = [
      Death(name: "before claim", moment: .beforeClaim, count: 9, again: 0),
      Death(name: "after claim", moment: .afterClaim, count: 9, again: 0),
      Death(name: "mid-compute", moment: .midCompute, count: 9, again: 1),
      Death(name: "before finish", moment: .beforeFinish, count: 9, again: 1),
      Death(name: "after commit, before ack", moment: .afterFinish, count: 9, again: 0),
      Death(name: "before publish", moment: .beforePublish, count: 2, again: 0),
      Death(name: "between publish and confirm", moment: .afterPublish, count: 2, again: 0),
      Death(name: "after a piece of the plan", moment: .afterExpand, count: 2, again: 0),
    ]
  }

  @Test(arguments: Death.all)
  func anotherProcessCarriesOn(_ death: Death) async throws {
    let (ground, _) = try await ServerGround.fresh()
    let world = try await SweepWorld(on: ground)
    let sweep = try await world.submit()
    let mortality = Mortality(death.moment, count: death.count)
    let executor = PretendExecutor { _, _, _ throws(TaskFault) in try? mortality.reach(.midCompute) }
    let doomed = try await world.openQueue()
    await #expect(throws: Mortality.Killed.self) {
      let worker = try await world.worker("doomed", executor: executor, mortality: mortality, queue: doomed)
      let coordinator = world.coordinator("doomed", mortality: mortality, queue: doomed)
      _ = try await world.run(sweep, [coordinator], [worker])
    }
    await world.bury(doomed)

    let survivor = PretendExecutor()
    let alive = try await world.openQueue()
    let state = try await world.run(
      sweep, [world.coordinator("survivor", queue: alive)],
      [try await world.worker("survivor", executor: survivor, queue: alive)])
    #expect(state == .done)
    #expect(try await world.difference() == nil)
    let executions = executor.executions.merging(survivor.executions, uniquingKeysWith: +)
    #expect(executions.count == PretendSweep().count)
    #expect(executions.values.reduce(0, +) - PretendSweep().count == death.again)
    await world.bury(alive)
  }

  @Test(arguments: [Mortality.Moment.afterClaim, .midCompute, .beforeFinish, .afterFinish])
  func aBatchOfManyDiesWell(_ moment: Mortality.Moment) async throws {
    let (ground, _) = try await ServerGround.fresh()
    let world = try await SweepWorld(on: ground)
    let sweep = try await world.submit()
    let mortality = Mortality(moment, count: 2)
    let executor = PretendExecutor { _, _, _ throws(TaskFault) in try? mortality.reach(.midCompute) }
    let short: (inout Worker.Settings) -> Void = { $0.batch = BatchSize(target: 10, limit: 16) }
    let doomed = try await world.openQueue()
    await #expect(throws: Mortality.Killed.self) {
      let worker = try await world.worker("doomed", executor: executor, mortality: mortality, queue: doomed, short)
      _ = try await world.run(
        sweep, [world.coordinator("doomed", mortality: mortality, queue: doomed)], [worker])
    }
    await world.bury(doomed)
    let alive = try await world.openQueue()
    let worker = try await world.worker("survivor", queue: alive, short)
    #expect(try await world.run(sweep, [world.coordinator("survivor", queue: alive)], [worker]) == .done)
    #expect(try await world.difference() == nil)
    await world.bury(alive)
  }
}
