package import Kernels

extension LanguageModel {
  /// Next-token logits of residual rows after the last block: final norm, unembedding, soft cap. `[rows, vocabulary]`.
  package func logits(_ residual: Matrix) -> Matrix {
    var logits = multiply(normalised(residual, finalNorm), unembedding(), pool: pool)
    cap(&logits)
    return logits
  }

  /// The logits of the named tokens only, `[rows, tokens]`: the bits of the full matrix, for the work of these columns.
  package func logits(_ residual: Matrix, tokens: [Int]) -> Matrix {
    var logits = multiply(normalised(residual, finalNorm), unembedding(), outputs: tokens, pool: pool)
    cap(&logits)
    return logits
  }

  /// Natural logarithms of the probability of `tokens[i]` after residual row i; see `logProbabilities(_:at:rowsAtOnce:)`.
  package func logProbabilities(_ residual: Matrix, of tokens: [Int], rowsAtOnce: Int? = nil) -> [Double] {
    precondition(tokens.count == residual.rows, "a token for every row")
    return logProbabilities(residual, at: tokens.enumerated().map { ($0, $1) }, rowsAtOnce: rowsAtOnce)
  }

  /// Natural logarithms of the probability of tokens after residual rows, in the order asked for. A row may be asked for several.
  ///
  /// Rows go in blocks, so that memory does not grow with their number times the vocabulary. A row's result does not depend on the
  /// others.
  /// - Parameter rowsAtOnce: rows of a block; by default as many as 32 MB of logits hold.
  package func logProbabilities(
    _ residual: Matrix, at places: [(row: Int, token: Int)], rowsAtOnce: Int? = nil
  ) -> [Double] {
    let step = max(1, rowsAtOnce ?? (1 << 23) / architecture.vocabulary)
    var result = [Double](repeating: .nan, count: places.count)
    let order = places.indices.sorted { places[$0].row < places[$1].row }
    var next = 0
    for first in stride(from: 0, to: residual.rows, by: step) {
      let rows = first..<min(residual.rows, first + step)
      let logits = logits(residual.rows(rows))
      let totals = logSumExpRows(logits, pool: pool)
      while next < order.count, places[order[next]].row < rows.upperBound {
        let (row, token) = places[order[next]]
        result[order[next]] = Double(logits[row - first, token]) - Double(totals[row - first])
        next += 1
      }
    }
    return result
  }

  private func cap(_ logits: inout Matrix) {
    if let cap = architecture.finalSoftcap { softcap(&logits, cap: cap, pool: pool) }
  }
}
