internal import SparseAutoencoders

/// L0 and the overlap with the zero vector's code as exact step functions of the coefficient, counted in O(log F).
struct CoefficientSteps: Sendable {
  private let all: ActiveIntervals
  private let ofZero: ActiveIntervals
  /// The coefficients at which L0 or the overlap may change, rising: both are constant from each to just below the next, and below
  /// the first.
  let starts: [Float]

  /// Nil for SAEs whose features have no intervals of their own: top-k, and those that normalise each sample. O(F log F).
  init?(_ ladder: CoefficientLadder) {
    guard ladder.hasIntervals else { return nil }
    let zero = ladder.encoding.zeroCode(ladder.convention)
    let features = zero.indices.map { Int32(truncatingIfNeeded: $0) }
    all = ladder.intervals(of: features)
    ofZero = ladder.intervals(of: features.lazy.filter { zero[Int($0)] != 0 })
    starts = all.steps
  }

  /// L0 of the code at a coefficient.
  func l0(at coefficient: Float) -> Int { all.count(at: coefficient) }

  /// The share of the active features that are active for the zero vector too; nil where none is active.
  func zeroOverlap(at coefficient: Float) -> Double? {
    let active = all.count(at: coefficient)
    return active == 0 ? nil : Double(ofZero.count(at: coefficient)) / Double(active)
  }
}
