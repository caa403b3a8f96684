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

  /// - Parameters:
  ///   - encoded: the request's vectors.
  ///   - codes: rows that go through the decoder in the same pass.
  ///   - decoded: what they become, `[rows, d]`.
  /// - Throws: `InputError` for a decoder that is not finite, and what `checkpoint` throws.
  init(
    of request: DecompositionRequest, _ encoded: EncodedVectors, decoding codes: SparseRows,
    into decoded: inout Matrix, pool: ThreadPool, checkpoint: (Double) throws -> Void
  ) throws {
    let autoencoder = encoded.autoencoder
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
