import Foundation
import Storage
import SweepRecords

@testable import Reporting

/// A store with one finished sweep in it, its rows made up but like those of a real one.
final class FakeSweep {
  /// What a behaviour's rows are made of.
  struct Behaviour {
    var name: String
    var norm: Double
    var original: Double
    var error: Double
    var overlap: Double
    /// Faithfulness by method.
    var kept: [(method: String, sparsity: String, share: Double)]
    var zero: Double
  }

  static let powerSeeking = Behaviour(
    name: "power-seeking", norm: 17, original: 0.26, error: 0.05, overlap: 0.86,
    kept: [
      ("encode", "all", 0.15), ("encode", "32", 0.11), ("encode-scaled", "all", 0.58), ("encode-scaled", "32", 0.55),
      ("encode-minus-zero", "all", 0.22), ("pair-difference", "32", 0.81), ("pair-difference", "all", 0.92),
      ("gradient-pursuit", "8", 0.31), ("gradient-pursuit", "32", 0.62), ("gradient-pursuit-signed", "8", 0.55),
      ("gradient-pursuit-signed", "32", 0.85), ("gradient-pursuit-signed", "64", 0.9),
    ], zero: 0.04)
  static let sentiment = Behaviour(
    name: "sentiment", norm: 75, original: 2.77, error: 0.19, overlap: 0.5,
    kept: [
      ("encode", "all", 0.79), ("encode-scaled", "all", 0.91), ("pair-difference", "all", 0.92),
      ("gradient-pursuit", "32", 0.81), ("gradient-pursuit-signed", "32", 0.84),
    ], zero: 0.14)

  let folder: URL
  let store: SQLiteStore
  private(set) var id = SweepID("")
  var time = 1_700_000_000.0

  init() throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "steerscope-reporting-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let clock = SteppingClock()
    store = try SQLiteStore(path: folder.appending(path: "steerscope.db").path, clock: { clock.next() })
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  /// Submits a sweep whose tasks leave these results, by kind, and runs it.
  @discardableResult
  func run(
    name: String = "persona-smollm2", behaviours: [Behaviour], results: [(kind: TaskKind, result: TaskResult)],
    document: String = "name: persona-smollm2\nlayers: [14]  # <one>\n"
  ) async throws -> SweepID {
    let submission = SweepSubmission(
      digest: Digest(of: "sweep \(name)"), name: name, document: document, resolved: #"{"seed":7}"#,
      inputs: [Array("questions".utf8)],
      models: [
        ModelRow(
          digest: Digest(of: "model"), name: "SmolLM2-135M-Instruct.Q4_1", locator: "models/smollm2.gguf",
          architecture: "llama", parameters: 134_515_008, layers: 30, width: 576, vocabulary: 49152, template: "chatml")
      ],
      behaviours: behaviours.map {
        BehaviourRow(
          name: $0.name, contrast: Digest(of: $0.name), questions: Digest(of: $0.name + "?"), pairCount: 200,
          questionCount: 60, read: .answerMean)
      })
    let sweep = try await store.submit(submission).id
    id = sweep
    guard let leader = try await store.acquireLeadership(holder: "test", for: 1e6) else { return sweep }
    let worker = WorkerID("worker")
    try await store.register(
      WorkerRegistration(
        id: worker, host: "host", process: 7, version: "1.0.0", numericsVersion: SweepRecords.numericsVersion,
        cpu: "x86-64-v3", threads: 2))
    let tasks = results.enumerated().map { index, entry in
      TaskDefinition(
        key: Digest(of: "task \(index)"), kind: entry.kind, work: #"{"task":\#(index)}"#, dependencies: [], files: [],
        layer: 14, title: "\(entry.kind.rawValue) \(index)", estimate: 1)
    }
    _ = try await store.expand(
      sweep, with: PlanChunk(from: 0, to: tasks.count, tasks: tasks, isLast: true), as: leader)
    let known = try await store.tasks(withKeys: tasks.map(\.key))
    for status in known {
      guard let index = tasks.firstIndex(where: { $0.key == status.key }) else { continue }
      for claimed in try await store.claim([status.id], worker: worker, for: 1e6) {
        _ = try await store.finish([FinishedTask(lease: claimed.lease, result: results[index].result)], worker: worker)
      }
    }
    _ = try await store.settleSweeps(as: leader)
    return sweep
  }

