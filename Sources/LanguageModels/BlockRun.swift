package import Kernels

/// What a pass through the blocks runs, changes and keeps. Rows are rows of the batch's residual stream.
package struct BlockRun: Sendable {
  /// The blocks, in order: `L + 1..<blocks` goes on from a stored residual stream of layer L.
  package var blocks: Range<Int>
  /// What is added to the residual stream after blocks of the range: steering.
  package var additions: [ResidualAddition]
  /// The layers whose residual stream is kept, additions included; within `blocks`.
  package var capturedLayers: [Int]
  /// The rows that are kept of them; nil for all.
  package var capturedRows: [Int]?
  /// The rows wanted after the last block of the range; nil for all. The last block computes no others beyond their keys and
  /// values.
  package var finalRows: [Int]?
  /// Whether keys and values stay in the caches; without, a block's are dropped as soon as it is done.
  package var keepsCache: Bool

  package init(
    blocks: Range<Int>, additions: [ResidualAddition] = [], capturedLayers: [Int] = [], capturedRows: [Int]? = nil,
    finalRows: [Int]? = nil, keepsCache: Bool = true
  ) {
    self.blocks = blocks
    self.additions = additions
    self.capturedLayers = capturedLayers
    self.capturedRows = capturedRows
    self.finalRows = finalRows
    self.keepsCache = keepsCache
  }
}

/// The rows of one sequence in a batch.
package struct BatchPart: Sendable, Hashable {
  /// Rows that are run for this sequence.
  package var rows: Int
  /// How many rows it begins with that are the first rows of the part before it: run there, once for both.
  package var shared: Int

  package init(rows: Int, shared: Int = 0) {
    self.rows = rows
    self.shared = shared
  }
}

/// What is left of a pass.
package struct BlockRunResult: Sendable {
  /// The residual stream after the last block of the range: `[finalRows or all rows, width]`.
  package var residual: Matrix
  /// By layer, the residual stream after that block: `[capturedRows or all rows, width]`.
  package var captured: [Int: Matrix]
}

/// A steering vector at work: `residual[row] = fma(coefficient, vector, residual[row])` after block `layer`.
package struct ResidualAddition: Sendable, Equatable {
  package var layer: Int
  /// `[width]`.
  package var vector: [Float]
  package var coefficient: Float
  /// The rows that it is added to.
  package var rows: [Int]

  package init(layer: Int, vector: [Float], coefficient: Float, rows: [Int]) {
    self.layer = layer
    self.vector = vector
    self.coefficient = coefficient
    self.rows = rows
  }

  /// Adds to a residual stream of this addition's layer, such as a stored one, with the bits of a pass that does it.
  package func apply(to residual: inout Matrix) {
    precondition(vector.count == residual.columns, "a steering vector must be as wide as the residual stream")
    for row in rows { add(coefficient, vector, toRow: row, of: &residual) }
  }
}
