internal import Kernels

/// For which coefficients features are active: from a bound on, or up to one, sorted so that the active ones at a coefficient are
/// counted in O(log F).
struct ActiveIntervals: Sendable {
  /// Active from their bounds upwards.
  let rising: Bounds
  /// Active up to their bounds.
  let falling: Bounds

  /// Features by rising bound.
  struct Bounds: Sendable {
    let bounds: [Float]
    let features: [Int32]

    /// - Parameter pairs: by rising feature.
    fileprivate init(_ pairs: [(bound: Float, feature: Int32)]) {
      let order = risingOrder(pairs.map(\.bound))
      bounds = order.map { pairs[Int($0)].bound }
      features = order.map { pairs[Int($0)].feature }
    }
  }

  /// Those that are ever active. O(features).
  /// - Parameter features: rising.
  init(_ features: some Sequence<Int32>, _ lines: FeatureBounds) {
    var (rising, falling): ([(bound: Float, feature: Int32)], [(bound: Float, feature: Int32)]) = ([], [])
    for feature in features {
      switch lines.side(of: Int(feature)) {
      case .from(let bound): rising.append((bound, feature))
      case .upTo(let bound): falling.append((bound, feature))
      case nil: break
      }
    }
    self.rising = Bounds(rising)
    self.falling = Bounds(falling)
  }

  /// The number of active features at a coefficient.
  func count(at coefficient: Float) -> Int {
    rising.bounds.partitionIndex { $0 > coefficient }
      + (falling.bounds.count - falling.bounds.partitionIndex { $0 >= coefficient })
  }

  /// The coefficients at which the count may change, rising: it is constant from each to just below the next.
  var steps: [Float] {
    var steps: [Float] = []
    for start in (rising.bounds + falling.bounds.map(\.nextUp)).sorted() where start.isFinite && start != steps.last {
      steps.append(start)
    }
    return steps
  }
}
