package import Diagnostics
package import Kernels
package import SparseAutoencoders
internal import SweepRecords

/// Decomposes vectors through one SAE: every method, sparsity, convention and coefficient from one pass over the
/// encoder and one over the decoder. Pursuits take one more pass over the decoder a step, shared by all of them;
/// `pair-difference` encodes its activations besides.
package struct Decomposer {
  private let autoencoder: SparseAutoencoder
  private let request: DecompositionRequest
  private let memory: DecompositionMemory?
  private let pool: ThreadPool
  /// Of the batches in which codes are decoded; tests end batches elsewhere.
  var limits = BatchLimits.standard

  /// - Parameter memory: what earlier runs through this SAE left; without effect on the result.
  /// - Throws: `InputError` for vectors of another dimension, numbers that are not finite, and methods without what
  ///   they need.
  package init(
    _ autoencoder: SparseAutoencoder, _ request: DecompositionRequest, memory: DecompositionMemory? = nil,
    pool: ThreadPool
  ) throws(InputError) {
    try request.check(against: autoencoder)
    self.autoencoder = autoencoder
    self.request = request
    self.memory = memory
    self.pool = pool
  }

  /// Gives the variants to `body` in batches of bounded size as they come into being, so that memory does not grow with their number.
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
    let plan = DecompositionPlan(request, of: autoencoder, limits: limits)
    var first: [Int: DecodedCode] = [:]
    let prepared = try PreparedDecompositions(
      plan, of: autoencoder, memory: memory, pool: pool, first: &first, checkpoint: checkpoint)
    var codes = DecodedCodes(plan, prepared, first: first, pool: pool)
    first = [:]
    var extras = DecompositionExtras(zeroVector: prepared.zeroVector, pairDifferenceErrors: [])
    for (row, subject) in request.subjects.enumerated() {
      if let pairs = prepared.pairs[row] {
        var whole = CodeBatch(autoencoder)
        whole.append(pairs.whole, cutTo: [.all], withNegativeEnergy: false)
        let missing = whole.decoded(pool: pool)[0][0].withoutBias
        extras.pairDifferenceErrors.append((subject.behaviour, pairs.error(missedBy: missing)))
      }
      if request.wantsCoefficientAxis, request.methods.contains(.encode) {
        let ladder = CoefficientLadder(
          prepared.encoded.encoding, row: row, convention: autoencoder.convention, of: autoencoder)
        if let axis = CoefficientAxis(ladder) { extras.coefficientAxes.append((subject.behaviour, axis)) }
      }
      try SubjectDecompositions(request, prepared, row: row, pool: pool)
        .give(plan.places[row], of: &codes, to: body)
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
  /// Over all coefficients, by behaviour, in the file's own convention: where it was asked for and the SAE has it.
  package var coefficientAxes: [(behaviour: String, axis: CoefficientAxis)] = []

  /// The tensors to store beside the reconstructions, by name.
  package var tensors: [(name: String, values: [Float])] {
    [("zero-vector", zeroVector)]
      + pairDifferenceErrors.map { (name: "\($0.behaviour)/pair-difference-error", values: $0.error) }
  }
}
