package import Diagnostics
package import Tokenization

/// A pair as the model sees it: the tokens of the prompt, and those of both answers after it.
package struct TokenizedPair: Sendable, Equatable {
  /// The tokens that come before both answers, template included; at least one.
  package var prompt: [Int]
  package var positive: [Int]
  package var negative: [Int]
  /// Whether the answers are a choice's letters, of which only the letter itself is scored.
  package var isLetterChoice: Bool

  /// How many tokens both answers begin with.
  package var commonAnswerTokens: Int { zip(positive, negative).prefix { $0 == $1 }.count }

  /// Tokenises prompt and answer together, so that the tokens are those of the running text. Where a token spans the border, the
  /// answer begins with it, in both answers.
  ///
  /// - Throws: `InputError` naming the item where an answer has no token of its own, or one answer's tokens begin with the
  ///   other's (then no token tells them apart).
  package init(
    _ pair: ContrastSet.Pair, template: PromptTemplate, tokenizer: Tokenizer, subject: String
  ) throws(InputError) {
    let text = template.render(prompt: pair.prompt)
    let begins = template.beginsWithBeginningOfText || tokenizer.wantsBeginningOfText
    func encode(_ text: String) throws(InputError) -> [Int] {
      let tokens = try tokenizer.encode(text)
      guard begins, let first = tokenizer.beginningOfText, tokens.first != first else { return tokens }
      return [first] + tokens
    }
    let alone = try encode(text)
    let positive = try encode(text + pair.positive)
    let negative = try encode(text + pair.negative)
    func shared(_ answer: [Int]) -> Int { zip(alone, answer).prefix { $0 == $1 }.count }
    let border = min(shared(positive), shared(negative))
    guard border >= 1 else {
      throw InputError(
        subject, expected: "at least one token before the answers", found: "none",
        remedy: "give a prompt, or a template that begins with one")
    }
    self.prompt = Array(alone[..<border])
    self.positive = Array(positive[border...])
    self.negative = Array(negative[border...])
    isLetterChoice = ContrastSet.letter(of: pair.positive) != nil && ContrastSet.letter(of: pair.negative) != nil
    let common = commonAnswerTokens
    guard common < self.positive.count, common < self.negative.count else {
      throw InputError(
        subject, expected: "answers that differ in a token", found: "one whose tokens begin with the other's",
        remedy: "end both answers the same way, or reword them")
    }
  }

  package init(prompt: [Int], positive: [Int], negative: [Int], isLetterChoice: Bool = false) {
    self.isLetterChoice = isLetterChoice
    self.prompt = prompt
    self.positive = positive
    self.negative = negative
  }
}

extension ContrastSet {
  /// The pairs `range` as tokens.
  package func tokenized(
    _ range: Range<Int>, template: PromptTemplate, tokenizer: Tokenizer
  ) throws(InputError) -> [TokenizedPair] {
    guard range.upperBound <= pairs.count else {
      throw InputError(name, expected: "at least \(range.upperBound) pairs", found: "\(pairs.count)")
    }
    var tokenized: [TokenizedPair] = []
    for index in range {
      tokenized.append(
        try TokenizedPair(pairs[index], template: template, tokenizer: tokenizer, subject: "\(name): item \(index)"))
    }
    return tokenized
  }
}
