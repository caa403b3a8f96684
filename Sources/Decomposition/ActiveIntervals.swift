/// For which coefficients each feature is active: closed intervals of `Float`, sorted so that the active features at a
/// coefficient are found in O(log F + active).
struct ActiveIntervals: Sendable {
  /// Active from `bound` upwards, by rising bound.
  private var rising: [(bound: Float, feature: Int32)] = []
  /// Active up to `bound`, by rising bound.
  private var falling: [(bound: Float, feature: Int32)] = []
  /// Active between two bounds (gated SAEs only), by rising lower bound.
  private var between: [(lower: Float, upper: Float, feature: Int32)] = []
  /// The upper bounds of `between`, rising.
  private var upperBounds: [Float] = []

  static let wholeAxis = -Float.greatestFiniteMagnitude...Float.greatestFiniteMagnitude

  /// - Parameter intervals: the features that are ever active, each with its interval.
  init(_ intervals: some Sequence<(feature: Int32, range: ClosedRange<Float>)>) {
    for (feature, range) in intervals {
      if range.upperBound == Self.wholeAxis.upperBound {
        rising.append((range.lowerBound, feature))
      } else if range.lowerBound == Self.wholeAxis.lowerBound {
        falling.append((range.upperBound, feature))
      } else {
        between.append((range.lowerBound, range.upperBound, feature))
      }
    }
    rising.sort { ($0.bound, $0.feature) < ($1.bound, $1.feature) }
    falling.sort { ($0.bound, $0.feature) < ($1.bound, $1.feature) }
    between.sort { ($0.lower, $0.feature) < ($1.lower, $1.feature) }
    upperBounds = between.map(\.upper).sorted()
  }

  /// The number of active features at a coefficient.
  func count(at coefficient: Float) -> Int {
    let begun = between.partitionIndex { $0.lower > coefficient }
    let over = upperBounds.partitionIndex { $0 >= coefficient }
    return rising.partitionIndex { $0.bound > coefficient } + begun - over
      + (falling.count - falling.partitionIndex { $0.bound >= coefficient })
  }

  /// The active features at a coefficient, rising.
  func active(at coefficient: Float) -> [Int32] {
    var features = rising[..<rising.partitionIndex { $0.bound > coefficient }].map(\.feature)
    features += falling[falling.partitionIndex { $0.bound >= coefficient }...].map(\.feature)
    features += between[..<between.partitionIndex { $0.lower > coefficient }].lazy
      .filter { $0.upper >= coefficient }.map(\.feature)
    return features.sorted()
  }

  /// The coefficients at which the count may change, rising: it is constant from each to just below the next.
  var steps: [Float] {
    let ends = falling.map(\.bound) + upperBounds
    let starts = rising.map(\.bound) + between.map(\.lower) + ends.map(\.nextUp)
    var steps: [Float] = []
    for start in starts.sorted() where start.isFinite && start != steps.last { steps.append(start) }
    return steps
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

  /// The coefficients at which `fma(c, slope, intercept) > threshold` in `Float`; nil where there is none.
  ///
  /// The line rises (or falls) with c, rounding included, so that one `Float` next to c* divides the axis: the closed
  /// form finds it up to rounding, and a search from there finds it exactly.
  var active: ClosedRange<Float>? {
    guard let crossing else { return intercept > threshold ? ActiveIntervals.wholeAxis : nil }
    let greatest = Float.greatestFiniteMagnitude
    if slope > 0 { return onset(slope, near: crossing).map { $0...greatest } }
    return onset(-slope, near: -crossing).map { -greatest ... -$0 }
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
