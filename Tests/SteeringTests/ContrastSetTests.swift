import Diagnostics
import Steering
import SweepRecords
import Testing
import Tokenization

@Suite struct ContrastSetTests {
  private func set(_ text: String) throws(InputError) -> ContrastSet {
    try ContrastSet(json: Array(text.utf8), name: "pairs.json")
  }

  private func error(_ text: String) -> String {
    do {
      _ = try set(text)
      return ""
    } catch {
      return error.description
    }
  }

  @Test func allLayoutsAreRead() throws {
    let caa =
      #"{"question": "Q", "answer_matching_behavior": " (A)", "answer_not_matching_behavior": " (B)", "label": 3}"#
    let own = #"{"prompt": "P", "positive": "yes", "negative": "no"}"#
    let free = #"{"positive": "good day", "negative": "bad day"}"#
    let wanted = [
      ContrastSet.Pair(prompt: "Q", positive: " (A)", negative: " (B)"),
      ContrastSet.Pair(prompt: "P", positive: "yes", negative: "no"),
      ContrastSet.Pair(prompt: "", positive: "good day", negative: "bad day"),
    ]
    #expect(try set("[\(caa), \(own),\n\(free)]").pairs == wanted)
    #expect(try set("\(caa)\n\(own)\r\n\n  \n\(free)\n").pairs == wanted)
    #expect(try set(" \n[\(caa)]").pairs == [wanted[0]])
  }

