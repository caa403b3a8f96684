/// The bounds of the features of a standard, jumprelu or gated SAE, found one by one.
struct FeatureBounds: Sendable {
  /// Of the pre-activations, or the gates'.
  let slopes: [Float]
  let intercepts: [Float]
  /// 0 for all where nil.
  let thresholds: [Float]?
  /// A gated SAE's magnitudes, whose slopes are multiples of the gates'.
  let magnitudes: ValueLines?

  /// Nil for a feature that is never active.
  func side(of feature: Int) -> ActiveSide? {
    let threshold = max(thresholds?[feature] ?? 0, 0)
    let line = ThresholdLine(slope: slopes[feature], intercept: intercepts[feature], threshold: threshold)
    guard let active = line.active, let magnitudes else { return line.active }
    let magnitude = ThresholdLine(
      slope: magnitudes.slopes[feature], intercept: magnitudes.intercepts[feature], threshold: 0)
    return magnitude.active.flatMap { active.common(with: $0) }
  }
}

/// The side of a bound, itself included, on which a feature is active.
enum ActiveSide: Sendable, Equatable {
  case from(Float)
  case upTo(Float)

  static let wholeAxis = ActiveSide.from(-.greatestFiniteMagnitude)

  /// What two sides have in common where it is a side again: those of two lines that rise, or fall, together.
  func common(with other: ActiveSide) -> ActiveSide? {
    switch (self, other) {
    case (.from(let bound), .from(let next)): return .from(max(bound, next))
    case (.upTo(let bound), .upTo(let next)): return .upTo(min(bound, next))
    case (.wholeAxis, let side), (let side, .wholeAxis): return side
    default: return nil
    }
  }
}

/// A feature's line in the coefficient, `fma(c, slope, intercept)`, and the threshold that it must exceed.
struct ThresholdLine {
  var slope: Float
  var intercept: Float
  var threshold: Float

  /// c* = (threshold - intercept) / slope, where the line crosses the threshold; nil where it never does.
  var crossing: Double? {
    slope == 0 ? nil : (Double(threshold) - Double(intercept)) / Double(slope)
  }

  /// The side of the axis on which `fma(c, slope, intercept) > threshold` in `Float`; nil where it is nowhere.
  ///
  /// The line rises (or falls) with c, rounding included, so that one `Float` next to c* divides the axis: the closed
  /// form finds it up to rounding, and a search from there finds it exactly.
  var active: ActiveSide? {
    guard let crossing else { return intercept > threshold ? .wholeAxis : nil }
    if slope > 0 { return onset(slope, near: crossing).map { .from($0) } }
    return onset(-slope, near: -crossing).map { .upTo(-$0) }
  }

  /// The smallest coefficient at which the line of this positive slope lies above the threshold.
  private func onset(_ slope: Float, near guess: Double) -> Float? {
    func isActive(_ place: Int) -> Bool { intercept.addingProduct(Float(place: place), slope) > threshold }
    let last = Float.greatestFiniteMagnitude.place
    guard isActive(last) else { return nil }
    if isActive(-last) { return -Float.greatestFiniteMagnitude }
    let bounded = max(-Double(Float.greatestFiniteMagnitude), min(Double(Float.greatestFiniteMagnitude), guess))
    // `low` is inactive and `high` active from here on; strides double until they enclose the crossing.
    var (low, high) = (-last, last)
    var (place, stride) = (Float(bounded).place, 1)
    while place > low && place < high {
      if isActive(place) {
        high = place
        place -= stride
      } else {
        low = place
        place += stride
      }
      stride *= 2
    }
    while high - low > 1 {
      let middle = low + (high - low) / 2
      if isActive(middle) { high = middle } else { low = middle }
    }
    return Float(place: high)
  }
}

extension Float {
  /// Where a finite number stands in the order of all: neighbours differ by 1, both zeros are 0.
  fileprivate var place: Int {
    let magnitude = Int(bitPattern & 0x7FFF_FFFF)
    return sign == .minus ? -magnitude : magnitude
  }

  fileprivate init(place: Int) {
    let magnitude = Float(bitPattern: UInt32(abs(place)))
    self = place < 0 ? -magnitude : magnitude
  }
}
