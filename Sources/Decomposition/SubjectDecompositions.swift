internal import Diagnostics
internal import Kernels
internal import SparseAutoencoders
internal import SweepRecords

/// All decompositions of one vector of a run.
struct SubjectDecompositions {
  private let decomposer: Decomposer
  private let prepared: PreparedDecompositions
  private let row: Int
  private let signs: DecompositionMetrics.SignCounts
  /// d_j . v / ||d_j||, `[F]`.
  private let projections: [Float]

  private var autoencoder: SparseAutoencoder { decomposer.autoencoder }
  private var request: DecompositionRequest { decomposer.request }
  private var subject: DecompositionRequest.Subject { request.subjects[row] }

  init(_ decomposer: Decomposer, _ prepared: PreparedDecompositions, row: Int) {
    self.decomposer = decomposer
    self.prepared = prepared
    self.row = row
    projections = prepared.projections.row(row)
    var signs = DecompositionMetrics.SignCounts(randomNegative: prepared.randomNegative)
    if let pairs = prepared.pairs[row] {
      signs.count(pairs.whole.code, slopes: prepared.encoded.encoding.slopes(row), projections: projections)
      let code = prepared.encoded.code(row, coefficient: 1, convention: decomposer.autoencoder.convention)
      let spurious = SpuriousFeatures.find(in: code, firing: pairs.firing)
      signs.spurious = spurious.count
      signs.worst = SpuriousFeatures.worst(spurious, decoder: prepared.decoder, pool: decomposer.pool)
    }
    self.signs = signs
  }

  func run(each body: (DecompositionVariant) throws -> Void) throws {
    for convention in inputConventions {
      let context = Context(
        convention: convention, lines: ValueLines(prepared.encoded.encoding, row: row, convention: convention),
        zero: prepared.encoded.zeroCode(convention))
      for method in request.methods where convention == autoencoder.convention || method.dependsOnInputConvention {
        try run(method, context, body)
      }
    }
  }

  /// The SAE's own first.
  private var inputConventions: [SparseAutoencoder.InputConvention] {
    [autoencoder.convention] + request.inputConventions.filter { $0 != autoencoder.convention }
  }

  /// What depends on the convention of b_dec on the input.
  private struct Context {
    var convention: SparseAutoencoder.InputConvention
    var lines: ValueLines
    var zero: ZeroCode
  }

  private func run(
    _ method: DecompositionMethod, _ context: Context, _ body: (DecompositionVariant) throws -> Void
  ) throws {
    let sparsities = DecompositionNaming.sparsities(of: method.rawValue, in: decomposer.sparsities)
    if method.isPursuit {
      let codes = prepared.pursuit(row, method).map { WholeCode.ofUnitRows($0, norms: prepared.decoder.norms) }
      let cuts = reconstructed(codes, to: [.all], method)
      for (sparsity, cut) in zip(sparsities, cuts) {
        try give(cut[0], method, sparsity, 1, context, nil, body)
      }
      return
    }
    guard let whole = whole(method, context.convention) else { return }
    for (sparsity, cut) in zip(sparsities, reconstructed([whole], to: sparsities, method)[0]) {
      try give(cut, method, sparsity, 1, context, whole.activations, body)
    }
    if method == .encode { try climb(sparsities, context, body) }
  }

  /// The ladder of `encode`: every coefficient but 1.
  private func climb(
    _ sparsities: [Sparsity], _ context: Context, _ body: (DecompositionVariant) throws -> Void
  ) throws {
    var seen: Set<Double> = [1]
    let coefficients = request.coefficients.filter { seen.insert($0).inserted }
    guard !coefficients.isEmpty, let fullest = sparsities.last else { return }
    let ladder = CoefficientLadder(
      prepared.encoded.encoding, row: row, convention: context.convention, of: autoencoder, values: context.lines,
      zero: context.zero)
    let cuts = request.cutsLadder ? sparsities : [fullest]
    var start = 0
    while start < coefficients.count {
      let (some, wholes) = rungs(ladder, coefficients[start...])
      start += some.count
      let rungs = reconstructed(wholes, to: cuts, .encode)
      for (index, coefficient) in some.enumerated() {
        for (sparsity, cut) in zip(cuts, rungs[index]) {
          try give(cut, .encode, sparsity, coefficient, context, wholes[index].activations, body)
        }
      }
    }
  }

