internal import Kernels
internal import LanguageModels
internal import SweepRecords

/// A question run as far as neither vector nor coefficient touches it: what every variant and coefficient starts from.
package struct PreparedQuestion: Sendable {
  let question: ScoredQuestion
  /// Keys and values, above the steered block, of the prompt but its last token (nothing when all positions are steered).
  let cache: KeyValueCache
  /// By side: the residual stream after the steered block at the rows that run on, [rows, d].
  let residuals: [Matrix]
  /// By side: the score without steering.
  fileprivate(set) var unsteered: [Double]

  /// How many tokens each steered run of it goes through.
  package var rows: Int { residuals.reduce(0) { $0 + $1.rows } }

  /// The memory that it holds, what it shares with others counted in full.
  package var bytes: Int { cache.bytes + residuals.reduce(0) { $0 + 4 * $1.elements.count } }
}

/// One answer of a question, and what its residual stream is steered with.
struct SteeredAnswer {
  var side: Int
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
    let sides = questions.map { $0.answers.count }
    let sequences = questions.flatMap { question in
      question.answers.map { positions == .all ? question.prompt + $0.dropLast() : question.scoredInputs($0) }
    }
    var branched = zip(caches, sides).flatMap { cache, count in Array(repeating: cache, count: count) }
    let below = BlockRun(blocks: 0..<layer + 1, capturedLayers: [layer], finalRows: [], keepsCache: false)
    guard let captured = try model.forward(sequences, below, caches: &branched).captured[layer] else {
      preconditionFailure("the layer was asked for")
    }
    // Nothing below the steered block is run again.
    for index in caches.indices { for block in 0...layer { caches[index].trim(to: 0, block: block) } }
    var row = 0
    var parts = sequences.map { tokens in
      row += tokens.count
      return captured.rows(row - tokens.count..<row)
    }[...]
    var prepared = questions.indices.map { index in
      defer { parts = parts.dropFirst(sides[index]) }
      return PreparedQuestion(
        question: questions[index], cache: caches[index], residuals: Array(parts.prefix(sides[index])), unsteered: [])
    }
    let answers = prepared.flatMap { question in question.residuals.indices.map { (question, $0) } }
    var scores = try run(
      answers.map { SteeredAnswer(side: $0.1, direction: nil, coefficient: 0) }, of: answers.map(\.0))[...]
    for index in prepared.indices {
      prepared[index].unsteered = Array(scores.prefix(sides[index]))
      scores = scores.dropFirst(sides[index])
    }
    return prepared
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
    for (index, cache) in zip(rest, chosen) { caches[index] = cache }
    return caches
  }

  /// The score of each steered answer: its log-probability (mean or sum), or for single tokens the logit difference.
  func run(_ answers: [SteeredAnswer], of questions: [PreparedQuestion]) throws -> [Double] {
    var residual = Matrix(rows: 0, columns: model.architecture.width)
    var parts: [Int] = []
    var scored: [Int] = []
    for (answer, question) in zip(answers, questions) {
      var rows = question.residuals[answer.side]
      if let direction = answer.direction {
        let steered = positions == .last ? [0] : Array(0..<rows.rows)
        ResidualAddition(
          layer: layer, vector: direction, coefficient: Float(answer.coefficient), rows: steered
        ).apply(to: &rows)
      }
      let end = residual.rows + rows.rows
      scored += end - question.question.answers[answer.side].count..<end
      residual.append(rows: rows)
      parts.append(rows.rows)
    }
    var caches = questions.map(\.cache)
    let above = BlockRun(blocks: layer + 1..<model.architecture.blocks, finalRows: scored, keepsCache: false)
    let final = try model.run(above, residual: residual, parts: parts, caches: &caches).residual
    var row = 0
    let rows = zip(answers, questions).map { answer, question in
      row += question.question.answers[answer.side].count
      return row - question.question.answers[answer.side].count..<row
    }
    return AnswerScoring(model: model, score: score).scores(
      of: questions.map(\.question), sides: answers.map(\.side), rows: rows, residual: final)
  }
}
