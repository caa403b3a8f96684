import SweepPlanning
import SweepRecords
import Testing

@Suite struct PlanEstimateTests {
  @Test func newAndDoneAddUpToThePlan() throws {
    let plan = SweepPlan(try resolvedSweep())
    let tasks = try plan.allTasks()
    let done = Set(tasks.filter { $0.kind == .harvest || $0.kind == .evaluate }.map(\.key))
    let estimate = try PlanEstimate(plan, isDone: done.contains, size: { _ in 1000 })
    #expect(estimate.stages.map(\.kind) == TaskKind.allCases)
    for stage in estimate.stages {
      let count = tasks.count { $0.kind == stage.kind }
      let isDone = [.harvest, .evaluate].contains(stage.kind)
      #expect(stage.done == (isDone ? count : 0) && stage.new == (isDone ? 0 : count))
      #expect((stage.seconds > 0) == !isDone)
    }
    #expect(abs(estimate.seconds - tasks.filter { !done.contains($0.key) }.reduce(0) { $0 + $1.estimate }) < 1e-6)
    // The model and four SAEs (two L0s at two layers), each once.
    #expect(estimate.bytesRead == 5000)
  }

  @Test func rowsAndBytesAreCounted() throws {
    let sweep = try resolvedSweep { sweep in
      sweep.behaviours = [sweep.behaviours[0]]
      sweep.layers = [12]
      sweep.saes = []
      sweep.keepQuestions = true
      sweep.sideEffects = nil
    }
    let plan = SweepPlan(sweep)
    let estimate = try PlanEstimate(plan, isDone: { _ in false }, size: { _ in 0 })
    // Four variants (original, two random, shuffled), five coefficients, 30 questions; and the PCA vector.
    #expect(estimate.rows[.evaluation] == 4 * 5)
    #expect(estimate.rows[.steerabilityScore] == 4)
    #expect(estimate.rows[.evaluationQuestion] == 4 * 5 * 30)
    #expect(estimate.rows[.steeringVector] == 5)
    #expect(estimate.rows[.activationStatistics] == 1)
    let tokens = 157 * 128
    let activations = tokens * 576 * 4
    #expect(estimate.bytesStored > activations + 300 * 2 * 576 * 4 && estimate.bytesStored < activations * 11 / 10)
  }

  @Test func nothingIsLeftWhenAllIsDone() throws {
    let estimate = try PlanEstimate(SweepPlan(try resolvedSweep()), isDone: { _ in true }, size: { _ in 1 })
    #expect(estimate.seconds == 0 && estimate.bytesRead == 0 && estimate.bytesStored == 0 && estimate.rows.isEmpty)
  }
}
