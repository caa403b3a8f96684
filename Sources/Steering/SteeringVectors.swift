package import Kernels

/// Steering vectors from pairs of activations, and their controls (methods.md, section 1).
package enum SteeringVectors {
  /// mean over pairs of h+ - h- [d], in double sums over ascending pairs.
  package static func meanDifference(positive: Matrix, negative: Matrix) -> [Float] {
    columnMeans(differences(positive, negative)).map { Float($0) }
  }

  /// The first principal component of the differences (not centred), with the sign and norm of their mean.
  ///
  /// Found by power iteration from the mean, v <- D^T (D v); O(pairs d) in each.
  package static func principalComponent(positive: Matrix, negative: Matrix, pool: ThreadPool) -> [Float] {
    let differences = differences(positive, negative)
    let mean = columnMeans(differences).map { Float($0) }
    var component = Matrix(rows: 1, columns: mean.count, elements: rescaled(mean, to: 1))
    for _ in 0..<iterations {
      let weights = multiply(component, transposed: differences, pool: pool)
      let next = rescaled(multiply(weights, differences, pool: pool).row(0), to: 1)
      guard norm(next) > 0 else { return mean }
      if next == component.row(0) { break }
      component = Matrix(rows: 1, columns: next.count, elements: next)
    }
    let sign: Float = dot(component.row(0), mean) < 0 ? -1 : 1
    return rescaled(component.row(0).map { sign * $0 }, to: norm(mean))
  }

  /// Power iterations at most: other components fall by the ratio of eigenvalues in each.
  private static let iterations = 200

  /// The mean difference with the labels of half of the pairs swapped, drawn at random, at the norm of the real one: what a vector
  /// of this set looks like that says nothing about the behaviour. Exactly half (but for an odd pair), as what pairs have in
  /// common would else remain, and at the real one's norm be the real one.
  package static func shuffled(
    positive: Matrix, negative: Matrix, norm length: Float, seed: UInt64, stream: UInt64
  ) -> [Float] {
    var generator = CounterGenerator(seed: seed, stream: stream)
    var differences = differences(positive, negative)
    var order = Array(0..<differences.rows)
    for last in order.indices.dropFirst().reversed() {
      order.swapAt(last, Int(generator.next() % UInt64(last + 1)))
    }
    for row in order.prefix(differences.rows / 2) { differences.setRow(row, differences.row(row).map { -$0 }) }
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
