internal import Kernels
internal import SparseAutoencoders

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

  /// Reads the decoder, and the pairs' activations through the encoder.
  /// - Parameters:
  ///   - encoded: the request's vectors.
  ///   - codes: weights that go through the decoder in the same pass.
  /// - Returns: what is shared, and what the codes become at the decoder's own scale, `[codes.rows, d]`.
  /// - Throws: `InputError` for a decoder that is not finite, and what `checkpoint` throws.
  static func read(
    _ request: DecompositionRequest, _ encoded: EncodedVectors, decoding codes: RowWeights, pool: ThreadPool,
    checkpoint: (Double) throws -> Void
  ) throws -> (readings: VectorReadings, decoded: Matrix) {
    let autoencoder = encoded.autoencoder
    var directions = Matrix(request.subjects.map(\.vector), columns: autoencoder.dimension)
    if let seed = request.seed {
      directions.append(rows: SignBaselines.directions(seed: seed, dimension: autoencoder.dimension))
    }
    let (products, decoded) = autoencoder.decoderPass(projecting: directions, decoding: codes, pool: pool)
    let decoder = DecoderDirections(autoencoder, pool: pool)
    try autoencoder.requireFiniteDecoder(pool: pool)
    let projections = decoder.divided(products)
    let counts = (request.subjects.count..<projections.rows).map {
      SignBaselines.negatives(amongLargest: projections.row($0))
    }
    let share = 1 / Double(max(1, request.subjects.count))
    let pairs = try request.subjects.enumerated().map { row, subject in
      try subject.pairs.map { pairs in
        try PairDifference(pairs, of: autoencoder, pool: pool) {
          try checkpoint(0.2 + 0.8 * share * (Double(row) + $0))
        }
      }
    }
    let readings = VectorReadings(
      encoded: encoded, decoder: decoder, projections: projections.rows(0..<request.subjects.count),
      randomNegative: counts.isEmpty ? nil : Double(counts.reduce(0, +)) / Double(counts.count), pairs: pairs)
    return (readings, decoded)
  }
}
