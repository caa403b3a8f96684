import Diagnostics
import Testing

@testable import Tokenization

@Suite struct GGUFTokenizerTests {
  /// Scores as SentencePiece writes them: minus the place among the merges.
  private func scored() -> GGUFTokenizerMetadata {
    var metadata = GGUFTokenizerMetadata(
      file: "m.gguf", model: "llama", pre: nil,
      tokens: ["<unk>", "<bos>", "<eos>", "<0xC3>", "<0xA9>", "▁a", "ab", "▁ab", "▁", "a", "b", "<turn>", "\n\n"])
    metadata.tokenTypes = [2, 3, 3, 6, 6, 1, 1, 1, 1, 1, 1, 3, 4]
    metadata.scores = [0, 0, 0, 0, 0, -1, -2, -3, -4, -5, -6, 0, 0]
    metadata.beginningOfText = 1
    metadata.unknown = 0
    return metadata
  }

  @Test func mergesByScore() throws {
    var metadata = scored()
    let tokenizer = try Tokenizer(gguf: metadata)
    // "▁a" has the better score, and "▁ab" is then made of "▁a" and "b".
    #expect(try tokenizer.encode("ab") == [7])
    #expect(try tokenizer.encode("bab") == [8, 10, 6])
    #expect(try tokenizer.encode("ab<turn>ab") == [7, 11, 7])
    #expect(try tokenizer.encode("é\n\n") == [8, 3, 4, 12])
    #expect(try tokenizer.encode("x") == [8, 0])
    #expect(try tokenizer.encode(bytes: [0xC3]) == [3])
    #expect(try tokenizer.encode("", addingBeginningOfText: true) == [1])
    #expect(tokenizer.wantsBeginningOfText)
    for text in ["ab", "bab", " a", "ab<turn>ab", "é\n\na"] {
      #expect(try tokenizer.decode(tokenizer.encode(text)) == Array(text.utf8))
    }
    metadata.addsSpacePrefix = false
    #expect(try Tokenizer(gguf: metadata).encode("ab ab") == [6, 7])
    #expect(try Tokenizer(gguf: metadata).decode([7]) == Array(" ab".utf8))
  }

  private func pairs(pre: String?) -> GGUFTokenizerMetadata {
    var metadata = GGUFTokenizerMetadata(
      file: "m.gguf", model: "gpt2", pre: pre, tokens: ["1", "2", "12", "a", "Ġ", "Ġa", "<|end|>"])
    metadata.tokenTypes = [1, 1, 1, 1, 1, 1, 3]
    metadata.merges = ["1 2", "Ġ a"]
    return metadata
  }

  @Test func thePreTokenizerDecidesAboutDigits() throws {
    #expect(try Tokenizer(gguf: pairs(pre: "gpt-2")).encode("12 a<|end|>") == [2, 5, 6])
    #expect(try Tokenizer(gguf: pairs(pre: "smollm")).encode("12 a") == [0, 1, 5])
    #expect(try Tokenizer(gguf: pairs(pre: "qwen2")).encode("12 a") == [0, 1, 5])
    #expect(try Tokenizer(gguf: pairs(pre: nil)).encode("12 a") == [2, 5])
    #expect(try Tokenizer(gguf: pairs(pre: "llama-bpe")).encode("12 a") == [2, 5])
    #expect(try Tokenizer(gguf: pairs(pre: "llama-bpe")).wantsBeginningOfText)
    #expect(try Tokenizer(gguf: pairs(pre: "tekken")).encode("12 a") == [0, 1, 5])
  }

  static let damages: [(change: @Sendable (inout GGUFTokenizerMetadata) -> Void, key: String)] = [
    ({ $0.model = "bert" }, "model"),
    ({ $0.pre = "klingon" }, "pre"),
    (
      {
        $0.tokens = []; $0.tokenTypes = []
      }, "tokens"
    ),
    ({ $0.tokens[1] = "1" }, "tokens[1]"),
    ({ $0.tokenTypes.removeLast() }, "token_type"),
    ({ $0.merges = [] }, "merges"),
    ({ $0.merges[1] = "Ġ b" }, "merges[1]"),
    ({ $0.merges[1] = "a 1" }, "merges[1]"),
    ({ $0.merges[0] = "12" }, "merges[0]"),
    ({ $0.merges[0] = "" }, "merges[0]"),
    ({ $0.beginningOfText = 7 }, "bos_token_id"),
    ({ $0.endOfText = -1 }, "eos_token_id"),
    ({ $0.unknown = .max }, "unknown_token_id"),
    ({ $0.model = "llama" }, "scores"),
    (
      {
        $0.model = "llama"; $0.scores = [0, 0, .nan, 0, 0, 0, 0]
      }, "scores[2]"
    ),
  ]

  @Test(arguments: damages.indices) func namesWhatIsWrong(index: Int) {
    var metadata = pairs(pre: "smollm")
    Self.damages[index].change(&metadata)
    let error = #expect(throws: InputError.self) { try Tokenizer(gguf: metadata) }
    #expect(error?.subject == "m.gguf: tokenizer.ggml." + Self.damages[index].key, "\(error?.description ?? "")")
  }
}
