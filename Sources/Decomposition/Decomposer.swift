package import Diagnostics
package import Kernels
package import SparseAutoencoders
internal import SweepRecords

/// Decomposes vectors through one SAE: every method, sparsity, convention and coefficient from one pass over the
/// encoder and one over the decoder. Pursuits take one more pass over the decoder a step, shared by all of them;
/// `pair-difference` encodes its activations besides.
package struct Decomposer {
  let autoencoder: SparseAutoencoder
  let request: DecompositionRequest
  let pool: ThreadPool
  /// Rising, without repetition.
  let sparsities: [Sparsity]

  /// - Throws: `InputError` for vectors of another dimension, numbers that are not finite, and methods without what
  ///   they need.
  package init(
    _ autoencoder: SparseAutoencoder, _ request: DecompositionRequest, pool: ThreadPool
  ) throws(InputError) {
    try request.check(against: autoencoder)
    self.autoencoder = autoencoder
    self.request = request
    self.pool = pool
    var atoms: Set<Int> = []
    for case .atoms(let k) in request.sparsities { atoms.insert(k) }
    sparsities = atoms.sorted().map { .atoms($0) } + (request.sparsities.contains(.all) ? [.all] : [])
  }

  /// Gives every variant to `body` as soon as it exists, so that memory does not grow with their number.
  ///
  /// For each vector and method: the sparsities that `DecompositionNaming` lists, with and without b_dec where the
  /// method has both, for each input convention where it matters, at coefficient 1; for `encode` also at the other
  /// coefficients, at the fullest sparsity or at all of them (`cutsLadder`). No result depends on what else is in the
  /// request, nor on threads.
  ///
  /// - Parameter checkpoint: called between pieces of work with the fraction that is done; what it or `body` throws
  ///   ends the run.
  package func run(
    checkpoint: (Double) throws -> Void = { _ in }, each body: (DecompositionVariant) throws -> Void
  ) throws -> DecompositionExtras {
    let prepared = try PreparedDecompositions(self, checkpoint: checkpoint)
    let zero = WholeCode(
      code: prepared.encoded.zeroCode(autoencoder.convention).code, bias: 1, scale: autoencoder.unitScale)
    let decoder = Reconstruction(autoencoder: autoencoder, pool: pool)
    var extras = DecompositionExtras(
      zeroVector: decoder.cut([zero], to: [.all], withNegativeEnergy: false)[0][0].withBias ?? [],
      pairDifferenceErrors: [])
    for (row, subject) in request.subjects.enumerated() {
      if let pairs = prepared.pairs[row] {
        let whole = decoder.cut([pairs.whole], to: [.all], withNegativeEnergy: false)[0][0].withoutBias
        extras.pairDifferenceErrors.append((subject.behaviour, pairs.error(missedBy: whole)))
      }
      try SubjectDecompositions(self, prepared, row: row).run(each: body)
      try checkpoint(0.9 + 0.1 * Double(row + 1) / Double(request.subjects.count))
    }
    return extras
  }
}

/// What a run leaves besides its variants.
package struct DecompositionExtras: Sendable {
  /// g(f(0)) in the file's own convention, `[d]`.
  package var zeroVector: [Float]
  /// mean err(h+) - mean err(h-) by behaviour, `[d]` each, for the vectors that came with pairs.
  package var pairDifferenceErrors: [(behaviour: String, error: [Float])]

  /// The tensors to store beside the reconstructions, by name.
  package var tensors: [(name: String, values: [Float])] {
    [("zero-vector", zeroVector)]
      + pairDifferenceErrors.map { (name: "\($0.behaviour)/pair-difference-error", values: $0.error) }
  }
}

/// What all vectors of a run share, computed once: products with encoder and decoder, the pairs' codes, the pursuits.
struct PreparedDecompositions {
  let encoded: EncodedVectors
  let decoder: DecoderDirections
  /// d_j . v / ||d_j||, `[n, F]`.
  let projections: Matrix
  /// Mean count of negative projections among a random direction's largest.
  let randomNegative: Double?
  /// One a vector; nil for those without pairs.
  let pairs: [PairDifference?]
  /// Codes of vector and method, one for each numbered sparsity.
  private let pursuits: [Key: [SignedCode]]

  private struct Key: Hashable {
    var row: Int
    var method: DecompositionMethod
  }

  init(_ decomposer: Decomposer, checkpoint: (Double) throws -> Void) throws {
    let (autoencoder, request, pool) = (decomposer.autoencoder, decomposer.request, decomposer.pool)
    let vectors = request.subjects.map(\.vector)
    var anchor: EncodedVectors.Anchor?
    if request.methods.contains(.encodeAnchored), let mean = request.activations?.mean {
      anchor = .init(mean: mean, amplitude: Float(request.amplitude))
    }
    try checkpoint(0)
    encoded = EncodedVectors(vectors, anchor: anchor, of: autoencoder, pool: pool)
    decoder = DecoderDirections(autoencoder, pool: pool)
    var directions = Matrix(vectors, columns: autoencoder.dimension)
    if let seed = request.seed {
      directions.append(rows: SignBaselines.directions(seed: seed, dimension: autoencoder.dimension))
    }
    let products = decoder.projections(of: directions, pool: pool)
    projections = products.rows(0..<vectors.count)
    let counts = (vectors.count..<products.rows).map { SignBaselines.negatives(amongLargest: products.row($0)) }
    randomNegative = counts.isEmpty ? nil : Double(counts.reduce(0, +)) / Double(counts.count)
    let share = 0.4 / Double(max(1, request.subjects.count))
    pairs = try request.subjects.enumerated().map { row, subject in
      try subject.pairs.map { pairs in
        try PairDifference(pairs, of: autoencoder, pool: pool) { try checkpoint(0.1 + share * (Double(row) + $0)) }
      }
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
    let dictionary = UnitDictionary(decomposer.autoencoder, pool: decomposer.pool)
    let codes = try PursuitBatch.run(
      vectors, sparsities: atoms, dictionary: dictionary, pool: decomposer.pool, checkpoint: checkpoint)
    return Dictionary(zip(keys, codes)) { first, _ in first }
  }

  /// The codes of a pursuit, one for each numbered sparsity, rising.
  func pursuit(_ row: Int, _ method: DecompositionMethod) -> [SignedCode] {
    pursuits[Key(row: row, method: method)] ?? []
  }
}
