internal import Kernels
package import SparseAutoencoders

/// How the code f(c v) of a vector changes with the coefficient (methods.md, "The coefficient axis, exactly").
///
/// The code at c is, bit for bit, `Encoding.code(row, coefficient: c)`. For standard, jumprelu and gated SAEs without a
/// normalisation of each sample every feature is active on one side of one coefficient, known from the one product W_enc^T v, so that
/// codes share what they take from the decoder.
package struct CoefficientLadder: Sendable {
  let encoding: Encoding
  let row: Int
  let convention: SparseAutoencoder.InputConvention
  private let values: ValueLines
  /// Nil where features compete.
  private let active: ActiveLines?
  private let products: [Float]
  /// Where each feature begins or ends to be active; nil where features compete, or samples are normalised.
  private let lines: FeatureBounds?

  /// - Parameters:
  ///   - row: the vector among those encoded.
  ///   - convention: of b_dec on the encoder's input.
  package init(
    _ encoding: Encoding, row: Int, convention: SparseAutoencoder.InputConvention, of autoencoder: SparseAutoencoder
  ) {
    self.encoding = encoding
    self.row = row
    self.convention = convention
    values = ValueLines(encoding, row: row, convention: convention)
    active = encoding.activeLines(convention)
    products = encoding.products(row)
    let isDirect = autoencoder.normalizesEachSample || active == nil
    lines =
      isDirect
      ? nil
      : FeatureBounds(
        slopes: encoding.slopes(row), intercepts: encoding.intercepts(convention), thresholds: autoencoder.thresholds,
        magnitudes: encoding.magnitudeIntercepts(convention) == nil ? nil : values)
  }

  /// The code of `coefficient` times the vector. O(F).
  package func code(at coefficient: Float) -> SignedCode {
    guard let active else {
      return SignedCode(dense: encoding.code(row, coefficient: coefficient, convention: convention))
    }
    let found = active.code(of: products, amplitude: encoding.amplitude(row, coefficient: coefficient))
    return SignedCode(width: width, indices: found.indices, values: found.values)
  }

  /// The mean over the active features of the share of their pre-activation that is bias; nil where none is active.
  package func biasShare(at coefficient: Float) -> Double? {
    values.biasShare(
      of: code(at: coefficient), amplitude: encoding.amplitude(row, coefficient: coefficient))
  }

  /// F, the number of features.
  var width: Int { products.count }

  /// Whether this is the ladder of the same vector and convention, for two of one encoding.
  func isOfSameVector(as other: CoefficientLadder) -> Bool { row == other.row && convention == other.convention }

  /// Whether features have intervals of their own: then `rows(at:of:)` decodes codes, and `intervals(of:)` counts features.
  var hasIntervals: Bool { lines != nil }

  /// On which side of which bound features are active.
  /// - Precondition: `hasIntervals`.
  func intervals(of features: some Sequence<Int32>) -> ActiveIntervals {
    guard let lines else { preconditionFailure("features have no intervals of their own") }
    return ActiveIntervals(features, lines)
  }

  /// The codes at rising coefficients as weights of the decoder's rows.
  /// - Parameter features: what is active at any of the coefficients, rising.
  /// - Precondition: `hasIntervals`.
  func rows(at coefficients: [Float], of features: [Int32]) -> LadderRows {
    let intervals = intervals(of: features)
    return LadderRows(
      coefficients: coefficients, slopes: values.slopes, intercepts: values.intercepts,
      from: (intervals.rising.bounds, intervals.rising.features),
      upTo: (intervals.falling.bounds, intervals.falling.features))
  }
}
