internal import Kernels

/// The statistics of an evaluation: computed once, here, in question order, so that every database holds the same numbers.
package struct Steerability: Sendable, Equatable {
  /// One coefficient of the curve.
  package struct Point: Sendable, Equatable {
    package var coefficient: Double
    package var propensity: Double
    /// Standard error of the mean over questions; nan for one question.
    package var standardError: Double
    /// Mean normalised probability of the matching answer.
    package var probability: Double
    /// Share of questions whose matching answer is the likelier one.
    package var accuracy: Double
  }
  package var curve: [Point]
  /// Least-squares slope of each question's propensity on the coefficient.
  package var slopes: [Double]
  package var mean: Double
  package var standardError: Double
  /// Share of questions whose slope is negative.
  package var antiSteerableShare: Double
  /// Spearman's rho of the mean curve; nan where it is flat.
  package var spearman: Double

  /// - Parameter propensities: [questions][coefficients], at least one question.
  package init(propensities: [[Double]], coefficients: [Double]) {
    curve = coefficients.indices.map { index in
      let values = propensities.map { $0[index] }
      return Point(
        coefficient: coefficients[index], propensity: Steerability.mean(values),
        standardError: Steerability.standardError(values),
        probability: Steerability.mean(values.map(Steerability.probability)),
        accuracy: Steerability.mean(values.map { $0 > 0 ? 1 : 0 }))
    }
    slopes = propensities.map { Steerability.slope(of: $0, on: coefficients) }
    mean = Steerability.mean(slopes)
    standardError = Steerability.standardError(slopes)
    antiSteerableShare = Steerability.mean(slopes.map { $0 < 0 ? 1 : 0 })
    spearman = Steerability.spearman(coefficients, curve.map(\.propensity))
  }

  /// P(matching) / (P(matching) + P(other)) for a propensity: the logistic function.
  package static func probability(_ propensity: Double) -> Double {
    let small = Elementary.exp(-propensity.magnitude)
    return propensity >= 0 ? 1 / (1 + small) : small / (1 + small)
  }

  static func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }

  /// Sample standard deviation over the square root of the count; nan for one value.
  static func standardError(_ values: [Double]) -> Double {
    guard values.count > 1 else { return .nan }
    let mean = mean(values)
    let sum = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    return (sum / Double(values.count - 1) / Double(values.count)).squareRoot()
  }

  /// The least-squares slope of y on x; nan when all x are equal.
  static func slope(of y: [Double], on x: [Double]) -> Double {
    let (meanX, meanY) = (mean(x), mean(y))
    var (covariance, variance) = (0.0, 0.0)
    for (x, y) in zip(x, y) {
      covariance += (x - meanX) * (y - meanY)
      variance += (x - meanX) * (x - meanX)
    }
    return variance > 0 ? covariance / variance : .nan
  }

  /// Spearman's rank correlation, ties at their mean rank; nan where either is constant.
  static func spearman(_ x: [Double], _ y: [Double]) -> Double {
    let (a, b) = (ranks(x), ranks(y))
    let slope = slope(of: b, on: a)
    let back = Steerability.slope(of: a, on: b)
    // r² is the product of both slopes; the sign is theirs.
    let r = min(slope * back, 1).squareRoot()
    return slope < 0 ? -r : r
  }

  private static func ranks(_ values: [Double]) -> [Double] {
    let order = values.indices.sorted { values[$0] < values[$1] }
    var ranks = [Double](repeating: 0, count: values.count)
    var start = 0
    while start < order.count {
      var end = start + 1
      while end < order.count && values[order[end]] == values[order[start]] { end += 1 }
      for index in start..<end { ranks[order[index]] = Double(start + end - 1) / 2 }
      start = end
    }
    return ranks
  }
}