  /// The sweep of the quickstart: two behaviours, one layer, one SAE and its untrained twin.
  static func realistic(_ behaviours: [Behaviour] = [powerSeeking, sentiment]) -> [(
    kind: TaskKind, result: TaskResult
  )] {
    var rows: [(TaskKind, [TableRow])] = [
      (.statistics, [statistics(layer: 14)]), (.trainSAE, [sae("trained-1024", untrained: false)]),
    ]
    for behaviour in behaviours {
      rows.append((.vectors, vectors(behaviour)))
      rows.append((.decompose, decompositions(behaviour)))
      rows.append((.score, scores(behaviour)))
    }
    rows.append((.decompose, [sae("untrained-trained-1024", untrained: true)]))
    return rows.map {
      ($0.0, TaskResult(artifacts: [Artifact(name: $0.0.rawValue, bytes: Array("bytes".utf8))], rows: $0.1))
    }
  }
}

/// A clock that goes on by 1.5 s every time it is asked.
private final class SteppingClock: Sendable {
  private let lock = NSLock()
  private nonisolated(unsafe) var time = 1_700_000_000.0  // Guarded by `lock`.

  func next() -> Double {
    lock.withLock {
      time += 1.5
      return time
    }
  }
}

// MARK: Rows

extension FakeSweep {
  static let coefficients = [-2.0, -1, 0, 1, 2]

  static func statistics(layer: Int) -> TableRow {
    let edges = (0...40).map { 95 + Double($0) * 5 }
    let counts = (0..<40).map { (exp(-pow(Double($0) - 11, 2) / 40) * 2400).rounded() }
    let json = #"{"edges":\#(edges),"counts":\#(counts)}"#
    return TableRow(
      .activationStatistics,
      [
        "layer": .integer(layer), "tokens": 20000, "excluded": 160, "mean_norm": 155.2, "norm_min": 98.5,
        "norm_p01": 108, "norm_p05": 117, "norm_p25": 138, "norm_p50": 152, "norm_p75": 171, "norm_p95": 204,
        "norm_p99": 240, "norm_max": 295, "mean_vector_norm": 61, "norm_histogram": .text(json),
      ])
  }

  static func sae(_ name: String, untrained: Bool) -> TableRow {
    TableRow(
      .sae,
      [
        "name": .text(name), "layer": 14, "width": 1024, "architecture": "jumprelu",
        "source": .text(untrained ? "untrained" : "trained"), "digest": .text(Digest(of: name).hex), "l0": 38.4,
        "explained_variance": .real(untrained ? 0.19 : 0.653), "dead_share": .real(untrained ? 0 : 0.021),
        "tokens": 20000, "steps": untrained ? .null : 900, "threshold": 3.1,
      ])
  }

  static func vectors(_ behaviour: Behaviour) -> [TableRow] {
    ["original", "pca", "shuffled-0", "random-0", "random-1", "random-2", "random-3"].map { name in
      TableRow(
        .steeringVector,
        [
          "behaviour": .text(behaviour.name), "layer": 14, "name": .text(name), "norm": .real(behaviour.norm),
          "pairs": 200, "cosine_with_original": name == "original" ? 1 : 0.03,
        ])
    }
  }

  static func decompositions(_ behaviour: Behaviour) -> [TableRow] {
    var rows: [TableRow] = []
    for sae in ["trained-1024", "untrained-trained-1024"] {
      let isUntrained = sae.hasPrefix("untrained")
      for (method, sparsity, share) in behaviour.kept {
        let ratio = method == "encode" ? 140 / behaviour.norm : method == "encode-scaled" ? 7.2 : 0.93
        rows.append(
          decomposition(behaviour, sae: sae, method: method, sparsity: sparsity, cosine: share, ratio: ratio))
        rows[rows.count - 1].cells["zero_overlap"] = .real(
          isUntrained ? 0.86 : method == "encode-scaled" ? 0.31 : behaviour.overlap)
        guard !isUntrained else { continue }
        rows += features(behaviour, sae: sae, method: method, sparsity: sparsity)
      }
    }
    return rows
  }

  private static func decomposition(
    _ behaviour: Behaviour, sae: String, method: String, sparsity: String, cosine: Double, ratio: Double
  ) -> TableRow {
    TableRow(
      .decomposition,
      [
        "behaviour": .text(behaviour.name), "layer": 14, "sae": .text(sae), "width": 1024, "method": .text(method),
        "sparsity": .text(sparsity),
        "convention": .text(DecompositionNaming.steeredConvention(of: method)), "input_convention": "b_dec-kept",
        "configured": 1, "coefficient": 1, "vector_norm": .real(behaviour.norm), "norm_percentile": 0,
        "l0": .integer(Int(sparsity) ?? 51), "cosine": .real(cosine), "relative_error": .real(1 - cosine * 0.6),
        "norm_ratio": .real(ratio), "negative_share": method.hasSuffix("signed") ? 0.44 : 0, "zero_l0": 47,
        "zero_jaccard": .real(behaviour.overlap * 0.88), "zero_mass_share": .real(behaviour.overlap * 0.95),
        "zero_cosine": 0.93, "top10_overlap": 0.9, "bias_share": .real(behaviour.overlap * 0.9), "negative_top100": 47,
        "negative_projection_top100": 39, "random_negative_top100": 49.6,
        "negative_energy": method.hasSuffix("signed") ? 0.44 : .null, "spurious_features": 6,
        "worst_spurious_feature": 411, "worst_spurious_partner": 97, "worst_spurious_cosine": -0.71,
      ])
  }

