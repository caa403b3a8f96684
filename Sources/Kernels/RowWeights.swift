/// Weights for the rows of a matrix: sparse rows, then ladders, a row of results for each sparse row and each coefficient.
package struct RowWeights: Sendable {
  package var sparse: SparseRows
  package var ladders: [LadderRows]

  /// - Precondition: all are for matrices of as many rows.
  package init(sparse: SparseRows, ladders: [LadderRows] = []) {
    precondition(ladders.allSatisfy { $0.columns == sparse.columns }, "weights for the rows of one matrix")
    (self.sparse, self.ladders) = (sparse, ladders)
  }

  /// Rows of results.
  package var rows: Int { ladders.reduce(sparse.rows) { $0 + $1.coefficients.count } }

  /// The rows of the matrix that have a weight, rising.
  var named: [Int32] {
    let indices = ladders.reduce(into: sparse.indices) { indices, ladder in
      indices += ladder.counting.rows
      indices += ladder.ending.rows
    }
    return rising(indices, below: sparse.columns)
  }
}
