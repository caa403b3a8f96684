/// Weights for the rows of a matrix at several coefficients: row j counts `c a_j + b_j` where the coefficient c lies on the right side
/// of its bound, and nothing elsewhere.
///
/// What one coefficient's weights share with the next one's is added once. A block of 128 rows after the other, first the rows that
/// count from a bound on, by rising bound, then those that count up to one, by falling bound (equal bounds in the given order, and in
/// the opposite one), S = sum a_j B_j and T = sum b_j B_j are chains of fused multiply-adds from +0; where a coefficient is met, its
/// sum becomes `fma(c, S, sum) + T`. Where none of a block's rows counts on a side, the sum stays as it is. So a sum depends on its
/// own coefficient only, and many of them cost what few do. Its rounding errors are of the size of those that products a_j already
/// have: relative to |c a_j| + |b_j|, not to their sum.
package struct LadderRows: Sendable {
  /// Number of rows that there are weights for.
  package let columns: Int
  /// Rising; some may be equal.
  package let coefficients: [Float]
  /// In the order in which rising coefficients meet them.
  let counting: Side
  /// In the order in which falling coefficients meet them.
  let ending: Side

  /// Part of the definition of the sums.
  static let rowsPerBlock = 128

  /// The rows that count on one side of a bound, block by block; those that count at no coefficient are left out.
  struct Side: Sendable {
    private(set) var rows: [Int32]
    private(set) var slopes: [Float]
    private(set) var intercepts: [Float]
    /// Where each block's entries begin, and where the last one's end.
    private(set) var starts: [Int]
    /// How many of a block's entries count at a coefficient, the block's first ones, `[blocks, coefficients]`, coefficients in the
    /// order in which they are met.
    private(set) var counts: [UInt8]

    /// - Parameters:
    ///   - order: the rows as they are met.
    ///   - rungs: which coefficient each is met at first, rising.
    fileprivate init(
      _ order: [Int32], _ rungs: [Int], coefficients: Int, columns: Int, slopes: [Float], intercepts: [Float]
    ) {
      let size = LadderRows.rowsPerBlock
      let blocks = (columns + size - 1) / size
      counts = Array(repeating: 0, count: blocks * coefficients)
      for (row, rung) in zip(order, rungs) { counts[Int(row) / size * coefficients + rung] += 1 }
      starts = [0]
      for block in 0..<blocks {
        var count: UInt8 = 0
        for place in block * coefficients..<(block + 1) * coefficients {
          count += counts[place]
          counts[place] = count
        }
        starts.append(starts[block] + Int(count))
      }
      var next = starts
      rows = Array(repeating: 0, count: order.count)
      for row in order {
        let block = Int(row) / size
        rows[next[block]] = row
        next[block] += 1
      }
      self.slopes = rows.map { slopes[Int($0)] }
      self.intercepts = rows.map { intercepts[Int($0)] }
    }
  }

  /// - Parameters:
  ///   - coefficients: rising.
  ///   - slopes: a, one a row.
  ///   - intercepts: b, one a row.
  ///   - from: rows that count from their bound on, by rising bound.
  ///   - upTo: rows that count up to their bound, by rising bound.
  /// - Precondition: coefficients and bounds rise; no row is named twice.
  /// - Complexity: O(columns + rows named + blocks * coefficients).
  package init(
    coefficients: [Float], slopes: [Float], intercepts: [Float], from: (bounds: [Float], rows: [Int32]),
    upTo: (bounds: [Float], rows: [Int32])
  ) {
    let columns = slopes.count
    precondition(intercepts.count == columns, "a slope and an intercept a row")
    precondition(coefficients.indices.dropFirst().allSatisfy { coefficients[$0 - 1] <= coefficients[$0] }, "not rising")
    var isNamed = [Bool](repeating: false, count: columns)
    for row in from.rows + upTo.rows {
      precondition(row >= 0 && row < columns && !isNamed[Int(row)], "a row lies below the width and has one bound")
      isNamed[Int(row)] = true
    }
    func side(
      _ rows: some Sequence<Int32>, _ bounds: some Sequence<Float>, _ met: [Float], _ counts: (Float, Float) -> Bool
    ) -> Side {
      var (order, rungs, rung) = ([Int32](), [Int](), 0)
      for (row, bound) in zip(rows, bounds) {
        while rung < met.count && !counts(bound, met[rung]) { rung += 1 }
        if rung == met.count { break }
        order.append(row)
        rungs.append(rung)
      }
      return Side(
        order, rungs, coefficients: met.count, columns: columns, slopes: slopes, intercepts: intercepts)
    }
    self.columns = columns
    self.coefficients = coefficients
    counting = side(from.rows, from.bounds, coefficients) { $0 <= $1 }
    ending = side(upTo.rows.reversed(), upTo.bounds.reversed(), coefficients.reversed()) { $0 >= $1 }
  }
}
