internal import Kernels
package import LanguageModels
package import SweepRecords

/// The slow reference of `Propensity`: a full forward pass per question, answer, variant and coefficient, nothing shared.
package struct NaivePropensity: Sendable {
  let model: LanguageModel
  let layer: Int
  let positions: SteeredPositions
  let score: AnswerScore

  package init(model: LanguageModel, layer: Int, positions: SteeredPositions, score: AnswerScore) {
    self.model = model
    self.layer = layer
    self.positions = positions
    self.score = score
  }

  /// Propensities [variants][questions][coefficients].
  package func evaluate(
    _ pairs: [TokenizedPair], directions: [[Float]], coefficients: [Double]
  ) throws -> [[[Double]]] {
    try directions.map { direction in
      try pairs.map { pair in
        let question = ScoredQuestion(pair)
        return try coefficients.map { coefficient in
          let scores = try question.answers.indices.map { try score(question, side: $0, direction, coefficient) }
          return question.isSingleToken ? scores[0] : scores[0] - scores[1]
        }
      }
    }
  }

  private func score(
    _ question: ScoredQuestion, side: Int, _ direction: [Float], _ coefficient: Double
  ) throws -> Double {
    let answer = question.answers[side]
    let tokens = question.prompt + answer.dropLast()
    let last = question.prompt.count - 1
    let rows: [Int] =
      switch positions {
      case .scored: Array(last..<tokens.count)
      case .last: [last]
      case .all: Array(0..<tokens.count)
      }
    let addition = ResidualAddition(layer: layer, vector: direction, coefficient: Float(coefficient), rows: rows)
    let run = BlockRun(blocks: 0..<model.architecture.blocks, additions: coefficient == 0 ? [] : [addition])
    let residual = try model.forward([tokens], run).residual
    return AnswerScoring(model: model, score: self.score).scores(
      of: [question], sides: [side], rows: [Array(last..<tokens.count)], residual: residual)[0]
  }
}
