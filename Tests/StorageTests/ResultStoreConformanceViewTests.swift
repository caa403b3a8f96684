import Storage
import SweepRecords
import Testing

/// The views, on rows made up so that every number can be told beforehand.
@Suite struct ResultStoreConformanceViewTests {
  private func slope(
    _ variant: String, _ method: String? = nil, _ sparsity: String? = nil, sae: String? = nil, norm: String = "matched",
    convention: String? = nil, slope: Double, error: Double? = 0.1
  ) -> TableRow {
    TableRow(
      .steerabilityScore,
      [
        "behaviour": "power", "layer": 14, "variant": .text(variant), "sae": Cell(sae ?? (method == nil ? nil : "s1")),
        "method": Cell(method), "sparsity": Cell(sparsity), "convention": Cell(convention), "norm": .text(norm),
        "unit": "vector", "positions": "scored", "score": "per-token", "n": 20, "slope": .real(slope),
        "slope_error": Cell(error), "anti_steerable_share": 0.25, "spearman": 1.0,
      ])
  }

  private func decomposition(
    _ method: String, _ sparsity: String, sae: String = "s1", convention: String = "without-bias", configured: Int = 1,
    coefficient: Double = 1, _ more: [String: Cell] = [:]
  ) -> TableRow {
    let cells: [String: Cell] = [
      "behaviour": "power", "layer": 14, "sae": .text(sae), "width": 2048, "method": .text(method),
      "sparsity": .text(sparsity), "convention": .text(convention), "configured": .integer(configured),
      "input_convention": configured == 1 ? "b_dec-kept" : "b_dec-subtracted", "coefficient": .real(coefficient),
    ]
    return TableRow(.decomposition, cells.merging(more) { $1 })
  }

  /// A store with a sweep of one task that left these rows, shared by a second sweep.
  private func store(_ kind: StoreKind, _ rows: [TableRow]) async throws -> any ResultStore {
    let store = try await StoreFixture(kind).open()
    let leader = try await store.lead()
    try await store.register(WorkerRegistration("worker"))
    for name in ["a", "b"] { try await store.add(SweepSubmission(name), [.init("x")], as: leader) }
    try await store.add(SweepSubmission("other"), [.init("y")], as: leader)
    try await store.run("x", leaving: TaskResult(rows: rows))
    return store
  }

