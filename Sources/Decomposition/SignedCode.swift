internal import Kernels
package import SweepRecords

/// A sparse code whose coefficients may be negative: feature indices rising, no zeros. A value.
package struct SignedCode: Sendable, Equatable {
  /// F, the number of features that there are.
  package let width: Int
  package let indices: [Int32]
  package let values: [Float]

  /// The entries that are not zero.
  /// - Precondition: indices rise strictly and lie below `width`; one value each.
  package init(width: Int, indices: [Int32], values: [Float]) {
    precondition(indices.count == values.count, "one value an index")
    precondition(indices.indices.dropFirst().allSatisfy { indices[$0 - 1] < indices[$0] }, "indices must rise")
    precondition(indices.first.map { $0 >= 0 } ?? true && indices.last.map { $0 < width } ?? true, "no such feature")
    self.width = width
    if values.contains(0) {
      let kept = values.indices.filter { values[$0] != 0 }
      self.indices = kept.map { indices[$0] }
      self.values = kept.map { values[$0] }
    } else {
      self.indices = indices
      self.values = values
    }
  }

  /// What is not zero in a dense code `[F]`.
  package init(dense: [Float]) {
    var indices: [Int32] = []
    var values: [Float] = []
    for (index, value) in dense.enumerated() where value != 0 {
      indices.append(Int32(truncatingIfNeeded: index))
      values.append(value)
    }
    self.init(width: dense.count, indices: indices, values: values)
  }

  /// Coefficients by feature, in any order.
  init(width: Int, _ coefficients: some Sequence<(feature: Int, value: Float)>) {
    let sorted = coefficients.sorted { $0.feature < $1.feature }
    self.init(width: width, indices: sorted.map { Int32($0.feature) }, values: sorted.map(\.value))
  }

  /// L0: the number of coefficients that are not zero.
  package var count: Int { indices.count }

  /// The places of the k largest magnitudes, rising; ties go to the lower index.
  func places(ofLargest sparsity: Sparsity) -> [Int] {
    guard case .atoms(let k) = sparsity, k < count else { return Array(0..<count) }
    return topKByMagnitude(values, k).sorted()
  }

  /// The code of these places only.
  func keeping(_ places: [Int]) -> SignedCode {
    places.count == count
      ? self : SignedCode(width: width, indices: places.map { indices[$0] }, values: places.map { values[$0] })
  }

  /// The k largest magnitudes; ties go to the lower index.
  package func cut(to sparsity: Sparsity) -> SignedCode {
    guard case .atoms(let k) = sparsity, k < count else { return self }
    return keeping(places(ofLargest: sparsity))
  }

  /// The positive coefficients alone.
  package var positivePart: SignedCode { keeping(values.indices.filter { values[$0] > 0 }) }

  /// The negative coefficients alone, still negative.
  package var negativePart: SignedCode { keeping(values.indices.filter { values[$0] < 0 }) }

  /// The share of the sum of squares that is negative; nil for the empty code.
  package var negativeShare: Double? {
    let all = dotInDouble(values, values)
    guard all > 0 else { return nil }
    let negative = values.filter { $0 < 0 }
    return dotInDouble(negative, negative) / all
  }

  /// All coefficients times a factor.
  func scaled(by factor: Float) -> SignedCode {
    SignedCode(width: width, indices: indices, values: values.map { $0 * factor })
  }

  /// With its zeros, `[F]`.
  package var dense: [Float] {
    var dense = [Float](repeating: 0, count: width)
    for (index, value) in zip(indices, values) { dense[Int(index)] = value }
    return dense
  }

  /// The features of the k largest magnitudes, falling; ties go to the lower index.
  func highest(_ k: Int) -> [Int32] { topKByMagnitude(values, k).map { indices[$0] } }

  /// The places of the entries by falling magnitude; ties go to the lower index.
  package var byFallingMagnitude: [Int] { topKByMagnitude(values, count) }
}
