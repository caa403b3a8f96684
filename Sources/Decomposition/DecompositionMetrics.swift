internal import Kernels
package import SweepRecords

/// How good a decomposition is, and how far the two known failures go (methods.md, section 4). One property a column of
/// the table `decomposition`; nil where a number does not exist.
package struct DecompositionMetrics: Sendable, Equatable {
  /// ||c v||.
  package var vectorNorm: Double
  /// Share in percent of the activation norms that are smaller.
  package var normPercentile: Double?
  package var l0: Int
  package var cosine: Double?
  /// ||c v - v_hat|| / ||c v||.
  package var relativeError: Double?
  /// ||v_hat|| / ||c v||.
  package var normRatio: Double?
  /// Share of the coefficients' sum of squares that is negative.
  package var negativeShare: Double?
  package var zero = ZeroOverlap()
  package var signs = SignCounts()
  /// ||z- W_dec||^2 / ||v||^2 of a signed code's negative coefficients.
  package var negativeEnergy: Double?

  /// How the code overlaps with that of the zero vector. What goes beyond sets is there for codes that the encoder made
  /// of one input.
  package struct ZeroOverlap: Sendable, Equatable {
    /// L0 of f(0).
    package var l0: Int?
    /// |S(v) and S(0)| / |S(v)|.
    package var overlap: Double?
    package var jaccard: Double?
    /// sum min(f(v), f(0)) / sum f(v).
    package var massShare: Double?
    /// cos(f(v), f(0)).
    package var cosine: Double?
    /// Overlap of the 5, 10, 20, 50, 100 highest.
    package var top: [Double?] = Array(repeating: nil, count: Self.tops.count)
    /// Mean over the active features of |pre(0)| / (|pre(0)| + |w . v|).
    package var biasShare: Double?

    static let tops = [5, 10, 20, 50, 100]
  }

  /// What the signs of a vector's projections say, beside what they say for random directions; the same for all
  /// methods.
  package struct SignCounts: Sendable, Equatable {
    /// Negative ones among the 100 largest |mean f(h+) - mean f(h-)|.
    package var negative: Int?
    /// Those of the 100 with a negative projection on both encoder and decoder.
    package var negativeProjection: Int?
    /// Negative ones among the 100 largest projections of a random direction, mean over several.
    package var randomNegative: Double?
    /// Features that are active in f(v), yet near silent on both sides of the pairs.
    package var spurious: Int?
    /// The spurious feature with the most anti-aligned partner, that partner, and their cosine.
    package var worst: AntiAligned?

    package struct AntiAligned: Sendable, Equatable {
      package var feature: Int
      package var partner: Int
      package var cosine: Double
    }
  }

  /// What does not depend on a reconstruction.
  /// - Parameters:
  ///   - vector: c v, `[d]`.
  ///   - norms: activation norms, rising; may be empty.
  init(vector: [Float], code: SignedCode, norms: [Float]) {
    vectorNorm = dotInDouble(vector, vector).squareRoot()
    l0 = code.count
    negativeShare = code.negativeShare
    if !norms.isEmpty {
      let below = norms.partitionIndex { Double($0) >= vectorNorm }
      normPercentile = 100 * Double(below) / Double(norms.count)
    }
  }

  /// Compares the same vector with its reconstruction, `[d]`; leaves null what a vector of norm 0 has not.
  mutating func compare(_ vector: [Float], with reconstruction: [Float]) {
    let square = dotInDouble(vector, vector)
    guard square > 0 else { return }
    let rebuilt = dotInDouble(reconstruction, reconstruction)
    var missing = vector
    add(-1, reconstruction, to: &missing)
    relativeError = (dotInDouble(missing, missing) / square).squareRoot()
    normRatio = (rebuilt / square).squareRoot()
    if rebuilt > 0 { cosine = dotInDouble(vector, reconstruction) / (square.squareRoot() * rebuilt.squareRoot()) }
  }

  /// The columns of `decomposition` that are measured.
  package var cells: [String: Cell] {
    var cells: [String: Cell] = [
      "vector_norm": Cell(vectorNorm), "norm_percentile": Cell(normPercentile), "l0": .integer(l0),
      "cosine": Cell(cosine), "relative_error": Cell(relativeError), "norm_ratio": Cell(normRatio),
      "negative_share": Cell(negativeShare), "zero_l0": Cell(zero.l0), "zero_overlap": Cell(zero.overlap),
      "zero_jaccard": Cell(zero.jaccard), "zero_mass_share": Cell(zero.massShare), "zero_cosine": Cell(zero.cosine),
      "bias_share": Cell(zero.biasShare), "negative_top100": Cell(signs.negative),
      "negative_projection_top100": Cell(signs.negativeProjection),
      "random_negative_top100": Cell(signs.randomNegative), "negative_energy": Cell(negativeEnergy),
      "spurious_features": Cell(signs.spurious), "worst_spurious_feature": Cell(signs.worst?.feature),
      "worst_spurious_partner": Cell(signs.worst?.partner), "worst_spurious_cosine": Cell(signs.worst?.cosine),
    ]
    for (k, overlap) in zip(ZeroOverlap.tops, zero.top) { cells["top\(k)_overlap"] = Cell(overlap) }
    return cells
  }
}

extension DecompositionMetrics.ZeroOverlap {
  /// - Parameters:
  ///   - activations: the encoder's own, where the code is made of those of one input; cut as the code is.
  init(_ code: SignedCode, zero: ZeroCode, activations: WholeCode.Activations?, lines: ValueLines) {
    l0 = zero.code.count
    let sets = zero.setOverlap(with: code)
    (overlap, jaccard) = (sets.share, sets.jaccard)
    guard let activations else { return }
    let values = zero.valueOverlap(with: activations.code)
    (massShare, cosine) = (values.massShare, values.cosine)
    top = zero.topOverlaps(Self.tops, with: activations.code)
    biasShare = lines.biasShare(of: activations.code, amplitude: activations.amplitude)
  }
}

extension Array {
  /// The index of the first element that satisfies a condition that, once true, stays true. Binary search.
  func partitionIndex(_ isLater: (Element) -> Bool) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if isLater(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
