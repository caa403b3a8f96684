package import Kernels
package import LanguageModels
package import SweepRecords

/// The residual stream of both answers of some pairs, read as the extraction says.
package struct PairActivations: Sendable, Equatable {
  /// By layer: [pairs, d].
  package var positive: [Int: Matrix]
  package var negative: [Int: Matrix]
  /// Where a mean over the answer is read and its tokens are kept: these, pair by pair, by layer: [tokens, d] ...
  package var positiveTokens: [Int: Matrix] = [:]
  package var negativeTokens: [Int: Matrix] = [:]
  /// ... and how many each answer has.
  package var positiveCounts: [Int] = []
  package var negativeCounts: [Int] = []
}

/// Where an extraction ended, for one of the same pairs at higher layers to go on from.
package struct ExtractionStreams: Sendable {
  /// The highest layer that was read.
  package var layer: Int
  var head: ResidualStream?
  /// Of each batch: what both answers share, and the answers.
  var batches: [(prefix: ResidualStream, tail: ResidualStream)] = []
}

/// Reads the residual stream at contrast pairs: all layers in one pass, shared prefixes run once, no block above the highest
/// wanted layer, and none below that an extraction of lower layers has run.
package struct Extraction: Sendable {
  let model: LanguageModel
  let layers: [Int]
  let read: ReadPosition
  /// Whether the tokens behind a mean over the answer are kept, for who needs more than the mean.
  let keepsTokens: Bool
  /// How many pairs run together; without effect on the result.
  let batch: Int

  package init(
    model: LanguageModel, layers: [Int], read: ReadPosition, keepsTokens: Bool = false, batch: Int = 16
  ) {
    self.keepsTokens = keepsTokens && read == .answerMean
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
  { try activations(of: pairs, from: nil, progress: progress).activations }

  /// Runs the pairs, and says where that ended.
  ///
  /// - Parameter earlier: where an extraction of the same pairs, batch and reading ended; begun anew where that is not below
  ///   all layers.
  package func activations(
    of pairs: [TokenizedPair], from earlier: ExtractionStreams?, progress: (Int) -> Bool = { _ in true }
  ) throws -> (activations: PairActivations, streams: ExtractionStreams) {
    let earlier = earlier.flatMap { earlier in layers.allSatisfy { $0 > earlier.layer } ? earlier : nil }
    let width = model.architecture.width
    let empty = Matrix(rows: 0, columns: width)
    var result = PairActivations(positive: [:], negative: [:])
    for layer in layers {
      result.positive[layer] = empty
      result.negative[layer] = empty
    }
    let (head, stream) = try SharedHead.advanced(
      pairs.map { $0.prompt.dropLast() }, to: layers.max() ?? 0, from: earlier?.head, model: model)
    var streams = ExtractionStreams(layer: layers.max() ?? 0, head: stream)
    for start in stride(from: 0, to: pairs.count, by: batch) {
      let chosen = Array(pairs[start..<min(start + batch, pairs.count)])
      let (read, ends) = try self.read(chosen, head: head, from: earlier?.batches[start / batch])
      streams.batches.append(ends)
      for layer in layers {
        result.positive[layer]?.append(rows: read.positive[layer] ?? empty)
        result.negative[layer]?.append(rows: read.negative[layer] ?? empty)
        if keepsTokens {
          result.positiveTokens[layer, default: empty].append(rows: read.positiveTokens[layer] ?? empty)
          result.negativeTokens[layer, default: empty].append(rows: read.negativeTokens[layer] ?? empty)
        }
      }
      if keepsTokens {
        result.positiveCounts += chosen.map(\.positive.count)
        result.negativeCounts += chosen.map(\.negative.count)
      }
      guard progress(start + chosen.count) else { throw CancellationError() }
    }
    return (result, streams)
  }

  private typealias Ends = (prefix: ResidualStream, tail: ResidualStream)

  private func read(
    _ pairs: [TokenizedPair], head: SharedHead, from earlier: Ends?
  ) throws -> (PairActivations, Ends) {
    // What both answers share: the prompt, and their common first tokens.
    let shared = pairs.map { Array(($0.prompt + $0.positive.prefix($0.commonAnswerTokens))[head.count...]) }
    var caches = pairs.map { _ in head.cache }
    let prefix = try model.advance(shared, to: layers, from: earlier?.prefix, caches: &caches)
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
    var tailCaches = caches.flatMap { Array(repeating: $0.asPrefix(), count: 2) }
    let tail = try model.advance(tails, to: layers, from: earlier?.tail, caches: &tailCaches, keepsCache: false)
    var tailStart = 0
    let tailRows = tails.map { tokens in
      tailStart += tokens.count
      return tailStart - tokens.count..<tailStart
    }

    var result = PairActivations(positive: [:], negative: [:])
    for layer in layers {
      guard let before = prefix.captured[layer], let after = tail.captured[layer] else { continue }
      let empty = Matrix(rows: 0, columns: model.architecture.width)
      func readings(_ side: Int) -> (means: Matrix, tokens: Matrix) {
        var (means, tokens) = (empty, empty)
        for index in pairs.indices {
          var rows = read == .answerMean ? before.rows(prefixRows[index]) : empty
          rows.append(rows: after.rows(tailRows[2 * index + side]))
          means.append(rows: read == .firstDifference ? rows : mean(rows))
          if keepsTokens { tokens.append(rows: rows) }
        }
        return (means, tokens)
      }
      let (positive, negative) = (readings(0), readings(1))
      result.positive[layer] = positive.means
      result.negative[layer] = negative.means
      if keepsTokens {
        result.positiveTokens[layer] = positive.tokens
        result.negativeTokens[layer] = negative.tokens
      }
    }
    return (result, (prefix.stream, tail.stream))
  }

  /// The mean of all rows, as one row: double sums over ascending rows.
  private func mean(_ rows: Matrix) -> Matrix {
    Matrix(rows: 1, columns: rows.columns, elements: columnMeans(rows).map { Float($0) })
  }
}
