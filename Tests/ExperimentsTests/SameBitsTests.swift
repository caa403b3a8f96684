import Experiments
import Foundation
import Kernels
import SweepRecords
import Testing

/// What a task leaves depends on its work and inputs alone.
struct SameBitsTests {
  let sweep: TinySweep
  let outcomes: Outcomes

  init() throws { (sweep, outcomes) = try TinySweep.standard.get() }

  private func expectSame(_ others: Outcomes) {
    #expect(others.count == outcomes.count)
    for task in sweep.tasks {
      // Not the values themselves: a difference is megabytes of text.
      let same = others[task.key] == outcomes[task.key]
      #expect(same, "\(task.title)")
    }
  }

  @Test func everyKindOfTaskLeavesSomething() throws {
    #expect(Set(sweep.tasks.map(\.kind)) == Set(TaskKind.allCases))
    for task in sweep.tasks {
      let outcome = try #require(outcomes[task.key])
      #expect(!outcome.rows.isEmpty || !outcome.artifacts.isEmpty, "\(task.title)")
    }
    #expect(Set(outcomes.values.flatMap { $0.rows.map(\.table) }) == Set(ResultTable.allCases))
  }

  @Test func anotherOrderOnTwoThreads() throws {
    let order = sweep.reversedOrder
    #expect(order.count == sweep.tasks.count && order.map(\.key) != sweep.tasks.map(\.key))
    expectSame(try sweep.run(order, threads: 2))
  }

  @Test func aloneAsInSequence() throws {
    for task in sweep.tasks {
      let executor = ExperimentExecutor(pool: ThreadPool(threads: 1))
      let alone = try sweep.run(try sweep.work(task), executor, among: outcomes) == outcomes[task.key]
      #expect(alone, "\(task.title)")
    }
  }
}
