internal import Kernels
package import SparseAutoencoders

/// How the code f(c v) of a vector changes with the coefficient (methods.md, "The coefficient axis, exactly"): a view of an encoding.
///
/// The code at c is, bit for bit, `Encoding.code(row, coefficient: c)`. For standard, jumprelu and gated SAEs without a
/// normalisation of each sample every feature is active on one side of one coefficient, known from the one product W_enc^T v, so that
/// codes share what they take from the decoder.
package struct CoefficientLadder: Sendable {
  let encoding: Encoding
  let row: Int
  let convention: SparseAutoencoder.InputConvention
  private let thresholds: [Float]?
  /// Whether features have intervals of their own: then `rows(at:of:)` decodes codes, and `intervals(of:)` counts features. Not where
  /// features compete, or samples are normalised.
  let hasIntervals: Bool

  /// - Parameters:
  ///   - row: the vector among those encoded.
  ///   - convention: of b_dec on the encoder's input.
  package init(
    _ encoding: Encoding, row: Int, convention: SparseAutoencoder.InputConvention, of autoencoder: SparseAutoencoder
  ) {
    self.encoding = encoding
    self.row = row
    self.convention = convention
    thresholds = autoencoder.thresholds
    hasIntervals =
      if case .topK = autoencoder.architecture { false } else { !autoencoder.normalizesEachSample }
  }

  /// F, the number of features.
  var width: Int { encoding.width }

  /// The code of `coefficient` times the vector. O(F).
  package func code(at coefficient: Float) -> SignedCode {
    let entries = encoding.entries(row, coefficient: coefficient, convention: convention)
    return SignedCode(width: width, indices: entries.indices, values: entries.values)
  }

  /// Whether this is the ladder of the same vector and convention, for two of one encoding.
  func isOfSameVector(as other: CoefficientLadder) -> Bool { row == other.row && convention == other.convention }

  /// On which side of which bound features are active. O(F).
  /// - Precondition: `hasIntervals`.
  func intervals(of features: some Sequence<Int32>) -> ActiveIntervals { intervals(of: features, values) }

  /// The codes at rising coefficients as weights of the decoder's rows. O(F).
  /// - Parameter features: what is active at any of the coefficients, rising.
  /// - Precondition: `hasIntervals`.
  func rows(at coefficients: [Float], of features: [Int32]) -> LadderRows {
    let values = values
    let intervals = intervals(of: features, values)
    return LadderRows(
      coefficients: coefficients, slopes: values.slopes, intercepts: values.intercepts,
      from: (intervals.rising.bounds, intervals.rising.features),
      upTo: (intervals.falling.bounds, intervals.falling.features))
  }

  private var values: ValueLines { ValueLines(encoding, row: row, convention: convention) }

  private func intervals(of features: some Sequence<Int32>, _ values: ValueLines) -> ActiveIntervals {
    precondition(hasIntervals, "features have no intervals of their own")
    let isGated = encoding.magnitudeIntercepts(convention) != nil
    return ActiveIntervals(
      features,
      FeatureBounds(
        slopes: isGated ? encoding.slopes(row) : values.slopes, intercepts: encoding.intercepts(convention),
        thresholds: thresholds, magnitudes: isGated ? values : nil))
  }
}
