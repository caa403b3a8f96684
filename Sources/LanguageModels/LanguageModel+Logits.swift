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

  /// Natural logarithms of the probability of `tokens[i]` after residual row i.
  ///
  /// Rows go in blocks, so that memory does not grow with their number times the vocabulary. A row's result does not depend on the
  /// others.
  /// - Parameter rowsAtOnce: rows of a block; by default as many as 32 MB of logits hold.
  package func logProbabilities(_ residual: Matrix, of tokens: [Int], rowsAtOnce: Int? = nil) -> [Double] {
    precondition(tokens.count == residual.rows, "a token for every row")
    let step = max(1, rowsAtOnce ?? (1 << 23) / architecture.vocabulary)
    var result: [Double] = []
    result.reserveCapacity(tokens.count)
    for first in stride(from: 0, to: tokens.count, by: step) {
      let rows = first..<min(tokens.count, first + step)
      let logits = logits(residual.rows(rows))
      for (row, total) in logSumExpRows(logits, pool: pool).enumerated() {
        result.append(Double(logits[row, tokens[first + row]]) - Double(total))
      }
    }
    return result
  }

  private func cap(_ logits: inout Matrix) {
    if let cap = architecture.finalSoftcap { softcap(&logits, cap: cap, pool: pool) }
  }
}
