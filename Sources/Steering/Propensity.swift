internal import Diagnostics
internal import Kernels
package import LanguageModels
package import SweepRecords

/// How strongly a steered model prefers the matching answers (methods.md, section 5), with everything shared that neither vector
/// nor coefficient touches: one prefix run per question serves all variants and coefficients, and every case runs only the blocks
/// above the steered one, for the scored positions, in batches.
///
/// Equal, bit for bit, to `NaivePropensity`. A coefficient of 0 adds nothing and is run once for all variants.
package struct Propensity: Sendable {
  let model: LanguageModel
  let layer: Int
  let positions: SteeredPositions
  let score: AnswerScore
  /// Rows that run through the upper blocks together; without effect on the result.
  let rowLimit: Int
  /// Questions whose prefixes are held together; without effect on the result.
  let batch: Int

  package init(
    model: LanguageModel, layer: Int, positions: SteeredPositions, score: AnswerScore, rowLimit: Int = 768,
    batch: Int = 8
  ) {
    self.model = model
    self.layer = layer
    self.positions = positions
    self.score = score
    self.rowLimit = max(rowLimit, 1)
    self.batch = max(batch, 1)
  }

  /// Propensities [variants][questions][coefficients].
  ///
  /// - Parameters:
  ///   - directions: each variant's vector [d], already at its norm and unit.
  ///   - progress: told which share of the work is done; false stops.
  /// - Throws: `InputError` for a question longer than the context; `CancellationError` when told to stop.
  package func evaluate(
    _ pairs: [TokenizedPair], directions: [[Float]], coefficients: [Double], progress: (Double) -> Bool = { _ in true }
  ) throws -> [[[Double]]] {
    var result = directions.map { _ in pairs.map { _ in coefficients.map { _ in 0.0 } } }
    let questions = pairs.map(ScoredQuestion.init)
    let head =
      positions == .all
      ? nil
      : try SharedHead(of: questions.map { $0.prompt.dropLast() }, blocks: 0..<model.architecture.blocks, model: model)
    for start in stride(from: 0, to: questions.count, by: batch) {
      let range = start..<min(start + batch, questions.count)
      let prepared = try prepare(Array(questions[range]), head: head)
      let cases = self.cases(of: prepared, directions: directions.count, coefficients: coefficients)
      var scores: [Case: Double] = [:]
      for chunk in chunks(of: cases, prepared) {
        for (key, value) in zip(chunk, try run(chunk, prepared, directions, coefficients)) { scores[key] = value }
        guard
          progress(
            (Double(start) + Double(scores.count) / Double(cases.count) * Double(range.count)) / Double(pairs.count))
        else { throw CancellationError() }
      }
      for question in range.indices {
        for variant in directions.indices {
          for (index, coefficient) in coefficients.enumerated() {
            func sum(_ side: Int) -> Double {
              let steered = coefficient != 0
              return scores[
                Case(
                  question: question - range.lowerBound, side: side, variant: steered ? variant : -1,
                  coefficient: steered ? index : -1)] ?? .nan
            }
            result[variant][question][index] = questions[question].isSingleToken ? sum(0) : sum(0) - sum(1)
          }
        }
      }
    }
    return result
  }

  /// One forward pass of one answer under one variant and coefficient; -1 stands for "not steered".
  private struct Case: Hashable {
    var question: Int
    var side: Int
    var variant: Int
    var coefficient: Int
  }

  /// A question's state below the steered block: its keys and values, and the residual stream that is steered.
  private struct Prepared {
    var question: ScoredQuestion
    /// Keys and values of the prompt but its last token (empty when all positions are steered).
    var cache: KeyValueCache
    /// By side: residual stream after the steered block at the rows that run on, [rows, d].
    var residuals: [Matrix]
  }

  // MARK: Below the steered block

  private func prepare(_ questions: [ScoredQuestion], head: SharedHead?) throws -> [Prepared] {
    let blocks = 0..<model.architecture.blocks
    var caches = questions.map { _ in head?.cache ?? model.emptyCache() }
    if let head {
      let rest = questions.indices.filter { questions[$0].prompt.count - 1 > head.count }
      var chosen = rest.map { caches[$0] }
      if !rest.isEmpty {
        let tokens = rest.map { Array(questions[$0].prompt.dropLast()[head.count...]) }
        _ = try model.forward(tokens, BlockRun(blocks: blocks, finalRows: []), caches: &chosen)
      }
      for (index, cache) in zip(rest, chosen) { caches[index] = cache }
    }
    let sides = questions.map { $0.answers.count }
    let sequences = questions.flatMap { question in
      question.answers.map { positions == .all ? question.prompt + $0.dropLast() : question.scoredInputs($0) }
    }
    var branched = zip(caches, sides).flatMap { cache, count in Array(repeating: cache, count: count) }
    let run = BlockRun(blocks: 0..<layer + 1, capturedLayers: [layer], finalRows: [], keepsCache: false)
    let captured = try model.forward(sequences, run, caches: &branched).captured[layer]
    guard let captured else { preconditionFailure("the layer was asked for") }
    var row = 0
    var sequence = 0
    return questions.indices.map { index in
      let residuals = (0..<sides[index]).map { _ in
        defer {
          row += sequences[sequence].count
          sequence += 1
        }
        return captured.rows(row..<row + sequences[sequence].count)
      }
      return Prepared(question: questions[index], cache: caches[index], residuals: residuals)
    }
  }

  // MARK: Above it

  private func cases(of prepared: [Prepared], directions: Int, coefficients: [Double]) -> [Case] {
    var cases: [Case] = []
    let steered = coefficients.indices.filter { coefficients[$0] != 0 }
    for question in prepared.indices {
      for side in prepared[question].residuals.indices {
        if steered.count < coefficients.count {
          cases.append(Case(question: question, side: side, variant: -1, coefficient: -1))
        }
        for variant in 0..<directions {
          cases += steered.map { Case(question: question, side: side, variant: variant, coefficient: $0) }
        }
      }
    }
    return cases
  }

  private func chunks(of cases: [Case], _ prepared: [Prepared]) -> [[Case]] {
    var chunks: [[Case]] = []
    var rows = Int.max / 2
    for item in cases {
      let own = prepared[item.question].residuals[item.side].rows
      if rows + own > rowLimit {
        chunks.append([])
        rows = 0
      }
      chunks[chunks.count - 1].append(item)
      rows += own
    }
    return chunks
  }

  /// The score of each case: the answer's log-probability (mean or sum), or for single tokens the logit difference.
  private func run(
    _ cases: [Case], _ prepared: [Prepared], _ directions: [[Float]], _ coefficients: [Double]
  ) throws -> [Double] {
    var residual = Matrix(rows: 0, columns: model.architecture.width)
    var caches: [KeyValueCache] = []
    var parts: [Int] = []
    var scored: [Int] = []
    for item in cases {
      let source = prepared[item.question]
      var rows = source.residuals[item.side]
      if item.variant >= 0 {
        let steered = positions == .last ? [0] : Array(0..<rows.rows)
        let addition = ResidualAddition(
          layer: layer, vector: directions[item.variant], coefficient: Float(coefficients[item.coefficient]),
          rows: steered)
        addition.apply(to: &rows)
      }
      let first = residual.rows + rows.rows - source.question.answers[item.side].count
      scored += first..<residual.rows + rows.rows
      residual.append(rows: rows)
      caches.append(source.cache)
      parts.append(rows.rows)
    }
    let above = BlockRun(blocks: layer + 1..<model.architecture.blocks, finalRows: scored, keepsCache: false)
    let final = try model.run(above, residual: residual, parts: parts, caches: &caches).residual
    var row = 0
    let rowCounts = cases.map { prepared[$0.question].question.answers[$0.side].count }
    let rows = rowCounts.map { count in
      row += count
      return row - count..<row
    }
    return AnswerScoring(model: model, score: score).scores(
      of: cases.map { prepared[$0.question].question }, sides: cases.map(\.side), rows: rows, residual: final)
  }
}
