internal import Kernels
internal import LanguageModels
internal import SweepRecords

/// A question run as far as neither vector nor coefficient touches it: what every variant and coefficient starts from.
package struct PreparedQuestion: Sendable {
  let question: ScoredQuestion
  /// Keys and values, above the steered block, of the prompt but its last token (nothing when all positions are steered).
  let cache: KeyValueCache
  /// By side: the residual stream after the steered block at the rows that run on, [rows, d]; of the second answer without those
  /// that it begins with and the first has too.
  let residuals: [Matrix]
  /// By side: the score without steering.
  fileprivate(set) var unsteered: [Double]

  /// How many tokens each steered run of it goes through.
  package var rows: Int { residuals.reduce(0) { $0 + $1.rows } }

  /// The memory that it holds, what it shares with others counted in full.
  package var bytes: Int { cache.bytes + residuals.reduce(0) { $0 + 4 * $1.elements.count } }
}

/// What a question's residual stream is steered with.
struct SteeredCase {
  /// The vector [d]; nil leaves the stream as it is.
  var direction: [Float]?
  var coefficient: Double
}

extension Propensity {
  /// Runs questions up to the steered block, and on without steering.
  ///
  /// - Throws: `InputError` for a question longer than the context.
  package func prepare(_ pairs: [TokenizedPair]) throws -> [PreparedQuestion] {
    let questions = pairs.map(ScoredQuestion.init)
    let all = 0..<model.architecture.blocks
    let head =
      positions == .all ? nil : try SharedHead(of: questions.map { $0.prompt.dropLast() }, blocks: all, model: model)
    var prepared: [PreparedQuestion] = []
    for start in stride(from: 0, to: questions.count, by: batch) {
      prepared += try prepare(Array(questions[start..<min(start + batch, questions.count)]), head: head)
    }
    return prepared
  }

  private func prepare(_ questions: [ScoredQuestion], head: SharedHead?) throws -> [PreparedQuestion] {
    var caches = try prefixes(of: questions, head: head)
    // Of each answer the tokens that are run for it; the second's share of the first's is run there.
    let sequences = questions.map { question in
      question.answers.enumerated().map { side, answer in
        let all = positions == .all ? question.prompt + answer.dropLast() : question.scoredInputs(answer)
        return Array(all.dropFirst(side == 0 ? 0 : shared(by: question)))
      }
    }
    let batch = zip(questions, sequences).flatMap { parts(of: $0, rows: $1.map(\.count)) }
    var branched = zip(caches, sequences).flatMap { Array(repeating: $0, count: $1.count) }
    let below = BlockRun(blocks: 0..<layer + 1, capturedLayers: [layer], finalRows: [], keepsCache: false)
    let embedded = try model.embed(sequences.flatMap { $0.flatMap { $0 } })
    guard
      let captured = try model.run(below, residual: embedded, parts: batch, caches: &branched).captured[layer]
    else { preconditionFailure("the layer was asked for") }
    // Nothing below the steered block is run again.
    for index in caches.indices { for block in 0...layer { caches[index].trim(to: 0, block: block) } }
    var row = 0
    var prepared = questions.indices.map { index in
      let residuals = sequences[index].map { tokens in
        row += tokens.count
        return captured.rows(row - tokens.count..<row)
      }
      return PreparedQuestion(
        question: questions[index], cache: caches[index], residuals: residuals, unsteered: [])
    }
    let scores = try run(prepared.map { _ in SteeredCase(direction: nil, coefficient: 0) }, of: prepared)
    for index in prepared.indices { prepared[index].unsteered = scores[index] }
    return prepared
  }

  /// How many rows the second answer begins with that are the first's.
  private func shared(by question: ScoredQuestion) -> Int {
    guard question.answers.count == 2 else { return 0 }
    return question.sharedRows + (positions == .all ? question.prompt.count - 1 : 0)
  }

  private func parts(of question: ScoredQuestion, rows: [Int]) -> [BatchPart] {
    rows.enumerated().map { BatchPart(rows: $1, shared: $0 == 0 ? 0 : shared(by: question)) }
  }

  /// Keys and values of the prompts but their last tokens, in all blocks; empty when all positions are steered.
  private func prefixes(of questions: [ScoredQuestion], head: SharedHead?) throws -> [KeyValueCache] {
    guard let head else { return questions.map { _ in model.emptyCache() } }
    var caches = questions.map { _ in head.cache }
    let rest = questions.indices.filter { questions[$0].prompt.count - 1 > head.count }
    guard !rest.isEmpty else { return caches }
    var chosen = rest.map { caches[$0] }
    let tokens = rest.map { Array(questions[$0].prompt.dropLast()[head.count...]) }
    _ = try model.forward(tokens, BlockRun(blocks: 0..<model.architecture.blocks, finalRows: []), caches: &chosen)
    // Hundreds of cases go on from each.
    for (index, cache) in zip(rest, chosen) { caches[index] = cache.asPrefix() }
    return caches
  }

  /// The scores of each case's answers: log-probabilities (mean or sum), or for single tokens the logit difference.
  func run(_ cases: [SteeredCase], of questions: [PreparedQuestion]) throws -> [[Double]] {
    var residual = Matrix(rows: 0, columns: model.architecture.width)
    var batch: [BatchPart] = []
    var caches: [KeyValueCache] = []
    // The rows that score each answer, among those of the batch.
    var scored: [[Int]] = []
    for (steering, question) in zip(cases, questions) {
      let first = residual.rows
      for (side, own) in question.residuals.enumerated() {
        let start = residual.rows
        residual.append(rows: steered(own, side: side, by: steering))
        let shared = side == 0 ? 0 : shared(by: question.question)
        let all = Array(first..<first + shared) + Array(start..<residual.rows)
        scored.append(all.suffix(question.question.answers[side].count))
      }
      batch += parts(of: question.question, rows: question.residuals.map(\.rows))
      caches += question.residuals.map { _ in question.cache }
    }
    let wanted = Array(Set(scored.joined())).sorted()
    let above = BlockRun(blocks: layer + 1..<model.architecture.blocks, finalRows: wanted, keepsCache: false)
    let final = try model.run(above, residual: residual, parts: batch, caches: &caches).residual
    let places = Dictionary(uniqueKeysWithValues: wanted.enumerated().map { ($1, $0) })
    let answers = questions.flatMap { question in question.residuals.indices.map { (question.question, $0) } }
    var scores = AnswerScoring(model: model, score: score).scores(
      of: answers.map(\.0), sides: answers.map(\.1), rows: scored.map { $0.compactMap { places[$0] } }, residual: final
    )[...]
    return questions.map { question in
      defer { scores = scores.dropFirst(question.residuals.count) }
      return Array(scores.prefix(question.residuals.count))
    }
  }

  /// One answer's own rows with the vector added.
  private func steered(_ rows: Matrix, side: Int, by steering: SteeredCase) -> Matrix {
    guard let direction = steering.direction else { return rows }
    var rows = rows
    // The last prompt token is the first row of the first answer.
    let places = positions == .last ? (side == 0 ? [0] : []) : Array(0..<rows.rows)
    ResidualAddition(
      layer: layer, vector: direction, coefficient: Float(steering.coefficient), rows: places
    ).apply(to: &rows)
    return rows
  }
}