  @Test(arguments: [
    ("", "1 to 1000000 pairs, found 0"), ("[]", "1 to 1000000 pairs, found 0"), ("[1]", "pairs.json: item 0"),
    ("[{]", "JSON that can't be read"), ("{\"prompt\": 1}", "item 0: prompt"), ("nonsense", "pairs.json: line 1"),
    ("\n\n{\"positive\": \"a\", \"negative\": \"b\"}\n{", "pairs.json: line 4"),
    (#"{"prompt": "p", "positive": "a"}"#, "item 0: negative: expected a text, found nothing"),
    (#"{"prompt": 7, "positive": "a", "negative": "b"}"#, "item 0: prompt: expected a text, found something else"),
    (#"{"question": "q", "positive": "a", "negative": "b"}"#, "answer_matching_behavior: expected a text"),
    (#"{"positive": "a", "negative": "a"}"#, "two different answers"),
    (#"{"positive": "", "negative": "a"}"#, "two different"),
    (#"[{"positive": "a", "negative": "b"}, {"positive": null, "negative": "b"}]"#, "item 1: positive"),
    ("3", "line 1"),
    (String(repeating: "[", count: 100_000), "JSON that can't be read"), ("null", "line 1"),
  ])
  func badFilesAreNamed(text: String, message: String) {
    #expect(error(text).contains(message), "\(error(text))")
  }

  @Test func bytesThatAreNoTextAreRefused() {
    #expect(throws: InputError.self) { try ContrastSet(json: [0x5b, 0xff, 0x5d], name: "x") }
  }

  @Test(
    arguments: [
      ("(A)", "A"), (" (B)", "B"), ("A", "A"), (" A", "A"), ("C.", "C"), ("(A", "A"), ("AB", nil), ("", nil),
      ("(1)", nil),
      ("yes", nil), ("( )", nil), ("é", nil), ("(A) because", nil),
    ] as [(String, Character?)])
  func letters(answer: String, letter: Character?) { #expect(ContrastSet.letter(of: answer) == letter) }

  @Test func letterSetsAreReadAtTheLetter() throws {
    #expect(try set(#"[{"positive": "(A)", "negative": "(B)"}]"#).defaultRead == .firstDifference)
    let mixed = #"[{"positive": "(A)", "negative": "(B)"}, {"positive": "yes", "negative": "no"}]"#
    #expect(try set(mixed).defaultRead == .answerMean)
  }
}

@Suite struct TokenizedPairTests {
  private func pair(
    _ prompt: String, _ positive: String, _ negative: String, family: PromptTemplate.Family = .raw,
    model: String = "llama-tied"
  ) throws -> TokenizedPair {
    try TokenizedPair(
      ContrastSet.Pair(prompt: prompt, positive: positive, negative: negative), template: PromptTemplate(family),
      tokenizer: GoldenModel(model).tokenizer, subject: "item 0")
  }

  @Test(arguments: GoldenModel.names, [PromptTemplate.Family.raw, .chatml])
  func promptAndAnswerAreTheTokensOfTheRunningText(model: String, family: PromptTemplate.Family) throws {
    let tokenizer = try GoldenModel(model).tokenizer
    for (prompt, positive, negative) in [
      ("Do you agree?", " (A)", " (B)"), ("the", "re is", "me"), ("x ", "yes I do", "no"),
      ("I am", " happy", " sad about it"),
    ] {
      let pair = try pair(prompt, positive, negative, family: family, model: model)
      let text = PromptTemplate(family).render(prompt: prompt)
      let start = tokenizer.wantsBeginningOfText ? [tokenizer.beginningOfText].compactMap { $0 } : []
      let wanted = try [positive, negative].map { start + (try tokenizer.encode(text + $0)) }
      #expect(pair.prompt + pair.positive == wanted[0])
      #expect(pair.prompt + pair.negative == wanted[1])
      #expect(!pair.prompt.isEmpty && pair.commonAnswerTokens < min(pair.positive.count, pair.negative.count))
      // Every prompt token belongs to the prompt alone.
      let alone = try start + tokenizer.encode(text)
      #expect(alone.starts(with: pair.prompt))
    }
  }

  @Test func aTokenAcrossTheBorderBelongsToTheAnswers() throws {
    let tokenizer = try GoldenModel("llama-tied").tokenizer
    // Find a token of letters that the tokenizer joins across a border.
    let word = try #require(
      ["the", "that", "ing", "and", "er", "in", "on", "re"].first { (try? tokenizer.encode("x" + $0).count) == 2 })
    let (head, tail) = (String(word.prefix(1)), String(word.dropFirst()))
    let pair = try pair("x" + head, tail, "!")
    let (x, whole) = (try tokenizer.encode("x"), try tokenizer.encode("x" + head + "!"))
    #expect(pair.prompt == x)
    #expect(pair.positive.count == 1)
    #expect(pair.negative == Array(whole.dropFirst()))
  }

  @Test func lettersAreMarkedAndDifferInOneToken() throws {
    let letters = try pair("Choose.", " (A)", " (B)")
    #expect(letters.isLetterChoice)
    #expect(zip(letters.positive, letters.negative).count { $0 != $1 } == 1)
    #expect(letters.commonAnswerTokens > 0)
    #expect(try !pair("Choose.", " yes", " no").isLetterChoice)
  }

  @Test func answersThatNoTokenTellsApartAreRefused() {
    #expect(throws: InputError.self) { try pair("Why?", " yes", " yes it is") }
    // Without a first token there is nothing whose logits could score the answer.
    #expect(throws: InputError.self) { try pair("", "good", "bad") }
  }

  @Test func slicesAreThoseOfTheSet() throws {
    let golden = try GoldenModel("llama-tied")
    let set = try ContrastSet(
      json: Array(
        #"[{"prompt": "a", "positive": " b", "negative": " c"}, {"prompt": "d", "positive": " e", "negative": " f"}]"#
          .utf8),
      name: "x")
    let all = try set.tokenized(0..<2, template: PromptTemplate(.raw), tokenizer: golden.tokenizer)
    #expect(try set.tokenized(1..<2, template: PromptTemplate(.raw), tokenizer: golden.tokenizer) == [all[1]])
    #expect(throws: InputError.self) {
      try set.tokenized(1..<3, template: PromptTemplate(.raw), tokenizer: golden.tokenizer)
    }
  }
}
