package import Kernels
package import LanguageModels
package import SweepRecords

/// The residual stream of both answers of some pairs, read as the extraction says.
package struct PairActivations: Sendable, Equatable {
  /// By layer: [pairs, d].
  package var positive: [Int: Matrix]
  package var negative: [Int: Matrix]
}

/// Reads the residual stream at contrast pairs: all layers in one pass, shared prefixes run once, no block above the highest
/// wanted layer.
package struct Extraction: Sendable {
  let model: LanguageModel
  let layers: [Int]
  let read: ReadPosition
  /// How many pairs run together; without effect on the result.
  let batch: Int

  package init(model: LanguageModel, layers: [Int], read: ReadPosition, batch: Int = 16) {
    self.model = model
    self.layers = layers
    self.read = read
    self.batch = max(batch, 1)
  }

  /// Runs the pairs.
  ///
  /// - Parameter progress: told how many pairs are done; false stops.
  /// - Throws: `InputError` for a pair longer than the model's context; `CancellationError` when told to stop.
  package func activations(of pairs: [TokenizedPair], progress: (Int) -> Bool = { _ in true }) throws -> PairActivations
  {
    let width = model.architecture.width
    let empty = Matrix(rows: 0, columns: width)
    var result = PairActivations(positive: [:], negative: [:])
    for layer in layers {
      result.positive[layer] = empty
      result.negative[layer] = empty
    }
    let head = try SharedHead(of: pairs.map { $0.prompt.dropLast() }, blocks: blocks, model: model)
    for start in stride(from: 0, to: pairs.count, by: batch) {
      let chosen = Array(pairs[start..<min(start + batch, pairs.count)])
      let read = try self.read(chosen, head: head)
      for layer in layers {
        result.positive[layer]?.append(rows: read.positive[layer] ?? empty)
        result.negative[layer]?.append(rows: read.negative[layer] ?? empty)
      }
      guard progress(start + chosen.count) else { throw CancellationError() }
    }
    return result
  }

  private var blocks: Range<Int> { 0..<(layers.max() ?? 0) + 1 }

  private func read(_ pairs: [TokenizedPair], head: SharedHead) throws -> PairActivations {
    // What both answers share: the prompt, and their common first tokens.
    let shared = pairs.map { Array(($0.prompt + $0.positive.prefix($0.commonAnswerTokens))[head.count...]) }
    var caches = pairs.map { _ in head.cache }
    let prefix = try model.forward(
      shared, BlockRun(blocks: blocks, capturedLayers: layers, finalRows: []), caches: &caches)
    var prefixStart = 0
    let prefixRows = zip(pairs, shared).map { pair, tokens in
      prefixStart += tokens.count
      return prefixStart - pair.commonAnswerTokens..<prefixStart
    }

    // Then each answer's own tokens, no further than they are read.
    let tails = pairs.flatMap { pair in
      [pair.positive, pair.negative].map {
        Array($0[pair.commonAnswerTokens...].prefix(read == .firstDifference ? 1 : .max))
      }
    }
    var tailCaches = caches.flatMap { [$0, $0] }
    let run = BlockRun(blocks: blocks, capturedLayers: layers, finalRows: [], keepsCache: false)
    let tail = try model.forward(tails, run, caches: &tailCaches)
    var tailStart = 0
    let tailRows = tails.map { tokens in
      tailStart += tokens.count
      return tailStart - tokens.count..<tailStart
    }

    var result = PairActivations(positive: [:], negative: [:])
    for layer in layers {
      guard let before = prefix.captured[layer], let after = tail.captured[layer] else { continue }
      func readings(_ side: Int) -> Matrix {
        var rows = Matrix(rows: 0, columns: model.architecture.width)
        for index in pairs.indices {
          let own = after.rows(tailRows[2 * index + side])
          let reading = read == .firstDifference ? own : mean(before.rows(prefixRows[index]), own)
          rows.append(rows: reading)
        }
        return rows
      }
      result.positive[layer] = readings(0)
      result.negative[layer] = readings(1)
    }
    return result
  }

  /// The mean of all rows of both, as one row: double sums over ascending rows.
  private func mean(_ first: Matrix, _ second: Matrix) -> Matrix {
    var all = first
    all.append(rows: second)
    return Matrix(rows: 1, columns: all.columns, elements: columnMeans(all).map { Float($0) })
  }
}
