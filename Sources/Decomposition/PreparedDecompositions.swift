internal import Kernels
internal import SparseAutoencoders
internal import SweepRecords

/// What all methods share of some vectors: their products with encoder and decoder, and the pairs' codes.
struct VectorReadings: Sendable {
  let encoded: EncodedVectors
  let decoder: DecoderDirections
  /// d_j . v / ||d_j||, `[n, F]`.
  let projections: Matrix
  /// Mean count of negative projections among a random direction's largest.
  let randomNegative: Double?
  /// One a vector; nil for those without pairs.
  let pairs: [PairDifference?]

  /// - Parameters:
  ///   - encoded: the request's vectors.
  ///   - codes: rows that go through the decoder in the same pass.
  ///   - decoded: what they become, `[rows, d]`.
  init(
    _ decomposer: Decomposer, _ encoded: EncodedVectors, decoding codes: SparseRows, into decoded: inout Matrix,
    checkpoint: (Double) throws -> Void
  ) throws {
    let (autoencoder, request, pool) = (decomposer.autoencoder, decomposer.request, decomposer.pool)
    self.encoded = encoded
    var directions = Matrix(request.subjects.map(\.vector), columns: autoencoder.dimension)
    if let seed = request.seed {
      directions.append(rows: SignBaselines.directions(seed: seed, dimension: autoencoder.dimension))
    }
    let products: Matrix
    (products, decoded) = autoencoder.decoderPass(projecting: directions, decoding: codes, pool: pool)
    let decoder = DecoderDirections(autoencoder, pool: pool)
    self.decoder = decoder
    try autoencoder.requireFiniteDecoder(pool: pool)
    let all = decoder.divided(products)
    projections = all.rows(0..<request.subjects.count)
    let counts = (request.subjects.count..<all.rows).map { SignBaselines.negatives(amongLargest: all.row($0)) }
    randomNegative = counts.isEmpty ? nil : Double(counts.reduce(0, +)) / Double(counts.count)
    let share = 1 / Double(max(1, request.subjects.count))
    pairs = try request.subjects.enumerated().map { row, subject in
      try subject.pairs.map { pairs in
        try PairDifference(pairs, of: autoencoder, pool: pool) {
          try checkpoint(0.2 + 0.8 * share * (Double(row) + $0))
        }
      }
    }
  }
}

/// What the variants of a run are made from: what all methods share, and the pursuits.
struct PreparedDecompositions {
  let encoded: EncodedVectors
  private let readings: VectorReadings
  /// The first codes of the plan, by their places in it.
  let first: [Int: DecodedCode]
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

  /// Makes as many codes of the plan as can be decoded while the decoder is read for the projections anyway.
  init(_ decomposer: Decomposer, _ plan: DecompositionPlan, checkpoint: (Double) throws -> Void) throws {
    let (autoencoder, request, pool) = (decomposer.autoencoder, decomposer.request, decomposer.pool)
    try checkpoint(0)
    let vectors = request.subjects.map(\.vector)
    let kept = decomposer.memory?.readings(of: request, through: autoencoder)
    let encoded = kept?.encoded ?? EncodedVectors(vectors, anchor: nil, of: autoencoder, pool: pool)
    try autoencoder.requireFiniteEncoder(pool: pool)
    let batch = Self.firstBatch(plan, encoded, request)
    let cuts: [[CutCode]]
    if let kept {
      readings = kept
      cuts = batch.batch.decoded(pool: pool)
    } else {
      var decoded = Matrix(rows: 0, columns: autoencoder.dimension)
      readings = try VectorReadings(decomposer, encoded, decoding: batch.batch.rows.built, into: &decoded) {
        try checkpoint(0.5 * $0)
      }
      decomposer.memory?.keep(readings, of: request, through: autoencoder)
      cuts = batch.batch.finished(decoded, pool: pool)
    }
    let (codes, zero) = batch.decoded(cuts)
    first = codes
    zeroVector = zero?.withBias ?? []
    if request.methods.contains(.encodeAnchored), let mean = request.activations?.mean {
      let anchor = EncodedVectors.Anchor(mean: mean, amplitude: Float(request.amplitude))
      self.encoded = EncodedVectors(vectors, anchor: anchor, of: autoencoder, pool: pool)
    } else {
      self.encoded = encoded
    }
    pursuits = try Self.pursue(decomposer) { try checkpoint(0.5 + 0.4 * $0) }
  }

  /// The zero vector's code and those that the lines of the vectors alone give.
  private static func firstBatch(
    _ plan: DecompositionPlan, _ encoded: EncodedVectors, _ request: DecompositionRequest
  ) -> PlannedBatch {
    let autoencoder = encoded.autoencoder
    let zero = WholeCode(
      code: encoded.zeroCode(autoencoder.convention).code, bias: 1, scale: autoencoder.unitScale)
    var batch = PlannedBatch(autoencoder, zero: zero)
    var made = EncoderCodes(encoded, request)
    for (place, planned) in plan.codes.enumerated() {
      if batch.isFull { break }
      if let whole = made.whole(planned) { batch.append([whole], of: planned, at: place) }
    }
    return batch
  }

  private static func pursue(
    _ decomposer: Decomposer, checkpoint: (Double) throws -> Void
  ) throws -> [Key: [SignedCode]] {
    var keys: [Key] = []
    var vectors: [(vector: [Float], rule: PursuitRule)] = []
    for (row, subject) in decomposer.request.subjects.enumerated() {
      for method in decomposer.request.methods {
        guard let rule = method.pursuitRule else { continue }
        keys.append(Key(row: row, method: method))
        vectors.append((subject.vector, rule))
      }
    }
    guard !keys.isEmpty else { return [:] }
    var atoms: [Int] = []
    for case .atoms(let k) in decomposer.sparsities { atoms.append(k) }
    let (autoencoder, pool) = (decomposer.autoencoder, decomposer.pool)
    let dictionary =
      decomposer.memory?.dictionary(of: autoencoder, pool: pool) ?? UnitDictionary(autoencoder, pool: pool)
    let codes = try PursuitBatch.run(
      vectors, sparsities: atoms, dictionary: dictionary, pool: pool, checkpoint: checkpoint)
    return Dictionary(zip(keys, codes)) { first, _ in first }
  }

  /// The codes of a pursuit, one for each numbered sparsity, rising.
  func pursuit(_ row: Int, _ method: DecompositionMethod) -> [SignedCode] {
    pursuits[Key(row: row, method: method)] ?? []
  }
}
