internal import Kernels
package import LanguageModels

/// What steering does to text that has nothing to do with the behaviour: the cross-entropy of each next token, in contexts of
/// fixed length, with every position steered. The blocks up to the steered one run once for all variants and coefficients.
package struct NeutralText: Sendable {
  let model: LanguageModel
  let layer: Int
  /// Contexts that run together; without effect on the result.
  let batch: Int

  package init(model: LanguageModel, layer: Int, batch: Int = 4) {
    self.model = model
    self.layer = layer
    self.batch = max(batch, 1)
  }

  /// Summed cross-entropy in nats over all predicted tokens, [variants][coefficients], and how many tokens that were.
  ///
  /// - Parameters:
  ///   - contexts: token sequences; each token but the first is predicted from those before it.
  ///   - directions: each variant's vector [d], already at its norm and unit.
  ///   - progress: told which share is done; false stops.
  package func crossEntropy(
    of contexts: [[Int]], directions: [[Float]], coefficients: [Double], progress: (Double) -> Bool = { _ in true }
  ) throws -> (sums: [[Double]], tokens: Int) {
    let contexts = contexts.filter { $0.count > 1 }
    var sums = directions.map { _ in coefficients.map { _ in 0.0 } }
    for start in stride(from: 0, to: contexts.count, by: batch) {
      let chosen = Array(contexts[start..<min(start + batch, contexts.count)])
      let inputs = chosen.map { Array($0.dropLast()) }
      let below = BlockRun(blocks: 0..<layer + 1, keepsCache: false)
      let residual = try model.forward(inputs, below).residual
      let baseline = try coefficients.contains(0) ? entropies(of: residual, chosen, inputs) : []
      for (variant, direction) in directions.enumerated() {
        for (index, coefficient) in coefficients.enumerated() {
          guard coefficient != 0 else {
            for entropy in baseline { sums[variant][index] += entropy }
            continue
          }
          var steered = residual
          let addition = ResidualAddition(
            layer: layer, vector: direction, coefficient: Float(coefficient), rows: Array(0..<residual.rows))
          addition.apply(to: &steered)
          for entropy in try entropies(of: steered, chosen, inputs) { sums[variant][index] += entropy }
        }
        let share =
          (Double(variant + 1) / Double(directions.count) * Double(chosen.count) + Double(start))
          / Double(contexts.count)
        guard progress(share) else { throw CancellationError() }
      }
    }
    return (sums, contexts.reduce(0) { $0 + $1.count - 1 })
  }

  /// Each context's cross-entropy, so that sums go by context whatever runs together.
  private func entropies(of residual: Matrix, _ contexts: [[Int]], _ inputs: [[Int]]) throws -> [Double] {
    var caches = inputs.map { _ in model.emptyCache() }
    let above = BlockRun(blocks: layer + 1..<model.architecture.blocks, keepsCache: false)
    let final = try model.run(above, residual: residual, parts: inputs.map(\.count), caches: &caches).residual
    let logs = model.logProbabilities(final, of: contexts.flatMap { $0.dropFirst() })
    var row = 0
    return inputs.map { tokens in
      row += tokens.count
      return -logs[row - tokens.count..<row].reduce(0, +)
    }
  }
}
