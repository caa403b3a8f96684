internal import Foundation
package import Storage
internal import SweepRecords

/// Everything that a report says about one sweep, read once from SQL.
package struct ReportData: Sendable {
  /// All results of a behaviour at a layer.
  struct Case: Sendable {
    var key: CaseKey
    var curves: [CurvePoint] = []
    var slopes: [Slope] = []
    var decompositions: [DecompositionRow] = []
    var dominance: [BiasDominance] = []
    var negatives: [NegativeProjections] = []
    var features: [FeatureRow] = []
    var vectors: [VectorRow] = []
    var axes: [CoefficientAxisRow] = []
  }

  /// How the model was steered and scored.
  struct Settings: Sendable, Equatable {
    /// `vector` or `activation-norm`.
    var unit = "vector"
    var positions = "scored"
    /// `per-token` or `sum`.
    var score = "per-token"
  }

  var summary: SweepSummary
  var document: String
  var models: [ModelRow]
  var behaviours: [BehaviourRow]
  var inputs: [ArtifactReference]
  /// Nil where the resolved sweep does not say.
  var seed: String?
  var settings = Settings()
  /// By behaviour in the sweep's order, then by layer.
  var cases: [Case] = []
  var saes: [SAERow] = []
  var norms: [ActivationNorms] = []
  var stages: [StageTimes] = []
  var programs: [ComputingProgram] = []
  /// Tasks by state.
  var taskCounts: [TaskState: Int] = [:]

  /// Reads a sweep's results as they are now; what is not there yet is empty.
  package init(reading store: any ResultStore, sweep: SweepID) async throws {
    let submission = try await store.submission(of: sweep)
    summary = submission.summary
    document = submission.document
    models = submission.models
    behaviours = submission.behaviours
    inputs = submission.inputs
    seed = Self.seed(inResolved: submission.resolved)
    taskCounts = try await store.progress(of: sweep, rateOver: 60).counts
    let source = ReportSource(store: store, sweep: sweep)
    var cases: [CaseKey: Case] = [:]
    func collect<Row>(_ rows: [(key: CaseKey, row: Row)], into path: WritableKeyPath<Case, [Row]>) {
      for (key, row) in rows { cases[key, default: Case(key: key)][keyPath: path].append(row) }
    }
    let curves = try await source.curves()
    if let first = curves.first { settings = first.row.settings }
    collect(curves.map { ($0.key, $0.row.point) }, into: \.curves)
    collect(try await source.slopes(), into: \.slopes)
    collect(try await source.decompositions(), into: \.decompositions)
    collect(try await source.dominance(), into: \.dominance)
    collect(try await source.negatives(), into: \.negatives)
    collect(try await source.features(), into: \.features)
    collect(try await source.vectors(), into: \.vectors)
    collect(try await source.axes(), into: \.axes)
    let places = Dictionary(behaviours.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
    self.cases = cases.values.sorted { a, b in
      let (p, q) = (places[a.key.behaviour] ?? .max, places[b.key.behaviour] ?? .max)
      return (p, a.key.behaviour, a.key.layer) < (q, b.key.behaviour, b.key.layer)
    }
    saes = try await source.saes()
    norms = try await source.norms()
    stages = try await source.stages()
    programs = try await source.programs()
  }

  private static func seed(inResolved text: String) -> String? {
    let object = try? JSONSerialization.jsonObject(with: Data(text.utf8))
    guard let seed = (object as? [String: Any])?["seed"] as? NSNumber else { return nil }
    return seed.stringValue
  }
}

extension ReportData.Case {
  /// The slope of the steering vector itself.
  var original: Slope? {
    let rows = slopes.filter { $0.variant.name == "original" }
    return rows.first { $0.variant.norm == "raw" } ?? rows.first
  }

  /// Trained dictionaries that this case went through, in the order of their names.
  var saes: [String] {
    let names = Set(decompositions.map(\.sae)).union(slopes.compactMap(\.variant.sae)).union(dominance.map(\.sae))
    return names.filter { !$0.hasPrefix(untrainedPrefix) }.sorted { naturallyPrecedes($0, $1) }
  }

  /// Slopes of reconstructions through an SAE at a norm.
  func reconstructions(sae: String, norm: String = "matched") -> [Slope] {
    slopes.filter { $0.variant.name == "reconstruction" && $0.variant.sae == sae && $0.variant.norm == norm }
  }

  /// Slopes of the controls whose names begin so: `random-`, `shuffled-`.
  func controls(_ prefix: String) -> [Slope] { slopes.filter { $0.variant.name.hasPrefix(prefix) } }

  /// The slope of the zero vector's reconstruction through an SAE.
  func zeroVector(sae: String, norm: String = "matched") -> Slope? {
    slopes.first { $0.variant.name == "zero-vector" && $0.variant.sae == sae && $0.variant.norm == norm }
  }

  /// Slopes through the untrained dictionary of an SAE's shape.
  func untrained(of sae: String, norm: String = "matched") -> [Slope] {
    slopes.filter {
      $0.variant.name == "untrained-dictionary" && $0.variant.sae == untrainedPrefix + sae && $0.variant.norm == norm
    }
  }

  /// The decomposition behind a reconstruction, under the SAE's own input convention.
  func decomposition(of variant: Variant) -> DecompositionRow? {
    decompositions.first {
      $0.isConfigured && $0.sae == variant.sae && $0.method == variant.method && $0.sparsity == variant.sparsity
        && (variant.convention == nil || $0.convention == variant.convention)
    }
  }
}

/// A sparsity as a number, `all` beyond all numbers.
func sparsityOrder(_ sparsity: String?) -> Int { sparsity.flatMap(Int.init) ?? .max }

/// Orders names with numbers in them as people do: `l0-9` before `l0-83`.
func naturallyPrecedes(_ a: String, _ b: String) -> Bool {
  func parts(_ text: String) -> [(Int, String)] {
    text.split(omittingEmptySubsequences: true) { !$0.isLetter && !$0.isNumber }.map { part in
      let digits = part.prefix { $0.isASCII && $0.isNumber }
      return (Int(digits) ?? .max, String(part))
    }
  }
  for (x, y) in zip(parts(a), parts(b)) where x != y { return x < y }
  return a < b
}
