import Foundation
import SweepRecords
import TensorFiles
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

  @Test func theSameVectorGiven() throws {
    let (sweep, outcomes) = try TinySweep.standard.get()
    let key = try #require(sweep.tasks.first { $0.kind == .vectors && $0.layer == 1 }).key
    let file = FileManager.default.temporaryDirectory.appending(path: "given-\(UUID().uuidString).safetensors")
    try Data(try #require(outcomes[key]?.artifacts["vectors"])).write(to: file)
    defer { try? FileManager.default.removeItem(at: file) }
    let two = try TinySweep {
      $0.methods = Self.few
      $0.layers = [1]
      $0.behaviours = "  - {name: given, vector: \"\(file.path)\", evaluate: \"EVALUATE\"}"
    }
    let made = try two.run(two.tasks, threads: 1)
    func rows(_ behaviour: String, _ table: ResultTable) -> [String] {
      made.values.flatMap { $0.rows(of: table) }.filter { $0.cells["behaviour"] == .text(behaviour) }.map { row in
        var row = row
        row.cells["behaviour"] = nil
        return row.line
      }
    }
    let (given, extracted) = (Set(rows("given", .evaluation)), Set(rows(TinySweep.behaviour, .evaluation)))
    // Without pairs there is no pair difference, its error or a shuffled vector; all else is the same.
    #expect(given.isSubset(of: extracted))
    let missing = extracted.subtracting(given)
    #expect(!missing.isEmpty && given.count > 20)
    #expect(missing.allSatisfy { $0.contains("pair-difference") || $0.contains("variant=shuffled-0") })
  }
}
