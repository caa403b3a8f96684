internal import Kernels
internal import LanguageModels
internal import SweepRecords

/// A question as it is scored. Where the answers are letters, or one token each, the shared beginning belongs to the prompt and
/// only that token's logits are compared: one pass serves both answers, and the soft-max denominator cancels.
struct ScoredQuestion {
  var prompt: [Int]
  /// The tokens to be scored: of both answers, or the two competing tokens' place once (then `answers` has one entry).
  var answers: [[Int]]
  /// The competing tokens, matching first; nil when whole answers are scored.
  var letters: [Int]?

  var isSingleToken: Bool { letters != nil }

  init(_ pair: TokenizedPair) {
    let common = pair.commonAnswerTokens
    // "(A)" and "(B)": nothing but the letter differs, what follows it says nothing about the choice. After "Yes" and "No" it does.
    let differ = zip(pair.positive, pair.negative).count { $0 != $1 }
    let longest = max(pair.positive.count, pair.negative.count)
    if pair.positive.count == pair.negative.count && differ == 1 && (pair.isLetterChoice || longest == 1) {
      prompt = pair.prompt + pair.positive.prefix(common)
      answers = [[pair.positive[common]]]
      letters = [pair.positive[common], pair.negative[common]]
    } else {
      prompt = pair.prompt
      answers = [pair.positive, pair.negative]
    }
  }

  /// How many of the rows that score them both answers begin with: the last prompt token and their common tokens. Nothing where
  /// there is one answer to run.
  var sharedRows: Int {
    answers.count == 2 ? 1 + zip(answers[0], answers[1]).prefix { $0 == $1 }.count : 0
  }

  /// The tokens at the positions whose logits score an answer: the last prompt token and all answer tokens but the final one.
  func scoredInputs(_ answer: [Int]) -> [Int] { prompt.suffix(1) + answer.dropLast() }
}

/// Turns residual rows after the last block into the scores of answers.
struct AnswerScoring {
  let model: LanguageModel
  let score: AnswerScore

  /// The score of each case: mean or sum of its answer's log-probabilities over its rows, or the logit difference of two letters.
  ///
  /// - Parameter rows: of the residual stream, one a token of the case's answer; cases may share rows.
  func scores(of questions: [ScoredQuestion], sides: [Int], rows: [[Int]], residual: Matrix) -> [Double] {
    var scores = [Double](repeating: .nan, count: questions.count)
    let whole = questions.indices.filter { questions[$0].letters == nil }
    if !whole.isEmpty {
      let chosen = Array(Set(whole.flatMap { rows[$0] })).sorted()
      let places = Dictionary(uniqueKeysWithValues: chosen.enumerated().map { ($1, $0) })
      let logs = model.logProbabilities(
        chosen.count == residual.rows ? residual : residual.gathering(rows: chosen),
        at: whole.flatMap { index in
          zip(rows[index], questions[index].answers[sides[index]]).map { (places[$0] ?? 0, $1) }
        })
      var start = 0
      for index in whole {
        let count = rows[index].count
        let sum = logs[start..<start + count].reduce(0, +)
        scores[index] = score == .sum ? sum : sum / Double(count)
        start += count
      }
    }
    let letters = questions.indices.filter { questions[$0].letters != nil }
    if !letters.isEmpty {
      let tokens = Array(Set(letters.flatMap { questions[$0].letters ?? [] })).sorted()
      let logits = model.logits(residual.gathering(rows: letters.map { rows[$0][0] }), tokens: tokens)
      for (row, index) in letters.enumerated() {
        let places = (questions[index].letters ?? []).compactMap { tokens.firstIndex(of: $0) }
        scores[index] = Double(logits[row, places[0]]) - Double(logits[row, places[1]])
      }
    }
    return scores
  }
}
