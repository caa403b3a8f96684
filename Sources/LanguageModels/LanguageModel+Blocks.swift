package import Diagnostics
package import Kernels

extension LanguageModel {
  /// Runs whole sequences, or the next tokens of sequences whose caches hold what came before.
  ///
  /// - Parameters:
  ///   - sequences: the tokens to run, a sequence each; their rows follow each other in the batch.
  ///   - run: its blocks must begin at 0.
  ///   - caches: one a sequence; they grow by the tokens run if the run keeps them.
  package func forward(
    _ sequences: [[Int]], _ run: BlockRun, caches: inout [KeyValueCache]
  ) throws(InputError) -> BlockRunResult {
    precondition(run.blocks.lowerBound == 0, "tokens enter at block 0")
    let residual = try embed(sequences.flatMap { $0 })
    return try self.run(run, residual: residual, parts: sequences.map(\.count), caches: &caches)
  }

  /// Runs whole sequences from their beginning; keys and values are not kept.
  package func forward(_ sequences: [[Int]], _ run: BlockRun) throws(InputError) -> BlockRunResult {
    var caches = sequences.map { _ in emptyCache() }
    var run = run
    run.keepsCache = false
    return try forward(sequences, run, caches: &caches)
  }

  /// Takes the residual stream of a batch through some blocks.
  ///
  /// Linear layers see the rows of all sequences at once; attention goes by sequence.
  /// - Parameters:
  ///   - residual: the stream before the first block of the run, `[rows, width]`.
  ///   - parts: rows of each sequence, in order; they sum to the number of rows.
  ///   - caches: one for each part. A part's positions go on from what its cache holds for the blocks run.
  /// - Throws: `InputError` where a sequence becomes longer than the model's context.
  package func run(
    _ run: BlockRun, residual: Matrix, parts: [Int], caches: inout [KeyValueCache]
  ) throws(InputError) -> BlockRunResult {
    try self.run(run, residual: residual, parts: parts.map { BatchPart(rows: $0) }, caches: &caches)
  }

  /// The same for sequences that may begin with rows of the sequence before them. These rows' caches must hold the same.
  package func run(
    _ run: BlockRun, residual: Matrix, parts: [BatchPart], caches: inout [KeyValueCache]
  ) throws(InputError) -> BlockRunResult {
    precondition(run.blocks.lowerBound >= 0 && run.blocks.upperBound <= architecture.blocks, "no such blocks")
    precondition(run.capturedLayers.allSatisfy(run.blocks.contains), "only layers of the blocks run can be kept")
    precondition(residual.columns == architecture.width, "the residual stream must be as wide as the model")
    let layout = BatchLayout(parts: parts, caches: caches, block: run.blocks.lowerBound, of: architecture.blocks)
    precondition(layout.rows == residual.rows, "the parts must be the rows of the residual stream")
    try checkContext(layout.positions.max().map { $0 + 1 } ?? 0, subject: "\(name): sequence")
    let table = rotaryTable(positions: layout.positions.max().map { $0 + 1 } ?? 0)

    var stream = residual
    var captured: [Int: Matrix] = [:]
    for block in run.blocks {
      let isLast = block == run.blocks.upperBound - 1
      let wanted = isLast ? WantedRows(run, lastBlock: block, rows: layout.rows) : .all
      stream = advance(stream, block: block, layout: layout, wanted: wanted, table: table, caches: &caches)
      if !run.keepsCache {
        for (index, count) in layout.cached.enumerated() { caches[index].trim(to: count, block: block) }
      }
      for addition in run.additions where addition.layer == block { wanted.apply(addition, to: &stream) }
      if run.capturedLayers.contains(block) { captured[block] = wanted.select(run.capturedRows, of: stream) }
      if isLast { stream = wanted.select(run.finalRows, of: stream) }
    }
    if run.blocks.isEmpty, let rows = run.finalRows { stream = stream.gathering(rows: rows) }
    return BlockRunResult(residual: stream, captured: captured)
  }

  /// One block: the residual stream after it, for the wanted rows. Keys and values of all rows join the caches.
  private func advance(
    _ stream: Matrix, block: Int, layout: BatchLayout, wanted: WantedRows, table: RotaryTable,
    caches: inout [KeyValueCache]
  ) -> Matrix {
    let weights = self.blocks[block]
    let normed = normalised(stream, weights.attentionNorm)
    var keys = weights.key.apply(normed, pool: pool)
    let values = weights.value.apply(normed, pool: pool)
    rotate(
      &keys, heads: architecture.keyValueHeads, headDimension: architecture.headDimension, positions: layout.positions,
      table: table, pool: pool)
    for (index, rows) in layout.ranges.enumerated() {
      for rows in [layout.shared[index], rows] where !rows.isEmpty {
        caches[index].append(block: block, keys: keys, values: values, rows: rows)
      }
    }

    var queries = weights.query.apply(wanted.gather(normed), pool: pool)
    rotate(
      &queries, heads: architecture.heads, headDimension: architecture.headDimension,
      positions: wanted.gather(layout.positions), table: table, pool: pool)
    let parts = layout.attentionParts(block: block, wanted: wanted, caches: caches)
    let attended = attend(queries: queries, parts: parts, shape: attentionShape(block), pool: pool)
    var result = wanted.gather(stream)
    join(weights.output.apply(attended, pool: pool), weights.attentionOutputNorm, &result)

    let input = normalised(result, weights.feedForwardNorm)
    var hidden = weights.gate.apply(input, pool: pool)
    let up = weights.up.apply(input, pool: pool)
    gate(&hidden, times: up, activation: architecture.activation == .silu ? .silu : .geluTanh, pool: pool)
    join(weights.down.apply(hidden, pool: pool), weights.feedForwardOutputNorm, &result)
    return result
  }

  /// Adds a part's output to the residual stream, through its own norm where there is one.
  private func join(_ output: Matrix, _ outputNorm: [Float]?, _ stream: inout Matrix) {
    add(1, outputNorm.map { normalised(output, $0) } ?? output, to: &stream, pool: pool)
  }

  func normalised(_ x: Matrix, _ weight: [Float]) -> Matrix {
    rmsNorm(
      x, weight: weight, epsilon: architecture.normEpsilon, addingOneToWeight: architecture.normAddsOne, pool: pool)
  }

  private func attentionShape(_ block: Int) -> AttentionShape {
    AttentionShape(
      heads: architecture.heads, keyValueHeads: architecture.keyValueHeads, headDimension: architecture.headDimension,
      scale: architecture.scoreScale, softcap: architecture.attentionSoftcap, window: architecture.windows[block])
  }
}
