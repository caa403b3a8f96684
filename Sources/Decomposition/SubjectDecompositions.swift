internal import Diagnostics
internal import Kernels
internal import SparseAutoencoders
internal import SweepRecords

/// Measures all decompositions of one vector of a run.
struct SubjectDecompositions: Sendable {
  private let request: DecompositionRequest
  private let autoencoder: SparseAutoencoder
  private let row: Int
  private let pool: ThreadPool
  private let signs: DecompositionMetrics.SignCounts
  /// d_j . v / ||d_j||, `[F]`.
  private let projections: [Float]
  private let contexts: [SparseAutoencoder.InputConvention: Context]

  /// What depends on the convention of b_dec on the input.
  private struct Context {
    var lines: ValueLines
    var zero: ZeroCode
  }

  private var subject: DecompositionRequest.Subject { request.subjects[row] }

  init(_ request: DecompositionRequest, _ prepared: PreparedDecompositions, row: Int, pool: ThreadPool) {
    self.request = request
    self.row = row
    self.pool = pool
    autoencoder = prepared.encoded.autoencoder
    projections = prepared.projections.row(row)
    let conventions = Set([autoencoder.convention] + request.inputConventions)
    contexts = Dictionary(
      uniqueKeysWithValues: conventions.map {
        let lines = ValueLines(prepared.encoded.encoding, row: row, convention: $0)
        return ($0, Context(lines: lines, zero: prepared.encoded.zeroCode($0)))
      })
    var signs = DecompositionMetrics.SignCounts(randomNegative: prepared.randomNegative)
    if let pairs = prepared.pairs[row] {
      signs.count(pairs.whole.code, slopes: prepared.encoded.encoding.slopes(row), projections: projections)
      let code = prepared.encoded.code(row, coefficient: 1, convention: autoencoder.convention)
      let spurious = SpuriousFeatures.find(in: code, firing: pairs.firing)
      signs.spurious = spurious.count
      signs.worst = SpuriousFeatures.worst(spurious, decoder: prepared.decoder, pool: pool)
    }
    self.signs = signs
  }

  /// Gives out the variants of these places of the plan, in their order.
  func give(
    _ places: Range<Int>, of codes: inout DecodedCodes, to body: (DecompositionVariant) throws -> Void
  ) throws {
    var next = places.lowerBound
    while next < places.upperBound {
      let some = codes.take(next..<places.upperBound)
      next += some.count
      for variants in pool.map(some.count, { variants(of: some[$0]) }) {
        for variant in variants {
          try requireFinite(variant)
          try body(variant)
        }
      }
    }
  }

  private func variants(of code: DecodedCode) -> [DecompositionVariant] {
    zip(code.planned.sparsities, code.cuts).flatMap { variants(of: $1, $0, code) }
  }

  /// A cut code in both conventions, measured.
  private func variants(of cut: CutCode, _ sparsity: Sparsity, _ decoded: DecodedCode) -> [DecompositionVariant] {
    let planned = decoded.planned
    let (method, coefficient) = (planned.method, planned.coefficient)
    guard let context = contexts[planned.convention] else { return [] }
    let vector = coefficient == 1 ? subject.vector : subject.vector.map { $0 * Float(coefficient) }
    let cutActivations = decoded.activations.map {
      WholeCode.Activations(code: $0.code.cut(to: sparsity), amplitude: $0.amplitude)
    }
    let isConfigured = planned.convention == autoencoder.convention
    var common = DecompositionMetrics(vector: vector, code: cut.code, norms: request.activations?.norms ?? [])
    common.zero = DecompositionMetrics.ZeroOverlap(
      cut.code, zero: context.zero, activations: cutActivations, lines: context.lines)
    if isConfigured && coefficient == 1 { common.signs = signs }
    if let energy = cut.negativeEnergy, common.vectorNorm > 0 {
      common.negativeEnergy = energy / (common.vectorNorm * common.vectorNorm)
    }
    return DecompositionNaming.conventions(of: method.rawValue).map { convention in
      let withBias = convention == "with-bias"
      let reconstruction = withBias ? cut.withBias ?? cut.withoutBias : cut.withoutBias
      var metrics = common
      metrics.compare(vector, with: reconstruction)
      return DecompositionVariant(
        subject: row, behaviour: subject.behaviour, method: method, sparsity: sparsity, convention: convention,
        inputConvention: planned.convention, isConfigured: isConfigured, coefficient: coefficient,
        width: autoencoder.width, code: cut.code, reconstruction: reconstruction, metrics: metrics,
        projections: projections, zero: context.zero)
    }
  }

  private func requireFinite(_ variant: DecompositionVariant) throws(InputError) {
    guard firstNonFinite(variant.code.values.span) != nil || firstNonFinite(variant.reconstruction.span) != nil else {
      return
    }
    throw InputError(
      "\(variant.tensor) at coefficient \(variant.coefficient)", expected: "a finite code and reconstruction",
      found: "numbers beyond the range of float32", remedy: "use smaller vectors or coefficients")
  }
}
