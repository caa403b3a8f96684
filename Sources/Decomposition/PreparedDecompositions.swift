internal import Kernels
internal import SparseAutoencoders
internal import SweepRecords

/// What the variants of a run are made from: what all methods share, and the pursuits.
struct PreparedDecompositions {
  let encoded: EncodedVectors
  private let readings: VectorReadings
  /// g(f(0)) in the file's own convention, `[d]`.
  let zeroVector: [Float]
  /// Codes of vector and method, one for each numbered sparsity.
  private let pursuits: [Key: [SignedCode]]

  var decoder: DecoderDirections { readings.decoder }
  var projections: Matrix { readings.projections }
  var randomNegative: Double? { readings.randomNegative }
  var pairs: [PairDifference?] { readings.pairs }

  private struct Key: Hashable {
    var row: Int
    var method: DecompositionMethod
  }

  /// - Parameters:
  ///   - memory: what earlier runs through this SAE left; without effect on the result.
  ///   - first: the first batch of the plan's codes, by their places in it: decoded while the decoder is read for the projections,
  ///     where these are not kept.
  /// - Throws: `InputError` for weights that are not finite, and what `checkpoint` throws.
  init(
    _ plan: DecompositionPlan, of autoencoder: SparseAutoencoder, memory: DecompositionMemory?, pool: ThreadPool,
    first: inout [Int: DecodedCode], checkpoint: (Double) throws -> Void
  ) throws {
    let request = plan.request
    try checkpoint(0)
    let vectors = request.subjects.map(\.vector)
    let kept = memory?.readings(of: request, through: autoencoder)
    let encoded = kept?.encoded ?? EncodedVectors(vectors, anchor: nil, of: autoencoder, pool: pool)
    try autoencoder.requireFiniteEncoder(pool: pool)
    let batch = Self.firstBatch(plan, encoded, pool)
    let cuts: [[CutCode]]
    if let kept {
      readings = kept
      cuts = batch.codes.decoded(pool: pool)
    } else {
      let read = try VectorReadings.read(request, encoded, decoding: batch.codes.weights(pool: pool), pool: pool) {
        try checkpoint(0.5 * $0)
      }
      readings = read.readings
      memory?.keep(readings, of: request, through: autoencoder)
      cuts = batch.codes.finished(read.decoded, pool: pool)
    }
    let zero: CutCode?
    (first, zero) = batch.decoded(cuts)
    zeroVector = zero?.withBias ?? []
    if request.methods.contains(.encodeAnchored), let mean = request.activations?.mean {
      let anchor = EncodedVectors.Anchor(mean: mean, amplitude: Float(request.amplitude))
      self.encoded = EncodedVectors(vectors, anchor: anchor, of: autoencoder, pool: pool)
    } else {
      self.encoded = encoded
    }
    pursuits = try Self.pursue(plan, autoencoder, memory, pool) { try checkpoint(0.5 + 0.4 * $0) }
  }

  /// The zero vector's code and those that the lines of the vectors alone give.
  private static func firstBatch(
    _ plan: DecompositionPlan, _ encoded: EncodedVectors, _ pool: ThreadPool
  ) -> PlannedBatch {
    let autoencoder = encoded.autoencoder
    let zero = WholeCode(
      code: encoded.zeroCode(autoencoder.convention).code, bias: 1, scale: autoencoder.unitScale)
    var batch = PlannedBatch(autoencoder, limits: plan.limits, zero: zero)
    if batch.isFull { return batch }
    let made = EncoderCodes(encoded, plan.request)
    batch.fill(Array(plan.codes.indices), of: plan, pool: pool) { planned in made.whole(planned).map { [$0] } }
    return batch
  }

  private static func pursue(
    _ plan: DecompositionPlan, _ autoencoder: SparseAutoencoder, _ memory: DecompositionMemory?, _ pool: ThreadPool,
    checkpoint: (Double) throws -> Void
  ) throws -> [Key: [SignedCode]] {
    var keys: [Key] = []
    var vectors: [(vector: [Float], rule: PursuitRule)] = []
    for (row, subject) in plan.request.subjects.enumerated() {
      for method in plan.request.methods {
        guard let rule = method.pursuitRule else { continue }
        keys.append(Key(row: row, method: method))
        vectors.append((subject.vector, rule))
      }
    }
    guard !keys.isEmpty else { return [:] }
    var atoms: [Int] = []
    for case .atoms(let k) in plan.sparsities { atoms.append(k) }
    let dictionary =
      memory?.dictionary(of: autoencoder, pool: pool) ?? UnitDictionary(autoencoder, pool: pool)
    let codes = try PursuitBatch.run(
      vectors, sparsities: atoms, dictionary: dictionary, pool: pool, checkpoint: checkpoint)
    return Dictionary(zip(keys, codes)) { first, _ in first }
  }

  /// The codes of a pursuit, one for each numbered sparsity, rising.
  func pursuit(_ row: Int, _ method: DecompositionMethod) -> [SignedCode] {
    pursuits[Key(row: row, method: method)] ?? []
  }
}
