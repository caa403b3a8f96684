package import Kernels

extension SparseRows {
  /// Where the entries of one row are in `indices` and `values`.
  package func entries(_ row: Int) -> Range<Int> { rowStarts[row]..<rowStarts[row + 1] }

  /// One row with its zeros, `[columns]`.
  package func dense(_ row: Int) -> [Float] {
    var dense = [Float](repeating: 0, count: columns)
    for entry in entries(row) { dense[Int(indices[entry])] = values[entry] }
    return dense
  }

  /// Every entry divided by its column's divisor; where that is 0 the entry becomes 0.
  func divided(byColumn divisors: [Float]) -> SparseRows {
    precondition(divisors.count == columns, "one divisor a column")
    return replacing(
      values: zip(indices, values).map { index, value in
        let divisor = divisors[Int(index)]
        return divisor == 0 ? 0 : value / divisor
      })
  }
}