  @Test(arguments: StoreKind.allCases) func `faithfulness is the ratio of slopes`(_ kind: StoreKind) async throws {
    let rows = [
      slope("original", norm: "raw", slope: 0.5), slope("random-0", slope: 0.05),
      slope("reconstruction", "encode", "all", convention: "with-bias", slope: 0.1),
      slope("reconstruction", "encode", "all", norm: "raw", convention: "with-bias", slope: -1),
      slope("reconstruction", "gradient-pursuit-signed", "32", slope: 0.4),
      slope("untrained-dictionary", "encode", "all", sae: "untrained", slope: 0.2),
      decomposition("encode", "all", convention: "with-bias", ["cosine": 0.5, "relative_error": 0.75, "l0": 40]),
      decomposition("encode", "all", convention: "without-bias", ["cosine": 0.1]),
      decomposition("encode", "all", convention: "with-bias", coefficient: 2, ["cosine": 0.2]),
      decomposition("encode", "all", convention: "with-bias", configured: 0, ["cosine": 0.3]),
      decomposition("gradient-pursuit-signed", "32", ["cosine": 0.875, "l0": 32]),
    ]
    let store = try await store(kind, rows)
    let found = try await store.table(
      """
      SELECT sweep, method, sparsity, norm, faithfulness, cosine, relative_error, l0 FROM faithfulness
      WHERE sweep = 'b' ORDER BY method, norm
      """)
    #expect(
      found == [
        "b|encode|all|matched|0.2|0.5|0.75|40", "b|encode|all|raw|-2.0|0.5|0.75|40",
        "b|gradient-pursuit-signed|32|matched|0.8|0.875|-|32",
      ])
    #expect(try await store.table("SELECT count(*), count(DISTINCT sweep_id) FROM faithfulness") == ["6|2"])
    let relative = try await store.table(
      "SELECT variant, relative_slope FROM steerability WHERE sweep = 'a' AND norm = 'matched' ORDER BY relative_slope")
    #expect(
      relative == ["random-0|0.1", "reconstruction|0.2", "untrained-dictionary|0.4", "reconstruction|0.8"])
    #expect(
      try await store.table("SELECT relative_slope FROM steerability WHERE sweep = 'a' AND variant = 'original'") == [
        "1.0"
      ])
  }

  @Test(arguments: StoreKind.allCases) func `an original that does not steer makes no ratio`(_ kind: StoreKind)
    async throws
  {
    for (original, error, expected) in [
      (0.195, 0.1, "-"), (-0.195, 0.1, "-"), (0.0, 0.0, "-"), (0.5, nil, "-"), (-0.25, 0.125, "-0.5"),
      (0.25, 0.0, "0.5"),
    ] as [(Double, Double?, String)] {
      let rows = [
        slope("original", norm: "raw", slope: original, error: error),
        slope("reconstruction", "encode", "8", slope: 0.125),
      ]
      let store = try await store(kind, rows)
      #expect(
        try await store.table("SELECT faithfulness FROM faithfulness WHERE sweep = 'a'") == [expected], "\(original)")
    }
  }

  @Test(arguments: StoreKind.allCases) func `methods are ranked at equal sparsity`(_ kind: StoreKind) async throws {
    let rows = [
      slope("original", norm: "raw", slope: 1), slope("reconstruction", "encode", "8", slope: 0.25),
      slope("reconstruction", "encode", "8", sae: "s2", slope: 0.5),
      slope("reconstruction", "gradient-pursuit", "8", slope: 0.75),
      slope("reconstruction", "gradient-pursuit", "8", norm: "raw", slope: 9),
      slope("reconstruction", "encode", "16", slope: 0.125),
    ]
    let found = try await store(kind, rows).table(
      "SELECT sparsity, rank, method, sae, faithfulness FROM best_method WHERE sweep = 'a' ORDER BY sparsity, rank")
    #expect(found == ["16|1|encode|s1|0.125", "8|1|gradient-pursuit|s1|0.75", "8|2|encode|s2|0.5"])
  }

  @Test(arguments: StoreKind.allCases) func `bias and negative projections have a row a vector and SAE`(
    _ kind: StoreKind
  ) async throws {
    let rows = [
      decomposition("encode", "8", convention: "with-bias", ["zero_overlap": 0.1]),
      decomposition(
        "encode", "all", convention: "with-bias", ["zero_overlap": 0.9, "norm_percentile": 1.5, "bias_share": 0.7]),
      decomposition("encode", "all", convention: "without-bias", ["zero_overlap": 0.9]),
      decomposition("encode", "all", convention: "with-bias", configured: 0, ["zero_overlap": 0.3]),
      decomposition("encode", "all", sae: "s2", convention: "with-bias", ["zero_overlap": 0.4]),
      decomposition(
        "pair-difference", "all",
        [
          "negative_top100": 47, "negative_projection_top100": 30, "random_negative_top100": 49.5,
          "negative_energy": 0.125,
        ]),
      decomposition("gradient-pursuit-signed", "8", ["negative_energy": 0.25]),
      decomposition("gradient-pursuit-signed", "32", ["negative_energy": 0.375]),
      decomposition(
        "encode-scaled", "all",
        [
          "spurious_features": 3, "worst_spurious_feature": 7, "worst_spurious_partner": 9,
          "worst_spurious_cosine": -0.75,
        ]),
    ]
    let store = try await store(kind, rows)
    #expect(
      try await store.table(
        "SELECT sae, zero_overlap, norm_percentile, bias_share FROM bias_dominance WHERE sweep = 'a' ORDER BY sae")
        == ["s1|0.9|1.5|0.7", "s2|0.4|-|-"])
    #expect(
      try await store.table(
        """
        SELECT sae, negative_top100, negative_projection_top100, random_negative_top100, negative_energy, energy_method,
          energy_sparsity, spurious_features, worst_spurious_feature, worst_spurious_partner, worst_spurious_cosine
        FROM negative_projections WHERE sweep = 'b' ORDER BY sae
        """) == ["s1|47|30|49.5|0.375|gradient-pursuit-signed|32|3|7|9|-0.75", "s2|-|-|-|-|-|-|-|-|-|-"])
  }

  @Test(arguments: StoreKind.allCases) func `every table takes its rows`(_ kind: StoreKind) async throws {
    let variant: [String: Cell] = [
      "behaviour": "power", "layer": 14, "variant": "original", "norm": "raw", "coefficient": -1.5, "propensity": 0.5,
    ]
    let settings: [String: Cell] = ["unit": "vector", "positions": "scored", "score": "sum", "n": 3]
    let rows = [
      TableRow(.evaluation, variant.merging(settings) { $1 }),
      TableRow(.evaluationQuestion, variant.merging(["question": 2, "probability": 0.5]) { $1 }),
      TableRow(.activationStatistics, ["layer": 14, "tokens": 9, "norm_p50": 2.5, "norm_histogram": "{}"]),
      TableRow(.steeringVector, ["behaviour": "power", "layer": 14, "name": "original", "norm": 3.5, "pairs": 4]),
      TableRow(
        .decompositionFeature,
        [
          "behaviour": "power", "layer": 14, "sae": "s", "method": "encode", "sparsity": "8", "convention": "with-bias",
          "rank": 0, "feature": 77, "coefficient": 0.5, "projection": -0.5, "in_zero_vector": 1,
          "promoted_tokens": "[]",
        ]),
    ]
    let store = try await store(kind, rows)
    #expect(
      try await store.table(
        "SELECT sweep, behaviour, layer, variant, sae, coefficient, propensity, n FROM steering_curve ORDER BY 1")
        == ["a|power|14|original|-|-1.5|0.5|3", "b|power|14|original|-|-1.5|0.5|3"])
    for row in rows { #expect(try await store.table("SELECT count(*) FROM \(row.table.rawValue)") == ["1"]) }
    // The same row once more, nulls and all, is a conflict.
    let again = try await self.store(kind, [])
    let leader = try await again.lead()
    for row in rows {
      try await again.add(SweepSubmission("again \(row.table)"), [.init("\(row.table)")], as: leader)
      let task = try #require(try await again.claim(["\(row.table)"], by: "worker").first)
      await #expect(throws: StoreError.self) {
        try await again.finish(task, by: "worker", TaskResult(rows: [row, row]))
      }
    }
  }
}
