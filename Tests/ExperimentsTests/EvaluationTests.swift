import Experiments
import Kernels
import LanguageModels
import Steering
import SweepRecords
import TensorFiles
import Testing

/// Evaluations and what is scored of them.
struct EvaluationTests {
  let sweep: TinySweep
  let outcomes: Outcomes
  let executor = ExperimentExecutor(pool: ThreadPool(threads: 1))

  init() throws { (sweep, outcomes) = try TinySweep.standard.get() }

  private var evaluations: [EvaluateWork] {
    get throws {
      try sweep.tasks(of: .evaluate).compactMap {
        if case .evaluate(let work) = try sweep.work($0) { work } else { nil }
      }
    }
  }

  private func rows(of work: EvaluateWork) throws -> [TableRow] {
    try sweep.run(.evaluate(work), executor, among: outcomes).rows
  }

  private func tensor(_ name: String, in reference: InputReference) throws -> [Float] {
    guard case .output(let task, let output) = reference else { throw TaskFault(.task, "no output") }
    let bytes = try #require(outcomes[task]?.artifacts[output])
    return try SafetensorsFile(bytes: bytes, name: output).tensor(named: name).floats()
  }

  @Test func aVariantAloneAsAmongAll() throws {
    for layer in TinySweep.layers {
      let works = try evaluations.filter { $0.layer == layer }
      var all = try #require(works.first)
      all.variants = works.flatMap(\.variants)
      let together = try rows(of: all)
      var alone: [TableRow] = []
      for variant in all.variants {
        var work = all
        work.variants = [variant]
        alone += try rows(of: work)
      }
      #expect(alone == together)
      let planned = sweep.tasks.filter { $0.kind == .evaluate && $0.layer == layer }.flatMap {
        outcomes[$0.key]?.rows ?? []
      }
      #expect(planned == together)
      #expect(together.count == all.variants.count * TinySweep.questions * TinySweep.coefficients.count)
    }
  }

  @Test func questionsInSlicesAsInOne() throws {
    let whole = try #require(try evaluations.last)
    var slices: [TableRow] = []
    for range in [0..<3, 3..<4, 4..<8] {
      var work = whole
      (work.from, work.to) = (range.lowerBound, range.upperBound)
      slices += try rows(of: work)
    }
    func order(_ rows: [TableRow]) -> [String] { rows.map(\.line).sorted() }
    #expect(order(slices) == order(try rows(of: whole)))
  }

  @Test(arguments: SteeredPositions.allCases, CoefficientUnit.allCases)
  func asTheNaiveReference(_ positions: SteeredPositions, _ unit: CoefficientUnit) throws {
    var work = try #require(
      try evaluations.last { $0.variants.contains { $0.variant == "reconstruction" && $0.norm == .matched } })
    work.variants = Array(work.variants.filter { $0.norm == .matched }.prefix(1))
    (work.settings.positions, work.settings.unit) = (positions, unit)
    work.settings.score = positions == .all ? .sum : .perToken
    let reduction = try #require(sweep.tasks.first { $0.kind == .statistics && $0.layer == work.layer })
    let statistics = InputReference.output(task: reduction.key, name: "statistics")
    work.statistics = statistics

    let prompted = try PromptedModel(
      path: TinySweep.modelPath, template: "chatml", weights: .asStored, pool: ThreadPool(threads: 1))
    guard case .artifact(let digest) = work.questions else { throw TaskFault(.task, "no questions") }
    let questions = try ContrastSet(json: try sweep.input(digest), name: "questions")
    let pairs = try questions.tokenized(
      0..<TinySweep.questions, template: prompted.template, tokenizer: prompted.tokenizer)
    let length = norm(try tensor(work.original.tensor, in: work.original.source))
    var direction = SteeringVectors.rescaled(
      try tensor(work.variants[0].tensor, in: work.variants[0].source), to: length)
    if unit == .activationNorm {
      let norms = try tensor("norms.\(work.layer)", in: statistics)
      let factor = ActivationNorms(sorted: norms, mean: [], excluded: 0).median / length
      direction = direction.map { $0 * factor }
    }
    let naive = NaivePropensity(
      model: prompted.model, layer: work.layer, positions: positions, score: work.settings.score)
    let expected = try naive.evaluate(pairs, directions: [direction], coefficients: work.settings.coefficients)
    let propensities: [Double] = expected.flatMap { $0.flatMap { $0 } }
    #expect(try rows(of: work).map { $0.cells["propensity"] } == propensities.map { Cell.real($0) })
  }

  @Test func withoutSteeringAllVariantsAreOne() throws {
    let rows = outcomes.values.flatMap { $0.rows(of: .evaluation) }.filter { $0.cells["coefficient"] == .real(0) }
    #expect(rows.count > 2 * TinySweep.methods.count)
    let first = try #require(rows.first)
    for key in ["propensity", "propensity_error", "probability", "accuracy", "n", "cross_entropy_change"] {
      // Of both layers: the unsteered model knows no layer.
      #expect(rows.allSatisfy { $0.cells[key] == first.cells[key] }, "\(key)")
    }
    #expect(first.cells["cross_entropy_change"] == .real(0))
    #expect(first.cells["n"] == .integer(TinySweep.questions))
  }

  @Test func theOriginalMatchesItself() throws {
    var work = try #require(try evaluations.first { $0.variants.map(\.variant) == ["original"] })
    let raw = try rows(of: work)
    work.variants[0].norm = .matched
    let matched = try rows(of: work)
    #expect(raw.map { $0.cells["propensity"] } == matched.map { $0.cells["propensity"] })
    #expect(Set(matched.map(\.cells["norm"]?.line)) == ["matched"])
  }

  @Test func controlsHaveTheOriginalsNorm() throws {
    let rows = outcomes.values.flatMap { $0.rows(of: .steeringVector) }
    for layer in TinySweep.layers {
      func norm(_ name: String) throws -> Double {
        let row = rows.first { $0.cells["layer"] == .integer(layer) && $0.cells["name"] == .text(name) }
        guard case .real(let value) = try #require(row).cells["norm"] else { throw TaskFault(.task, "no norm") }
        return value
      }
      let original = try norm("original")
      for name in ["random-0", "random-1", "shuffled-0", "pca"] {
        #expect(abs(try norm(name) / original - 1) < 1e-6)
      }
    }
    let controls = try #require(try evaluations.first { $0.variants.contains { $0.variant == "random-0" } })
    let vectors = try controls.variants.map { try tensor($0.tensor, in: $0.source) }
    #expect(controls.variants.map(\.variant) == ["random-0", "random-1", "shuffled-0"])
    #expect(vectors[0] != vectors[1] && vectors[1] != vectors[2])
  }

  @Test func everyVariantIsScored() throws {
    let scores = outcomes.values.flatMap { $0.rows(of: .steerabilityScore) }
    let variants = Set(scores.compactMap { $0.cells["variant"]?.line })
    #expect(
      variants == [
        "original", "random-0", "random-1", "shuffled-0", "zero-vector", "pair-difference-error", "reconstruction",
        "untrained-dictionary",
      ])
    // A slope is there for each, and letters split it.
    #expect(scores.allSatisfy { $0.cells["slope"] != .null && $0.cells["slope_letter_a"] != .null })
  }
}

extension Cell {
  /// The value in words.
  var line: String {
    switch self {
    case .null: "null"
    case .integer(let value): "\(Double(value))"
    case .real(let value): "\(value)"
    case .text(let value): value
    }
  }
}

extension TableRow {
  /// The row in words, in a fixed order; whole numbers as the reals that they may be.
  var line: String { cells.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value.line)" }.joined(separator: "|") }
}
