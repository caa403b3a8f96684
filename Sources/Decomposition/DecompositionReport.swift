package import Diagnostics
package import Kernels
package import SparseAutoencoders
package import SweepRecords

/// What the command `decompose` prints: one vector through one SAE by one method (interface.md, "JSON shapes").
package struct DecompositionReport: Sendable {
  package let method: DecompositionMethod
  package let sparsity: Sparsity
  package let coefficient: Double
  package let width: Int
  package let layer: Int?
  /// `with-bias` or `without-bias`.
  package let convention: String
  package let metrics: DecompositionMetrics
  /// All that are not zero, by falling magnitude.
  package let features: [DecomposedFeature]
  /// `[d]`; nil where it was not asked for.
  package let reconstruction: [Float]?

  /// The atoms that a pursuit is run to where no sparsity is given.
  package static let defaultAtoms = 32

  /// One report a coefficient and sparsity, coefficients outermost, in the order given.
  ///
  /// At coefficient c it is c times the vector that is decomposed.
  ///
  /// - Parameters:
  ///   - sparsities: where empty, `all`, or 32 atoms for a pursuit.
  ///   - amplitude: a of `encode-anchored`.
  ///   - convention: `with-bias` or `without-bias`; nil for what a model is steered with.
  /// - Throws: `InputError` for what can't be decomposed.
  package static func make(
    _ autoencoder: SparseAutoencoder, vector: [Float], method: DecompositionMethod, sparsities: [Sparsity] = [],
    coefficients: [Double] = [1], layer: Int? = nil, activations: ActivationReference? = nil, amplitude: Double = 1,
    pairs: PairActivations? = nil, convention: String? = nil, withReconstruction: Bool = false, pool: ThreadPool
  ) throws(InputError) -> [DecompositionReport] {
    let sparsities = sparsities.isEmpty ? [method.isPursuit ? .atoms(defaultAtoms) : .all] : sparsities
    try check(method, sparsities, coefficients, pairs, convention)
    var request = DecompositionRequest(
      subjects: [.init(behaviour: "vector", vector: vector, pairs: method == .pairDifference ? pairs : nil)],
      methods: [method], sparsities: sparsities, coefficients: coefficients, cutsLadder: true,
      activations: activations, amplitude: amplitude, inputConventions: [autoencoder.convention])
    try request.check(against: autoencoder)
    // Only `encode` has a ladder; for the other methods a multiple of the vector is a vector of its own.
    if method != .encode {
      request.subjects = coefficients.map { coefficient in
        var subject = request.subjects[0]
        if coefficient != 1 { subject.vector = vector.map { $0 * Float(coefficient) } }
        return subject
      }
      request.coefficients = [1]
    }
    let wanted = convention ?? DecompositionNaming.steeredConvention(of: method.rawValue)
    let variants = try variants(Decomposer(autoencoder, request, pool: pool), convention: wanted)
    return coefficients.enumerated().flatMap { index, coefficient in
      sparsities.compactMap { sparsity in
        let place = Place(
          row: method == .encode ? 0 : index, coefficient: method == .encode ? coefficient : 1, sparsity: sparsity)
        return variants[place].map { variant in
          DecompositionReport(
            method: method, sparsity: sparsity, coefficient: coefficient, width: variant.width, layer: layer,
            convention: wanted, metrics: variant.metrics, features: variant.features(),
            reconstruction: withReconstruction ? variant.reconstruction : nil)
        }
      }
    }
  }

  private struct Place: Hashable {
    var row: Int
    var coefficient: Double
    var sparsity: Sparsity
  }

  private static func variants(
    _ decomposer: Decomposer, convention: String
  ) throws(InputError) -> [Place: DecompositionVariant] {
    var variants: [Place: DecompositionVariant] = [:]
    do {
      _ = try decomposer.run { variant in
        guard variant.convention == convention else { return }
        variants[Place(row: variant.subject, coefficient: variant.coefficient, sparsity: variant.sparsity)] = variant
      }
    } catch let error as InputError {
      throw error
    } catch {
      throw InputError("decomposition", expected: "a result", found: "\(error)")
    }
    return variants
  }

  private static func check(
    _ method: DecompositionMethod, _ sparsities: [Sparsity], _ coefficients: [Double], _ pairs: PairActivations?,
    _ convention: String?
  ) throws(InputError) {
    if method == .pairDifference {
      guard pairs != nil else {
        throw InputError(
          "pair-difference", expected: "the activations of the pairs that the vector was made of", found: "none",
          remedy: "give --pairs")
      }
      guard coefficients.allSatisfy({ $0 == 1 }) else {
        throw InputError(
          "coefficients", expected: "1 for pair-difference, whose code is that of the pairs",
          found: "\(coefficients.map { "\($0)" }.joined(separator: ", "))", remedy: "leave --coefficients out")
      }
    }
    if method.isPursuit, sparsities.contains(.all) {
      throw InputError(
        "sparsity", expected: "numbers of atoms, for a pursuit", found: "all", remedy: "give --sparsity as a number")
    }
    let conventions = DecompositionNaming.conventions(of: method.rawValue)
    if let convention, !conventions.contains(convention) {
      throw InputError("convention", expected: conventions.joined(separator: " or "), found: "\"\(convention)\"")
    }
  }
}

extension DecompositionReport: Encodable {
  private enum Key: String, CodingKey {
    case method, sparsity, coefficient, convention, width, layer
    case vectorNorm = "vector_norm"
    case l0, cosine
    case relativeError = "relative_error"
    case normRatio = "norm_ratio"
    case zeroOverlap = "zero_overlap"
    case zeroJaccard = "zero_jaccard"
    case biasShare = "bias_share"
    case negativeShare = "negative_share"
    case features, reconstruction
  }

  /// Every key is there; null where a number does not exist. `sparsity` is a number or `all`.
  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    func encode(_ value: Double?, _ key: Key) throws {
      try container.encode(value.flatMap { $0.isFinite ? $0 : nil }, forKey: key)
    }
    try container.encode(method.rawValue, forKey: .method)
    switch sparsity {
    case .atoms(let k): try container.encode(k, forKey: .sparsity)
    case .all: try container.encode("all", forKey: .sparsity)
    }
    try container.encode(coefficient, forKey: .coefficient)
    try container.encode(convention, forKey: .convention)
    try container.encode(width, forKey: .width)
    try container.encode(layer, forKey: .layer)
    try encode(metrics.vectorNorm, .vectorNorm)
    try container.encode(metrics.l0, forKey: .l0)
    try encode(metrics.cosine, .cosine)
    try encode(metrics.relativeError, .relativeError)
    try encode(metrics.normRatio, .normRatio)
    try encode(metrics.zero.overlap, .zeroOverlap)
    try encode(metrics.zero.jaccard, .zeroJaccard)
    try encode(metrics.zero.biasShare, .biasShare)
    try encode(metrics.negativeShare, .negativeShare)
    try container.encode(features, forKey: .features)
    try container.encodeIfPresent(reconstruction, forKey: .reconstruction)
  }
}
