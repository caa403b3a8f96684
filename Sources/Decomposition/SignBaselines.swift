internal import Kernels
internal import SweepRecords

/// Directions drawn at random: what the signs of projections look like when they mean nothing.
struct SignBaselines {
  static let directions = 8
  /// How many of the largest projections are looked at.
  static let largest = 100

  /// Random directions, `[directions, d]`: direction i draws from stream i of the seed.
  static func directions(seed: UInt64, dimension: Int) -> Matrix {
    var elements: [Float] = []
    elements.reserveCapacity(directions * dimension)
    for index in 0..<directions {
      var generator = CounterGenerator(seed: seed, stream: 0x7369_676E_0000_0000 | UInt64(index))
      for _ in 0..<dimension { elements.append(Float(generator.gaussian())) }
    }
    return Matrix(rows: directions, columns: dimension, elements: elements)
  }

  /// Negative ones among the 100 largest by magnitude.
  static func negatives(amongLargest values: [Float]) -> Int {
    topKByMagnitude(values, largest).count { values[$0] < 0 }
  }
}

extension DecompositionMetrics.SignCounts {
  /// - Parameters:
  ///   - difference: the pairs' difference code.
  ///   - slopes: w_j . v up to a positive factor, `[F]`.
  ///   - projections: d_j . v up to a positive factor, `[F]`.
  mutating func count(_ difference: SignedCode, slopes: [Float], projections: [Float]) {
    let largest = difference.cut(to: .atoms(SignBaselines.largest))
    negative = largest.values.count { $0 < 0 }
    negativeProjection = largest.indices.count { slopes[Int($0)] < 0 && projections[Int($0)] < 0 }
  }
}
