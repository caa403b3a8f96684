import Diagnostics
import Kernels
import SparseAutoencoders
import SweepRecords
import Testing

@testable import Decomposition

/// The methods against their definitions, through SAEs that SAELens made.
struct DecomposerTests {
  /// Two vectors with pairs; the third input is the mean activation.
  private func request(
    _ name: String, _ methods: [DecompositionMethod] = DecompositionMethod.allCases,
    _ sparsities: [Sparsity] = [.atoms(4), .all], coefficients: [Double] = [1]
  ) throws -> DecompositionRequest {
    let input = try Golden.input(name)
    let pairs = PairActivations(positive: input.rows(0..<2), negative: input.rows(2..<5))
    return DecompositionRequest(
      subjects: [
        .init(behaviour: "a", vector: input.row(0), pairs: pairs), .init(behaviour: "b", vector: input.row(1)),
      ], methods: methods, sparsities: sparsities, coefficients: coefficients,
      activations: ActivationReference(norms: [3, 5, 7, 20], mean: input.row(5)), amplitude: 0.5, seed: 3)
  }

  private func difference(_ a: [Float], _ b: [Float], over divisor: Float = 1) -> [Float] {
    zip(a, b).map { ($0 - $1) / divisor }
  }

  @Test(arguments: Golden.autoencoders)
  func methodsAreWhatTheyAreDefinedAs(_ name: String) throws {
    let autoencoder = try Golden.autoencoder(name)
    let input = try Golden.input(name)
    let found = try variants(autoencoder, try request(name)).filter { $0.behaviour == "a" }
    let vector = input.row(0)
    func g(_ vector: [Float]) -> [Float] {
      autoencoder.reconstruct(Matrix([vector], columns: vector.count), pool: pool).elements
    }
    func f(_ vector: [Float]) -> [Float] {
      autoencoder.encode(Matrix([vector], columns: vector.count), pool: pool).dense().row(0)
    }
    let encoded = try found.stored(.encode, .all, "with-bias")
    #expect(encoded.code == SignedCode(dense: f(vector)))
    #expect(relativeDifference(encoded.reconstruction, g(vector)) < 1e-5)
    let s = 6 / norm(vector)
    let scaled = try found.stored(.encodeScaled, .all, "with-bias")
    #expect(relativeDifference(scaled.reconstruction, g(vector.map { $0 * s }).map { $0 / s }) < 2e-4)
    #expect(relativeDifference(scaled.code.dense, f(vector.map { $0 * s }).map { $0 / s }) < 2e-4)
    var point = input.row(5)
    add(0.5, vector, to: &point)
    let anchored = try found.stored(.encodeAnchored)
    #expect(
      relativeDifference(anchored.reconstruction, difference(g(point), g(input.row(5)), over: 0.5)) < 1e-4)
    #expect(relativeDifference(anchored.code.dense, difference(f(point), f(input.row(5)), over: 0.5)) < 1e-4)
    let pairs = try found.stored(.pairDifference)
    let means = [
      autoencoder.reconstruct(input.rows(0..<2), pool: pool), autoencoder.reconstruct(input.rows(2..<5), pool: pool),
    ]
    .map { columnMeans($0).map { Float($0) } }
    #expect(relativeDifference(pairs.reconstruction, difference(means[0], means[1])) < 1e-5)
    let zero = [Float](repeating: 0, count: vector.count)
    let minusZero = try found.stored(.encodeMinusZero)
    if !autoencoder.normalizesEachSample {
      #expect(relativeDifference(minusZero.reconstruction, difference(g(vector), g(zero))) < 2e-4)
    }
    #expect(relativeDifference(minusZero.code.dense, difference(f(vector), f(zero))) < 1e-5)
  }

  @Test(arguments: ["jumprelu", "topk-rescaled", "standard-expected-average"])
  func cutsKeepTheLargestAndPursuitsCountUnitRows(_ name: String) throws {
    let autoencoder = try Golden.autoencoder(name)
    let found = try variants(autoencoder, try request(name)).filter { $0.behaviour == "a" }
    for variant in found where variant.sparsity == .atoms(4) && variant.method == .pairDifference {
      let whole = try found.stored(.pairDifference)
      let largest = whole.code.dense.indices.sorted { abs(whole.code.dense[$0]) > abs(whole.code.dense[$1]) }
      #expect(variant.code.indices.map(Int.init) == largest.prefix(4).sorted())
    }
    let rows = autoencoder.decoderRows(Array(0..<autoencoder.width))
    let vector = try Golden.input(name).row(0)
    for method in DecompositionMethod.allCases where method.isPursuit {
      let variant = try found.stored(method, .atoms(4))
      var sum = [Float](repeating: 0, count: vector.count)
      for feature in variant.features() {
        let row = rows.row(feature.index)
        add(feature.coefficient / norm(row), row, to: &sum)
        #expect(abs(feature.projection - dot(row, vector) / norm(row)) < 1e-4)
      }
      #expect(relativeDifference(variant.reconstruction, sum) < 1e-5)
    }
  }

  @Test func givesEveryVariantOnce() throws {
    let found = try variants(
      try Golden.autoencoder("jumprelu"), try request("jumprelu", coefficients: [2, 1, -1, 2]))
    let rows = found.map { $0.row(layer: 3, sae: "s").cells }
    let keys = rows.map { cells in
      ["behaviour", "method", "sparsity", "convention", "input_convention", "coefficient"].map {
        "\(cells[$0] ?? .null)"
      }
    }
    #expect(Set(keys).count == keys.count)
    // Two bias conventions for two methods, two input conventions for the encoder's; one ladder rung each for 2 and -1.
    let encoders = 2 * (2 + 2 + 1 + 1) * 2
    let others = (2 + 4) + 2
    #expect(found.count { $0.coefficient == 1 && $0.behaviour == "a" } == encoders + others)
    #expect(found.count { $0.behaviour == "b" && $0.method == .pairDifference } == 0)
    #expect(found.count { $0.coefficient != 1 && $0.behaviour == "a" } == 2 * 2 * 2)
    #expect(found.allSatisfy { $0.coefficient == 1 || $0.sparsity == .all })
    let stored = found.filter(\.isStored)
    #expect(Set(stored.map(\.tensor)).count == stored.count)
    #expect(stored.contains { $0.tensor == "a/gradient-pursuit-signed/4/without-bias" })
    #expect(Set(rows[0].keys) == Self.columns)
  }

  /// Those of the table, without `task`.
  static let columns: Set<String> = [
    "behaviour", "layer", "sae", "width", "method", "sparsity", "convention", "input_convention", "configured",
    "coefficient", "vector_norm", "norm_percentile", "l0", "cosine", "relative_error", "norm_ratio", "negative_share",
    "zero_l0", "zero_overlap", "zero_jaccard", "zero_mass_share", "zero_cosine", "top5_overlap", "top10_overlap",
    "top20_overlap", "top50_overlap", "top100_overlap", "bias_share", "negative_top100", "negative_projection_top100",
    "random_negative_top100", "negative_energy", "spurious_features", "worst_spurious_feature",
    "worst_spurious_partner", "worst_spurious_cosine",
  ]

  @Test(arguments: ["gated", "topk-layer-norm"])
  func bitsDependOnNeitherThreadsNorCompany(_ name: String) throws {
    let autoencoder = try Golden.autoencoder(name)
    let all = try request(name, coefficients: [1, -2, 0.5])
    func rows(_ request: DecompositionRequest, threads: Int) throws -> [String: [Cell]] {
      let pool = ThreadPool(threads: threads)
      var rows: [String: [Cell]] = [:]
      for variant in try variants(autoencoder, request, pool: pool) {
        let key = "\(variant.tensor) \(variant.inputConvention) \(variant.coefficient)"
        let cells = variant.row(layer: 0, sae: "").cells.sorted { $0.key < $1.key }.map(\.value)
        rows[key] = cells + variant.reconstruction.map { .real(Double($0)) } + variant.code.values.map { Cell($0) }
      }
      return rows
    }
    let together = try rows(all, threads: 2)
    #expect(try rows(all, threads: 1) == together)
    for method in DecompositionMethod.allCases {
      for subject in all.subjects {
        var one = all
        one.methods = [method]
        one.subjects = [subject]
        for (key, cells) in try rows(one, threads: 1) { #expect(together[key] == cells, "\(key)") }
      }
    }
  }

  /// A ladder's reconstructions share their sums; each is still that of its own code, and the same without the others.
  @Test(arguments: Golden.autoencoders)
  func rungsAreDecodedAsIfTheyWereAlone(_ name: String) throws {
    let autoencoder = try Golden.autoencoder(name)
    // The last two are the same number in float32.
    let coefficients = [-3, -0.5, 0.25, 1, 2, 40, 0.1, 0.1 + 1e-12]
    let together = try variants(autoencoder, request(name, [.encode], [.all], coefficients: coefficients))
    for coefficient in coefficients {
      let found = together.filter { $0.coefficient == coefficient && $0.convention == "without-bias" }
      let alone = try variants(autoencoder, request(name, [.encode], [.all], coefficients: [coefficient]))
        .filter { $0.coefficient == coefficient && $0.convention == "without-bias" }
      #expect(found.count == 4 && found.map(\.reconstruction) == alone.map(\.reconstruction))
      for variant in found where variant.isConfigured {
        let input = try Golden.input(name).row(variant.subject).map { $0 * Float(coefficient) }
        let scales = autoencoder.outputScales(of: Matrix([input], columns: input.count))
        let code = SparseRows(Matrix([variant.code.dense], columns: variant.width))
        let expected = autoencoder.decode(code, addingDecoderBias: false, scales: scales, pool: pool).row(0)
        #expect(relativeDifference(variant.reconstruction, expected) < 1e-5, "\(variant.behaviour) at \(coefficient)")
      }
    }
  }

  @Test func theZeroVectorHasDefinedOutcomes() throws {
    for name in Golden.autoencoders {
      let autoencoder = try Golden.autoencoder(name)
      var request = try request(name)
      request.subjects = [.init(behaviour: "zero", vector: Array(repeating: 0, count: 16))]
      let found = try variants(autoencoder, request)
      #expect(found.allSatisfy { $0.metrics.cosine == nil && $0.metrics.vectorNorm == 0 })
      let encoded = try found.stored(.encode)
      #expect(encoded.code.count == 0 || encoded.metrics.zero.overlap == 1)
      #expect(found.filter { $0.method.isPursuit }.allSatisfy { $0.code.count == 0 && $0.metrics.l0 == 0 })
      #expect(try found.stored(.encodeMinusZero).code.count == 0)
    }
  }

  @Test func theRunCanBeStopped() throws {
    struct Stop: Error {}
    let decomposer = try Decomposer(try Golden.autoencoder("standard"), try request("standard"), pool: pool)
    #expect(throws: Stop.self) { try decomposer.run { _ in throw Stop() } }
    var fractions: [Double] = []
    _ = try decomposer.run(checkpoint: { fractions.append($0) }, each: { _ in })
    #expect(fractions == fractions.sorted() && fractions.first == 0 && fractions.last == 1)
    #expect(throws: Stop.self) {
      try decomposer.run(checkpoint: { if $0 >= 0.5 { throw Stop() } }, each: { _ in })
    }
  }

  @Test func refusesWhatCantBeDecomposed() throws {
    let autoencoder = try Golden.autoencoder("standard")
    let good = try request("standard")
    func refusal(_ change: (inout DecompositionRequest) -> Void) -> InputError? {
      var request = good
      change(&request)
      do {
        _ = try Decomposer(autoencoder, request, pool: pool)
        return nil
      } catch { return error }
    }
    #expect(refusal { _ in } == nil)
    #expect(refusal { $0.subjects[0].vector = [1, 2] }?.subject == "vector a")
    #expect(refusal { $0.subjects[1].vector[3] = .nan }?.subject == "vector b")
    #expect(refusal { $0.subjects[1].vector[3] = 1e30 }?.subject == "vector b")
    #expect(
      refusal { $0.subjects[0].pairs?.negative.rows[1, 2] = .infinity }?.subject == "negative activations of a, row 1")
    #expect(
      refusal { $0.subjects[0].pairs?.positive.rows = Matrix(rows: 0, columns: 16) }?.subject
        == "positive activations of a")
    #expect(refusal { $0.coefficients = [1, .infinity] }?.subject == "coefficient")
    #expect(refusal { $0.coefficients = [1e300] }?.subject == "coefficient")
    #expect(refusal { $0.sparsities = [.atoms(0)] }?.subject == "sparsity")
    #expect(refusal { $0.sparsities = [.all] }?.subject == "sparsity")
    #expect(refusal { $0.activations = .init(medianNorm: nil, mean: nil) }?.subject == "encode-scaled")
    #expect(refusal { $0.activations = .init(medianNorm: 0, mean: nil) }?.subject == "encode-scaled")
    #expect(refusal { $0.activations = .init(medianNorm: 1, mean: nil) }?.subject == "encode-anchored")
    #expect(refusal { $0.activations = .init(medianNorm: 1, mean: [1]) }?.subject == "mean activation")
    #expect(refusal { $0.amplitude = 0 }?.subject == "amplitude")
    #expect(throws: InputError.self) { try DecompositionMethod.named("gradient") }
    #expect(try DecompositionMethod.named("encode-scaled") == .encodeScaled)
    // Beyond float32 on the way.
    var large = good
    large.methods = [.encode]
    large.subjects = [.init(behaviour: "large", vector: Array(repeating: 1e18, count: 16))]
    large.coefficients = [1e25]
    #expect(throws: InputError.self) { try variants(autoencoder, large) }
  }
}
