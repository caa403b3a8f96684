/// The sizes that attention needs of a model.
package struct AttentionShape: Sendable {
  package var heads: Int
  package var keyValueHeads: Int
  package var headDimension: Int
  /// Multiplies every score.
  package var scale: Float
  /// Then cap * tanh(score / cap), where there is one.
  package var softcap: Float?
  /// How many positions a query sees, its own included; nil for all before it.
  package var window: Int?

  package init(
    heads: Int, keyValueHeads: Int, headDimension: Int, scale: Float, softcap: Float? = nil, window: Int? = nil
  ) {
    precondition(heads > 0 && keyValueHeads > 0 && heads % keyValueHeads == 0, "heads must divide into groups")
    precondition(headDimension > 0 && (window ?? 1) > 0, "sizes must be positive")
    self.heads = heads
    self.keyValueHeads = keyValueHeads
    self.headDimension = headDimension
    self.scale = scale
    self.softcap = softcap
    self.window = window
  }
}

/// One sequence's part of a batch: its query rows, and where its keys and values lie: a prefix that others may share, then a
/// tail of its own.
///
/// Keys and values are `[positions, keyValueHeads * headDimension]`; only the first `prefixCount` and `tailCount` rows count.
/// Row j of the tail is position `prefixCount + j`. Query row i is at position `firstPosition + i` and sees positions
/// `max(0, p - window + 1)...p`, all of which must be there.
package struct AttentionPart: Sendable {
  package var rows: Range<Int>
  package var firstPosition: Int
  package var prefixKeys: Matrix?
  package var prefixValues: Matrix?
  package var prefixCount: Int
  package var tailKeys: Matrix
  package var tailValues: Matrix
  package var tailCount: Int

  package init(
    rows: Range<Int>, firstPosition: Int, prefixKeys: Matrix? = nil, prefixValues: Matrix? = nil, prefixCount: Int = 0,
    tailKeys: Matrix, tailValues: Matrix, tailCount: Int
  ) {
    self.rows = rows
    self.firstPosition = firstPosition
    self.prefixKeys = prefixKeys
    self.prefixValues = prefixValues
    self.prefixCount = prefixCount
    self.tailKeys = tailKeys
    self.tailValues = tailValues
    self.tailCount = tailCount
  }
}

/// Causal attention with grouped heads: queries `[rows, heads * headDimension]` to outputs of the same shape.
///
/// score = one chain over ascending dimension, times `scale`, then the softcap; weight = e^(score - largest); the weights' sum in
/// 16 lanes by absolute position % 16 and the tree of `dot`; output = one chain of weight * value over ascending position,
/// divided by the sum. So neither a shared prefix nor the batch shows in the bits. Rows that no part names are zeros.
///
/// Parts that hold the same prefix (the same storage) are computed together. O(rows * positions * headDimension) per head;
/// memory: a packed copy of all keys and values.
package func attend(
  queries: Matrix, parts: [AttentionPart], shape: AttentionShape, pool: ThreadPool
) -> Matrix {
  precondition(queries.columns == shape.heads * shape.headDimension, "[rows, heads * headDimension]")
  for part in parts { part.check(shape, queryRows: queries.rows) }
  var output = Matrix(rows: queries.rows, columns: queries.columns)
  output.elements.withUnsafeMutableBufferPointer { target in
    queries.elements.withUnsafeBufferPointer { queries in
      guard let target = target.baseAddress, let queries = queries.baseAddress else { return }
      let plan = AttentionPlan(parts: parts, shape: shape, pool: pool)
      plan.pack(pool)
      pool.divide(plan.units.count) { plan.compute(plan.units[$0], queries, into: target) }
      plan.deallocate()
    }
  }
  return output
}

extension AttentionPart {
  fileprivate func check(_ shape: AttentionShape, queryRows: Int) {
    let width = shape.keyValueHeads * shape.headDimension
    precondition(rows.lowerBound >= 0 && rows.upperBound <= queryRows, "no such query rows")
    precondition(tailKeys.columns == width && tailValues.columns == width, "[positions, keyValueHeads * headDimension]")
    precondition(tailCount >= 0 && tailKeys.rows >= tailCount && tailValues.rows >= tailCount, "tail rows are missing")
    precondition(prefixCount >= 0 && firstPosition >= 0, "no negative positions")
    if prefixCount > 0 {
      guard let prefixKeys, let prefixValues else { preconditionFailure("the prefix is missing") }
      precondition(
        prefixKeys.columns == width && prefixValues.columns == width, "[positions, keyValueHeads * headDimension]")
      precondition(prefixKeys.rows >= prefixCount && prefixValues.rows >= prefixCount, "prefix rows are missing")
    }
    precondition(firstPosition + rows.count <= prefixCount + tailCount, "a query sees a position that is not there")
  }
}
