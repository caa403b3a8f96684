internal import Foundation
internal import Storage
internal import SweepRecords
internal import TensorFiles

/// The queries behind a report. A sweep's id is made of hexadecimal digits and can't carry SQL; it is quoted all the same.
struct ReportSource {
  typealias Keyed<Row> = (key: CaseKey, row: Row)

  private let store: any ResultStore
  private let sweepID: String

  init(store: any ResultStore, sweep: SweepID) {
    self.store = store
    sweepID = "'" + sweep.text.replacing("'", with: "''") + "'"
  }

  /// The tasks of the sweep, to be joined with a result table.
  private func ofSweep(_ table: String) -> String {
    "FROM \(table) r JOIN sweep_task st ON st.task = r.task JOIN sweep s ON s.number = st.sweep WHERE s.id = \(sweepID)"
  }

  private func keyed<Row>(_ sql: String, _ transform: (RowReader) -> Row?) async throws -> [Keyed<Row>] {
    try await store.read(sql) { row in
      guard let behaviour = row.text("behaviour"), let layer = row.integer("layer"), let value = transform(row) else {
        return nil
      }
      return (CaseKey(behaviour: behaviour, layer: layer), value)
    }
  }

  private static func variant(_ row: RowReader) -> Variant {
    Variant(
      row.text("variant") ?? "", sae: row.text("sae"), method: row.text("method"), sparsity: row.text("sparsity"),
      convention: row.text("convention"), norm: row.text("norm") ?? "raw")
  }

  func curves() async throws -> [Keyed<(settings: ReportData.Settings, point: CurvePoint)>] {
    try await keyed(
      """
      SELECT behaviour, layer, variant, sae, method, sparsity, convention, norm, coefficient, propensity,
        propensity_error, n, cross_entropy_change, unit, positions, score
      FROM steering_curve WHERE sweep_id = \(sweepID)
      ORDER BY behaviour, layer, variant, sae NULLS FIRST, method NULLS FIRST, sparsity NULLS FIRST,
        convention NULLS FIRST, norm, coefficient
      """
    ) { row in
      guard let coefficient = row.number("coefficient") else { return nil }
      let point = CurvePoint(
        variant: Self.variant(row), coefficient: coefficient, propensity: row.number("propensity"),
        error: row.number("propensity_error"), questions: row.integer("n"),
        crossEntropyChange: row.number("cross_entropy_change"))
      let settings = ReportData.Settings(
        unit: row.text("unit") ?? "", positions: row.text("positions") ?? "", score: row.text("score") ?? "")
      return (settings, point)
    }
  }

  func slopes() async throws -> [Keyed<Slope>] {
    try await keyed(
      """
      SELECT behaviour, layer, variant, sae, method, sparsity, convention, norm, slope, slope_error,
        anti_steerable_share, spearman, n, slope_letter_a, slope_letter_b, relative_slope
      FROM steerability WHERE sweep_id = \(sweepID)
      ORDER BY behaviour, layer, variant, sae NULLS FIRST, method NULLS FIRST, sparsity NULLS FIRST,
        convention NULLS FIRST, norm
      """
    ) { row in
      Slope(
        variant: Self.variant(row), slope: row.number("slope"), error: row.number("slope_error"),
        questions: row.integer("n"), antiSteerableShare: row.number("anti_steerable_share"),
        spearman: row.number("spearman"), slopeLetterA: row.number("slope_letter_a"),
        slopeLetterB: row.number("slope_letter_b"), share: row.number("relative_slope"))
    }
  }

  func decompositions() async throws -> [Keyed<DecompositionRow>] {
    try await keyed(
      """
      SELECT r.behaviour, r.layer, r.sae, r.width, r.method, r.sparsity, r.convention, r.input_convention, r.configured,
        r.vector_norm, r.norm_percentile, r.l0, r.cosine, r.relative_error, r.norm_ratio, r.negative_share,
        r.zero_overlap
      \(ofSweep("decomposition")) AND r.coefficient = 1
      ORDER BY r.behaviour, r.layer, r.sae, r.method, r.sparsity, r.convention, r.input_convention
      """
    ) { row in
      guard let sae = row.text("sae"), let method = row.text("method"), let sparsity = row.text("sparsity") else {
        return nil
      }
      return DecompositionRow(
        sae: sae, width: row.integer("width"), method: method, sparsity: sparsity,
        convention: row.text("convention") ?? "", inputConvention: row.text("input_convention") ?? "",
        isConfigured: row.flag("configured") ?? false, vectorNorm: row.number("vector_norm"),
        normPercentile: row.number("norm_percentile"), l0: row.integer("l0"), cosine: row.number("cosine"),
        relativeError: row.number("relative_error"), normRatio: row.number("norm_ratio"),
        negativeShare: row.number("negative_share"),
        zeroOverlap: row.number("zero_overlap"))
    }
  }

