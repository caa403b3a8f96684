import SweepRecords
import Testing

/// What is added to a sweep changes neither keys nor results of what was there.
struct AddedWorkTests {
  private static let few = ["encode", "pair-difference"]

  /// A smaller sweep, run by itself, and the standard one.
  private func expectPart(_ small: TinySweep, run: Outcomes, of large: TinySweep, run all: Outcomes) {
    let keys = Set(large.tasks.map(\.key))
    #expect(small.tasks.count < large.tasks.count)
    for task in small.tasks {
      #expect(keys.contains(task.key), "\(task.title)")
      let same = run[task.key] == all[task.key]
      #expect(same, "\(task.title)")
    }
  }

  @Test func methodsAndALayer() throws {
    let (sweep, outcomes) = try TinySweep.standard.get()
    let small = try TinySweep {
      $0.methods = Self.few
      $0.layers = [1]
    }
    expectPart(small, run: try small.run(small.tasks, threads: 2), of: sweep, run: outcomes)
  }

  @Test func aBehaviour() throws {
    let (sweep, outcomes) = try TinySweep.standard.get()
    let two = try TinySweep {
      $0.methods = Self.few
      $0.layers = [1]
      // The same pairs the other way round would be another file; fewer of them do.
      $0.behaviours = "  - {name: brevity, extract: \"EXTRACT\", evaluate: \"EVALUATE\", limit: 7, questions: 5}"
    }
    let made = try two.run(two.tasks, threads: 1)
    let common = Set(sweep.tasks.map(\.key)).intersection(two.tasks.map(\.key))
    #expect(common.count > 15 && common.count < two.tasks.count)
    for key in common {
      let same = made[key] == outcomes[key]
      #expect(same)
    }
    let behaviours = Set(made.values.flatMap { $0.rows(of: .steerabilityScore) }.map { $0.cells["behaviour"]?.line })
    #expect(behaviours == [TinySweep.behaviour, "brevity"])
  }
}
