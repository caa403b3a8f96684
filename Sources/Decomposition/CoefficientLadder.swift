internal import Kernels
package import SparseAutoencoders

/// How the code f(c v) of a vector changes with the coefficient, over the whole axis at once (methods.md, "The
/// coefficient axis, exactly").
///
/// For standard, jumprelu and gated SAEs without a normalisation of each sample, every feature is active on one
/// interval of coefficients, known from the one product W_enc^T v: after O(F) its L0 and overlap at any coefficient
/// cost O(log F), and codes share what they read of the decoder. Top-k SAEs and those that normalise each sample are
/// evaluated directly. In either case the code at c takes O(F) and is, bit for bit, `Encoding.code(row, coefficient: c)`.
package struct CoefficientLadder: Sendable {
  private enum Form: Sendable {
    case intervals(all: ActiveIntervals, ofZero: ActiveIntervals)
    case direct
  }
  private let encoding: Encoding
  private let row: Int
  private let convention: SparseAutoencoder.InputConvention
  private let width: Int
  private let values: ValueLines
  private let zero: ZeroCode
  private let form: Form
  /// Nil where features compete.
  private let active: ActiveLines?
  private let products: [Float]

  /// - Parameters:
  ///   - row: the vector among those encoded.
  ///   - convention: of b_dec on the encoder's input.
  package init(
    _ encoding: Encoding, row: Int, convention: SparseAutoencoder.InputConvention, of autoencoder: SparseAutoencoder
  ) {
    self.init(
      encoding, row: row, convention: convention, of: autoencoder,
      values: ValueLines(encoding, row: row, convention: convention),
      zero: ZeroCode(SignedCode(dense: encoding.zeroCode(convention))))
  }

  init(
    _ encoding: Encoding, row: Int, convention: SparseAutoencoder.InputConvention, of autoencoder: SparseAutoencoder,
    values: ValueLines, zero: ZeroCode
  ) {
    self.encoding = encoding
    self.row = row
    self.convention = convention
    self.values = values
    self.zero = zero
    width = autoencoder.width
    active = encoding.activeLines(convention)
    products = encoding.products(row)
    if autoencoder.normalizesEachSample || autoencoder.architecture.name == "topk" {
      form = .direct
    } else {
      let intervals = Self.intervals(encoding, row, convention, autoencoder, values)
      form = .intervals(
        all: ActiveIntervals(intervals, width: width),
        ofZero: ActiveIntervals(intervals.filter { zero.contains($0.feature) }, width: width))
    }
  }

  private static func intervals(
    _ encoding: Encoding, _ row: Int, _ convention: SparseAutoencoder.InputConvention,
    _ autoencoder: SparseAutoencoder, _ values: ValueLines
  ) -> [(feature: Int32, range: ClosedRange<Float>)] {
    let slopes = encoding.slopes(row)
    let intercepts = encoding.intercepts(convention)
    let thresholds = autoencoder.thresholds
    let isGated = encoding.magnitudeIntercepts(convention) != nil
    var intervals: [(feature: Int32, range: ClosedRange<Float>)] = []
    for feature in slopes.indices {
      let threshold = max(thresholds?[feature] ?? 0, 0)
      let line = ThresholdLine(slope: slopes[feature], intercept: intercepts[feature], threshold: threshold)
      guard var range = line.active else { continue }
      if isGated {
        let magnitude = ThresholdLine(
          slope: values.slopes[feature], intercept: values.intercepts[feature], threshold: 0)
        guard let open = magnitude.active, open.overlaps(range) else { continue }
        range = range.clamped(to: open)
      }
      intervals.append((Int32(truncatingIfNeeded: feature), range))
    }
    return intervals
  }

  /// The code of `coefficient` times the vector.
  package func code(at coefficient: Float) -> SignedCode {
    guard let active else {
      return SignedCode(dense: encoding.code(row, coefficient: coefficient, convention: convention))
    }
    let found = active.code(of: products, amplitude: encoding.amplitude(row, coefficient: coefficient))
    return SignedCode(width: width, indices: found.indices, values: found.values)
  }

  /// Whether this is the ladder of the same vector and convention, for two of one encoding.
  func isOfSameVector(as other: CoefficientLadder) -> Bool { row == other.row && convention == other.convention }

  /// Whether every feature that is ever active is so on one side of a bound, so that codes can be decoded by `rows(at:)`.
  var sharesRows: Bool {
    if case .intervals(let all, _) = form { return all.areHalfLines }
    return false
  }

  /// The codes at rising coefficients as weights of the decoder's rows.
  /// - Precondition: `sharesRows`.
  func rows(at coefficients: [Float]) -> LadderRows {
    guard case .intervals(let all, _) = form else { preconditionFailure("features have no intervals of their own") }
    return all.rows(at: coefficients, slopes: values.slopes, intercepts: values.intercepts)
  }

  /// L0 of the code at a coefficient.
  package func l0(at coefficient: Float) -> Int {
    if case .intervals(let all, _) = form { return all.count(at: coefficient) }
    return code(at: coefficient).count
  }

  /// The share of the active features that are active for the zero vector too; nil where none is active.
  package func zeroOverlap(at coefficient: Float) -> Double? {
    if case .intervals(let all, let ofZero) = form {
      let active = all.count(at: coefficient)
      return active == 0 ? nil : Double(ofZero.count(at: coefficient)) / Double(active)
    }
    return zero.overlap(with: code(at: coefficient))
  }

  /// The mean over the active features of the share of their pre-activation that is bias; nil where none is active.
  package func biasShare(at coefficient: Float) -> Double? {
    values.biasShare(
      of: code(at: coefficient), amplitude: encoding.amplitude(row, coefficient: coefficient))
  }

  /// The coefficients at which L0 or the overlap may change, rising: both are constant from each to just below the
  /// next, and below the first. Nil for SAEs that are evaluated directly.
  package var steps: [Float]? {
    if case .intervals(let all, _) = form { return all.steps }
    return nil
  }
}