  private static func features(_ behaviour: Behaviour, sae: String, method: String, sparsity: String) -> [TableRow] {
    (0..<20).map { rank in
      let size = 9.5 / (1 + 0.35 * Double(rank))
      let sign = method == "encode" || rank % 5 < 3 ? 1.0 : -1.0
      let tokens = #"[" power"," control","\n\n","<b>","influence\u202Eover"]"#
      return TableRow(
        .decompositionFeature,
        [
          "behaviour": .text(behaviour.name), "layer": 14, "sae": .text(sae), "method": .text(method),
          "sparsity": .text(sparsity), "convention": .text(DecompositionNaming.steeredConvention(of: method)),
          "rank": .integer(rank), "feature": .integer((rank * 37 + 11) % 1024), "coefficient": .real(size * sign),
          "projection": .real(size * (rank % 5 < 3 ? 1 : -1) * 0.8), "in_zero_vector": rank % 7 < 6 ? 1 : 0,
          "promoted_tokens": .text(tokens),
        ])
    }
  }

  static func scores(_ behaviour: Behaviour) -> [TableRow] {
    var rows: [TableRow] = []
    func add(_ variant: Variant, _ slope: Double, error: Double? = nil) {
      rows += steering(behaviour, variant, slope: slope, error: error ?? behaviour.error * 0.8)
    }
    add(Variant("original"), behaviour.original, error: behaviour.error)
    for (index, noise) in [-0.14, 0.06, 0.11, -0.03].enumerated() {
      add(Variant("random-\(index)"), behaviour.original * noise)
    }
    add(Variant("shuffled-0"), behaviour.original * 0.09)
    for norm in ["raw", "matched"] {
      let factor = norm == "raw" ? 1.4 : 1
      for (method, sparsity, share) in behaviour.kept {
        let convention = DecompositionNaming.steeredConvention(of: method)
        func variant(_ name: String, _ sae: String) -> Variant {
          Variant(name, sae: sae, method: method, sparsity: sparsity, convention: convention, norm: norm)
        }
        add(variant("reconstruction", "trained-1024"), behaviour.original * share * factor)
        if (method == "encode" && sparsity == "all") || (method == "gradient-pursuit-signed" && sparsity == "32") {
          let untrained = method == "encode" ? -0.02 : 0.5
          add(variant("untrained-dictionary", "untrained-trained-1024"), behaviour.original * untrained * factor)
        }
      }
      add(Variant("zero-vector", sae: "trained-1024", norm: norm), behaviour.original * behaviour.zero * factor)
    }
    return rows
  }

  /// The score and the curve of one variant.
  static func steering(
    _ behaviour: Behaviour, _ variant: Variant, slope: Double?, error: Double?, questions: Int = 60,
    coefficients: [Double] = FakeSweep.coefficients, sideEffects: Bool = true
  ) -> [TableRow] {
    let shared: [String: Cell] = [
      "behaviour": .text(behaviour.name), "layer": 14, "variant": .text(variant.name), "sae": Cell(variant.sae),
      "method": Cell(variant.method), "sparsity": Cell(variant.sparsity), "convention": Cell(variant.convention),
      "norm": .text(variant.norm), "unit": "vector", "positions": "scored", "score": "per-token",
      "n": .integer(questions),
    ]
    let score: [String: Cell] = [
      "slope": Cell(slope), "slope_error": Cell(error), "anti_steerable_share": 0.12, "spearman": 0.97,
    ]
    let points = coefficients.map { coefficient in
      let bend = (slope ?? 0) * coefficient * (1 - 0.06 * abs(coefficient))
      let cells: [String: Cell] = [
        "coefficient": .real(coefficient), "propensity": .real(0.4 + bend), "propensity_error": 0.21,
        "probability": .real(0.6), "accuracy": 0.65,
        "cross_entropy_change": sideEffects ? .real(0.02 * coefficient * coefficient * (1 + (slope ?? 0))) : .null,
      ]
      return TableRow(.evaluation, shared.merging(cells) { $1 })
    }
    return [TableRow(.steerabilityScore, shared.merging(score) { $1 })] + points
  }
}