  /// The codes at as many of the coefficients as 64 MB hold, one at least: a pass over the decoder serves them all, but codes at
  /// large coefficients are dense.
  private func rungs(_ ladder: CoefficientLadder, _ coefficients: ArraySlice<Double>) -> ([Double], [WholeCode]) {
    var (taken, wholes, entries) = ([Double](), [WholeCode](), 0)
    for coefficient in coefficients {
      let factor = Float(coefficient)
      let code = ladder.code(at: factor)
      entries += code.count + autoencoder.dimension
      if !taken.isEmpty && entries > 1 << 23 { break }
      taken.append(coefficient)
      wholes.append(prepared.encoded.encode(row, coefficient: factor, code: code))
    }
    return (taken, wholes)
  }

  private func whole(_ method: DecompositionMethod, _ convention: SparseAutoencoder.InputConvention) -> WholeCode? {
    let encoded = prepared.encoded
    switch method {
    case .encode: return encoded.encode(row, coefficient: 1, convention: convention)
    case .encodeScaled:
      return request.activations?.medianNorm.map {
        encoded.encodeScaled(row, norm: norm(subject.vector), medianNorm: $0, convention: convention)
      }
    case .encodeMinusZero: return encoded.encodeMinusZero(row, convention: convention)
    case .encodeAnchored:
      return encoded.anchor.map { encoded.encodeAnchored(row, convention: convention, anchor: $0) }
    case .pairDifference: return prepared.pairs[row]?.whole
    case .projection: return .projection(projections, norms: prepared.decoder.norms)
    case .gradientPursuit, .gradientPursuitSigned, .matchingPursuit, .matchingPursuitSigned: return nil
    }
  }

  private func reconstructed(
    _ wholes: [WholeCode], to sparsities: [Sparsity], _ method: DecompositionMethod
  ) -> [[CutCode]] {
    Reconstruction(autoencoder: autoencoder, pool: decomposer.pool)
      .cut(wholes, to: sparsities, withNegativeEnergy: method.isSigned)
  }

  /// Measures a cut code and gives it out in both conventions.
  private func give(
    _ cut: CutCode, _ method: DecompositionMethod, _ sparsity: Sparsity, _ coefficient: Double, _ context: Context,
    _ activations: WholeCode.Activations?, _ body: (DecompositionVariant) throws -> Void
  ) throws {
    let vector = coefficient == 1 ? subject.vector : subject.vector.map { $0 * Float(coefficient) }
    let cutActivations = activations.map {
      WholeCode.Activations(code: $0.code.cut(to: sparsity), amplitude: $0.amplitude)
    }
    let overlap = DecompositionMetrics.ZeroOverlap(
      cut.code, zero: context.zero, activations: cutActivations, lines: context.lines)
    let isConfigured = context.convention == autoencoder.convention
    for convention in DecompositionNaming.conventions(of: method.rawValue) {
      let withBias = convention == "with-bias"
      let reconstruction = withBias ? cut.withBias ?? cut.withoutBias : cut.withoutBias
      var metrics = DecompositionMetrics(
        vector: vector, reconstruction: reconstruction, code: cut.code, norms: request.activations?.norms ?? [])
      metrics.zero = overlap
      if isConfigured && coefficient == 1 { metrics.signs = signs }
      if let energy = cut.negativeEnergy, metrics.vectorNorm > 0 {
        metrics.negativeEnergy = energy / (metrics.vectorNorm * metrics.vectorNorm)
      }
      let variant = DecompositionVariant(
        subject: row, behaviour: subject.behaviour, method: method, sparsity: sparsity, convention: convention,
        inputConvention: context.convention, isConfigured: isConfigured, coefficient: coefficient,
        width: autoencoder.width, code: cut.code, reconstruction: reconstruction, metrics: metrics,
        projections: cut.code.indices.map { projections[Int($0)] * Float(coefficient) },
        inZeroVector: cut.code.indices.map { context.zero.contains($0) })
      try requireFinite(variant)
      try body(variant)
    }
  }

  private func requireFinite(_ variant: DecompositionVariant) throws(InputError) {
    guard !variant.code.values.allSatisfy(\.isFinite) || !variant.reconstruction.allSatisfy(\.isFinite) else { return }
    throw InputError(
      "\(variant.tensor) at coefficient \(variant.coefficient)", expected: "a finite code and reconstruction",
      found: "numbers beyond the range of float32", remedy: "use smaller vectors or coefficients")
  }
}
