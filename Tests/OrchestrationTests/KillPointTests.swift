import Messaging
import Orchestration
import OrchestrationSupport
import Storage
import SweepRecords
import Testing

/// A process dies at every moment at which that could matter; others carry on, and nothing is lost or done twice.
@Suite struct KillPointTests {
  @Test(arguments: KillPoint.all)
  func anotherProcessCarriesOn(_ point: KillPoint) async throws {
    let outcome = try await point.run(in: SweepWorld())
    #expect(outcome.died)
    #expect(outcome.state == .done)
    #expect(outcome.difference == nil)
    #expect(point.mayComputeTwice.contains(outcome.computedTwice))
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

  @Test func aWorldThatLosesResultsIsSeen() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    #expect(try await world.run(sweep, [world.coordinator()], [try await world.worker()]) == .done)
    #expect(try await world.difference() == nil)
    try world.damage("DELETE FROM steerability_score WHERE layer = 3")
    #expect(try await world.difference()?.contains("1 of ") == true)
  }
}
