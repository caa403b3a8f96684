internal import Kernels

/// For which coefficients each feature is active: closed intervals of `Float`, sorted so that the active features at a
/// coefficient are counted in O(log F).
struct ActiveIntervals: Sendable {
  /// F, the number of features.
  private let width: Int
  /// Active from their bounds upwards.
  private let rising: Bounds
  /// Active up to their bounds.
  private let falling: Bounds
  /// Active between two bounds (gated SAEs only), by their lower bounds, and their upper bounds by feature.
  private let between: Bounds
  private let uppers: [Int32: Float]
  /// The upper bounds of `between`, rising.
  private let upperBounds: [Float]

  /// Features by rising bound.
  private struct Bounds: Sendable {
    let bounds: [Float]
    let features: [Int32]

    /// - Parameter pairs: by rising feature.
    init(_ pairs: [(bound: Float, feature: Int32)]) {
      let order = risingOrder(pairs.map(\.bound))
      bounds = order.map { pairs[Int($0)].bound }
      features = order.map { pairs[Int($0)].feature }
    }
  }

  static let wholeAxis = -Float.greatestFiniteMagnitude...Float.greatestFiniteMagnitude

  /// - Parameters:
  ///   - intervals: the features that are ever active, each with its interval.
  ///   - width: F, the number of features.
  init(_ intervals: some Sequence<(feature: Int32, range: ClosedRange<Float>)>, width: Int) {
    var rising: [(bound: Float, feature: Int32)] = []
    var (falling, between, uppers) = (rising, rising, [Int32: Float]())
    for (feature, range) in intervals {
      if range.upperBound == Self.wholeAxis.upperBound {
        rising.append((range.lowerBound, feature))
      } else if range.lowerBound == Self.wholeAxis.lowerBound {
        falling.append((range.upperBound, feature))
      } else {
        between.append((range.lowerBound, feature))
        uppers[feature] = range.upperBound
      }
    }
    self.width = width
    self.rising = Bounds(rising)
    self.falling = Bounds(falling)
    self.between = Bounds(between)
    self.uppers = uppers
    upperBounds = uppers.values.sorted()
  }

  /// The number of active features at a coefficient.
  func count(at coefficient: Float) -> Int {
    let begun = between.bounds.partitionIndex { $0 > coefficient }
    let over = upperBounds.partitionIndex { $0 >= coefficient }
    return rising.bounds.partitionIndex { $0 > coefficient } + begun - over
      + (falling.bounds.count - falling.bounds.partitionIndex { $0 >= coefficient })
  }

  /// Whether each is active from a bound on, or up to one.
  var areHalfLines: Bool { uppers.isEmpty }

  /// The active features at rising coefficients with their lines as weights.
  /// - Precondition: `areHalfLines`.
  func rows(at coefficients: [Float], slopes: [Float], intercepts: [Float]) -> LadderRows {
    precondition(areHalfLines, "features that are active between two bounds have no place on one side of one")
    return LadderRows(
      coefficients: coefficients, slopes: slopes, intercepts: intercepts, from: (rising.bounds, rising.features),
      upTo: (falling.bounds, falling.features))
  }

  /// The coefficients at which the count may change, rising: it is constant from each to just below the next.
  var steps: [Float] {
    let ends = falling.bounds + upperBounds
    let starts = rising.bounds + between.bounds + ends.map(\.nextUp)
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
