package import Kernels

/// Steering vectors from pairs of activations, and their controls (methods.md, section 1).
package enum SteeringVectors {
  /// mean over pairs of h+ - h- [d], in double sums over ascending pairs.
  package static func meanDifference(positive: Matrix, negative: Matrix) -> [Float] {
    columnMeans(differences(positive, negative)).map { Float($0) }
  }

  /// The first principal component of the differences (not centred), with the sign and norm of their mean.
  ///
  /// Found by power iteration on the pairs' Gram matrix, [pairs, pairs]; O(pairs² (d + iterations)).
  package static func principalComponent(positive: Matrix, negative: Matrix, pool: ThreadPool) -> [Float] {
    let differences = differences(positive, negative)
    let mean = columnMeans(differences).map { Float($0) }
    let gram = multiply(differences, PackedMatrix(differences, pool: pool), pool: pool)
    var weights = [Double](repeating: 1, count: differences.rows)
    for _ in 0..<iterations {
      var next = [Double](repeating: 0, count: weights.count)
      for row in next.indices {
        for column in weights.indices { next[row] += Double(gram[row, column]) * weights[column] }
      }
      let length = next.reduce(0) { $0 + $1 * $1 }.squareRoot()
      guard length > 0 else { return mean }
      weights = next.map { $0 / length }
    }
    let combination = Matrix(rows: 1, columns: weights.count, elements: weights.map { Float($0) })
    let component = multiply(combination, differences, pool: pool).row(0)
    let sign: Float = dot(component, mean) < 0 ? -1 : 1
    return rescaled(component.map { sign * $0 }, to: norm(mean))
  }

  /// Power iterations: the share of other components falls by the ratio of eigenvalues squared in each.
  private static let iterations = 200

  /// The mean difference with each pair's sign drawn at random, at the norm of the real one: what a vector of this set looks like
  /// that says nothing about the behaviour.
  package static func shuffled(
    positive: Matrix, negative: Matrix, norm length: Float, seed: UInt64, stream: UInt64
  ) -> [Float] {
    var generator = CounterGenerator(seed: seed, stream: stream)
    var differences = differences(positive, negative)
    for row in 0..<differences.rows where generator.next() & 1 == 1 {
      differences.setRow(row, differences.row(row).map { -$0 })
    }
    return rescaled(columnMeans(differences).map { Float($0) }, to: length)
  }

  /// A direction drawn uniformly from the sphere, at a norm.
  package static func random(dimension: Int, norm length: Float, seed: UInt64, stream: UInt64) -> [Float] {
    var generator = CounterGenerator(seed: seed, stream: stream)
    return rescaled((0..<dimension).map { _ in Float(generator.gaussian()) }, to: length)
  }

  /// The vector at another norm; a zero vector stays one.
  package static func rescaled(_ vector: [Float], to length: Float) -> [Float] {
    let own = norm(vector)
    guard own > 0 else { return vector }
    let factor = length / own
    return vector.map { $0 * factor }
  }

  private static func differences(_ positive: Matrix, _ negative: Matrix) -> Matrix {
    Matrix(
      rows: positive.rows, columns: positive.columns,
      elements: zip(positive.elements, negative.elements).map { $0 - $1 })
  }
}
