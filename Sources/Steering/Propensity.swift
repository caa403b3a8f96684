internal import Diagnostics
internal import Kernels
package import LanguageModels
package import SweepRecords

/// How strongly a steered model prefers the matching answers (methods.md, section 5), with everything shared that neither vector
/// nor coefficient touches: one prefix run per question serves all variants and coefficients, and every case runs only the
/// blocks above the steered one, for the scored positions, in batches; what both answers begin with is run once.
///
/// Equal, bit for bit, to `NaivePropensity`. A coefficient of 0 adds nothing and is run once for all variants.
package struct Propensity: Sendable {
  let model: LanguageModel
  let layer: Int
  let positions: SteeredPositions
  let score: AnswerScore
  /// Rows that run through the upper blocks together; without effect on the result.
  let rowLimit: Int
  /// Questions that are prepared together; without effect on the result.
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
    try evaluate(try prepare(pairs), directions: directions, coefficients: coefficients, progress: progress)
  }

  /// The same for questions that are prepared already, by this model at this layer.
  package func evaluate(
    _ questions: [PreparedQuestion], directions: [[Float]], coefficients: [Double],
    progress: (Double) -> Bool = { _ in true }
  ) throws -> [[[Double]]] {
    let cases = self.cases(of: questions, directions: directions.count, coefficients: coefficients)
    var scores: [Case: [Double]] = [:]
    for chunk in chunks(of: cases, questions) {
      let steered = chunk.map {
        SteeredCase(direction: directions[$0.variant], coefficient: coefficients[$0.coefficient])
      }
      let found = try run(steered, of: chunk.map { questions[$0.question] })
      for (key, value) in zip(chunk, found) { scores[key] = value }
      guard progress(Double(scores.count) / Double(cases.count)) else { throw CancellationError() }
    }
    return directions.indices.map { variant in
      questions.indices.map { question in
        coefficients.indices.map { index in
          let sides =
            coefficients[index] == 0
            ? questions[question].unsteered
            : scores[Case(question: question, variant: variant, coefficient: index)] ?? [.nan]
          return sides.count == 1 ? sides[0] : sides[0] - sides[1]
        }
      }
    }
  }

  /// A question under one variant and coefficient.
  private struct Case: Hashable {
    var question: Int
    var variant: Int
    var coefficient: Int
  }

  private func cases(of questions: [PreparedQuestion], directions: Int, coefficients: [Double]) -> [Case] {
    let steered = coefficients.indices.filter { coefficients[$0] != 0 }
    return questions.indices.flatMap { question in
      (0..<directions).flatMap { variant in
        steered.map { Case(question: question, variant: variant, coefficient: $0) }
      }
    }
  }

  private func chunks(of cases: [Case], _ questions: [PreparedQuestion]) -> [[Case]] {
    var chunks: [[Case]] = []
    var rows = Int.max / 2
    for item in cases {
      let own = questions[item.question].residuals.reduce(0) { $0 + $1.rows }
      if rows + own > rowLimit {
        chunks.append([])
        rows = 0
      }
      chunks[chunks.count - 1].append(item)
      rows += own
    }
    return chunks
  }
}