  func dominance() async throws -> [Keyed<BiasDominance>] {
    try await keyed("SELECT * FROM bias_dominance WHERE sweep_id = \(sweepID) ORDER BY behaviour, layer, sae") { row in
      guard let sae = row.text("sae") else { return nil }
      return BiasDominance(
        sae: sae, normPercentile: row.number("norm_percentile"), l0: row.integer("l0"), zeroL0: row.integer("zero_l0"),
        overlap: row.number("zero_overlap"), jaccard: row.number("zero_jaccard"),
        massShare: row.number("zero_mass_share"), cosine: row.number("zero_cosine"),
        biasShare: row.number("bias_share"), top10Overlap: row.number("top10_overlap"))
    }
  }

  func negatives() async throws -> [Keyed<NegativeProjections>] {
    try await keyed(
      "SELECT * FROM negative_projections WHERE sweep_id = \(sweepID) ORDER BY behaviour, layer, sae"
    ) { row in
      guard let sae = row.text("sae") else { return nil }
      return NegativeProjections(
        sae: sae, negativeTop100: row.integer("negative_top100"),
        negativeProjectionTop100: row.integer("negative_projection_top100"),
        randomNegativeTop100: row.number("random_negative_top100"), negativeEnergy: row.number("negative_energy"),
        energyMethod: row.text("energy_method"), energySparsity: row.text("energy_sparsity"),
        spuriousFeatures: row.integer("spurious_features"), worstFeature: row.integer("worst_spurious_feature"),
        worstPartner: row.integer("worst_spurious_partner"), worstCosine: row.number("worst_spurious_cosine"))
    }
  }

  /// The highest-ranked features of every decomposition.
  func features() async throws -> [Keyed<FeatureRow>] {
    try await keyed(
      """
      SELECT r.behaviour, r.layer, r.sae, r.method, r.sparsity, r.convention, r.rank, r.feature, r.coefficient,
        r.projection, r.in_zero_vector, r.promoted_tokens
      \(ofSweep("decomposition_feature")) AND r.rank <= 100
      ORDER BY r.behaviour, r.layer, r.sae, r.method, r.sparsity, r.convention, r.rank
      """
    ) { row in
      guard let sae = row.text("sae"), let method = row.text("method"), let rank = row.integer("rank"),
        let feature = row.integer("feature")
      else { return nil }
      return FeatureRow(
        sae: sae, method: method, sparsity: row.text("sparsity") ?? "", convention: row.text("convention") ?? "",
        rank: rank, feature: feature, coefficient: row.number("coefficient"), projection: row.number("projection"),
        isInZeroVector: row.flag("in_zero_vector"), promotedTokens: Self.strings(row.text("promoted_tokens")))
    }
  }

  func vectors() async throws -> [Keyed<VectorRow>] {
    try await keyed(
      """
      SELECT r.behaviour, r.layer, r.name, r.norm, r.pairs, r.cosine_with_original
      \(ofSweep("steering_vector")) ORDER BY r.behaviour, r.layer, r.name
      """
    ) { row in
      VectorRow(
        name: row.text("name") ?? "", norm: row.number("norm"), pairs: row.integer("pairs"),
        cosineWithOriginal: row.number("cosine_with_original"))
    }
  }

  /// The coefficient axis of every vector that went through an encoder.
  func axes() async throws -> [Keyed<CoefficientAxisRow>] {
    let places: [Keyed<(sae: String, digest: Digest)>] = try await keyed(
      """
      SELECT DISTINCT r.behaviour, r.layer, r.sae, ta.artifact
      FROM decomposition r JOIN task_artifact ta ON ta.task = r.task AND ta.name = 'reconstructions'
      JOIN sweep_task st ON st.task = r.task JOIN sweep s ON s.number = st.sweep
      WHERE s.id = \(sweepID) AND r.method = 'encode' ORDER BY r.behaviour, r.layer, r.sae, ta.artifact
      """
    ) { row in
      guard let sae = row.text("sae"), let digest = row.text("artifact").flatMap({ Digest(hex: $0) }) else {
        return nil
      }
      return (sae, digest)
    }
    var axes: [Keyed<CoefficientAxisRow>] = []
    for (key, place) in places {
      // A page without this chart is better than no page.
      guard let bytes = try await store.artifact(place.digest),
        let file = try? SafetensorsFile(bytes: bytes, name: "artifact \(place.digest.short)"),
        let axis = try? CoefficientAxisRow(file, behaviour: key.behaviour, sae: place.sae)
      else { continue }
      axes.append((key, axis))
    }
    return axes
  }

