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

  init(_ decomposer: Decomposer, checkpoint: (Double) throws -> Void) throws {
    let (autoencoder, request, pool) = (decomposer.autoencoder, decomposer.request, decomposer.pool)
    let vectors = request.subjects.map(\.vector)
    try checkpoint(0)
    encoded = EncodedVectors(vectors, anchor: nil, of: autoencoder, pool: pool)
    var directions = Matrix(vectors, columns: autoencoder.dimension)
    if let seed = request.seed {
      directions.append(rows: SignBaselines.directions(seed: seed, dimension: autoencoder.dimension))
    }
    let (decoder, products) = DecoderDirections.projecting(directions, through: autoencoder, pool: pool)
    self.decoder = decoder
    try autoencoder.requireFiniteWeights(pool: pool)
    projections = products.rows(0..<vectors.count)
    let counts = (vectors.count..<products.rows).map { SignBaselines.negatives(amongLargest: products.row($0)) }
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

  init(_ decomposer: Decomposer, checkpoint: (Double) throws -> Void) throws {
    let (autoencoder, request, pool) = (decomposer.autoencoder, decomposer.request, decomposer.pool)
    func make() throws -> VectorReadings { try VectorReadings(decomposer) { try checkpoint(0.5 * $0) } }
    readings = try decomposer.memory?.readings(of: request, through: autoencoder, make) ?? make()
    if request.methods.contains(.encodeAnchored), let mean = request.activations?.mean {
      let anchor = EncodedVectors.Anchor(mean: mean, amplitude: Float(request.amplitude))
      encoded = EncodedVectors(request.subjects.map(\.vector), anchor: anchor, of: autoencoder, pool: pool)
    } else {
      encoded = readings.encoded
    }
    pursuits = try Self.pursue(decomposer) { try checkpoint(0.5 + 0.4 * $0) }
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