  private static func strings(_ json: String?) -> [String] {
    json.flatMap { try? JSONDecoder().decode([String].self, from: Data($0.utf8)) } ?? []
  }
}

// MARK: What belongs to no behaviour

extension ReportSource {
  func saes() async throws -> [SAERow] {
    let rows: [SAERow] = try await store.read(
      """
      SELECT DISTINCT r.name, r.layer, r.width, r.architecture, r.source, r.digest, r.l0, r.explained_variance,
        r.dead_share, r.tokens, r.steps
      \(ofSweep("sae")) ORDER BY r.layer, r.name
      """
    ) { row in
      guard let name = row.text("name"), let layer = row.integer("layer") else { return nil }
      return SAERow(
        name: name, layer: layer, width: row.integer("width"), architecture: row.text("architecture"),
        source: row.text("source"), digest: row.text("digest"), l0: row.number("l0"),
        explainedVariance: row.number("explained_variance"), deadShare: row.number("dead_share"),
        tokens: row.integer("tokens"), steps: row.integer("steps"))
    }
    return rows.sorted { a, b in
      a.layer != b.layer
        ? a.layer < b.layer
        : a.isUntrained != b.isUntrained ? !a.isUntrained : naturallyPrecedes(a.name, b.name)
    }
  }

  func norms() async throws -> [ActivationNorms] {
    try await store.read("SELECT r.* \(ofSweep("activation_statistics")) ORDER BY r.layer") { row in
      guard let layer = row.integer("layer") else { return nil }
      return ActivationNorms(
        layer: layer, tokens: row.integer("tokens"), excluded: row.integer("excluded"),
        minimum: row.number("norm_min"), percentile1: row.number("norm_p01"), percentile5: row.number("norm_p05"),
        median: row.number("norm_p50"), percentile95: row.number("norm_p95"), percentile99: row.number("norm_p99"),
        maximum: row.number("norm_max"), histogram: row.text("norm_histogram").flatMap { NormHistogram(json: $0) })
    }
  }

  func stages() async throws -> [StageTimes] {
    let stages: [StageTimes] = try await store.read(
      """
      SELECT kind, tasks, seconds, longest, first_start, last_end FROM stage_time WHERE sweep_id = \(sweepID)
      """
    ) { row in
      guard let kind = row.text("kind"), let from = row.number("first_start"), let to = row.number("last_end") else {
        return nil
      }
      return StageTimes(
        kind: kind, tasks: row.integer("tasks") ?? 0, seconds: row.number("seconds") ?? 0,
        longest: row.number("longest") ?? 0, from: from, to: to)
    }
    let order = TaskKind.allCases.map(\.rawValue)
    return stages.sorted { (order.firstIndex(of: $0.kind) ?? .max) < (order.firstIndex(of: $1.kind) ?? .max) }
  }

  func programs() async throws -> [ComputingProgram] {
    try await store.read(
      """
      SELECT w.version, w.numerics_version, w.cpu, w.threads, count(DISTINCT r.task) AS tasks
      FROM task_attempt r JOIN worker w ON w.id = r.worker JOIN sweep_task st ON st.task = r.task
      JOIN sweep s ON s.number = st.sweep
      WHERE s.id = \(sweepID) AND r.outcome = 'done'
      GROUP BY w.version, w.numerics_version, w.cpu, w.threads
      ORDER BY tasks DESC, w.version, w.cpu, w.threads
      """
    ) { row in
      guard let version = row.text("version") else { return nil }
      return ComputingProgram(
        version: version, numericsVersion: row.integer("numerics_version"), cpu: row.text("cpu") ?? "",
        threads: row.integer("threads"), tasks: row.integer("tasks") ?? 0)
    }
  }
}

extension NormHistogram {
  /// Reads `{"edges": [...], "counts": [...]}`; nil unless it is one.
  init?(json: String) {
    struct Stored: Decodable {
      var edges: [Double]
      var counts: [Double]
    }
    guard let stored = try? JSONDecoder().decode(Stored.self, from: Data(json.utf8)), !stored.counts.isEmpty,
      stored.edges.count == stored.counts.count + 1,
      zip(stored.edges, stored.edges.dropFirst()).allSatisfy({ $0 < $1 }),
      (stored.edges + stored.counts).allSatisfy(\.isFinite), stored.counts.allSatisfy({ $0 >= 0 })
    else { return nil }
    edges = stored.edges
    counts = stored.counts
  }
}
