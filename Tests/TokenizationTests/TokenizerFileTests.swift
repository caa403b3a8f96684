import Diagnostics
import Foundation
import Testing

@testable import Tokenization

/// The parts of a small tokenizer.json, each of which a test can replace.
struct SmallFile {
  var vocabulary = #"{"a": 0, "b": 1, "ab": 2, "c": 3, "Ġ": 4}"#
  var merges = #"["a b"]"#
  var model = ""
  var added = "[]"
  var normalizer = "null"
  var splitter = #"{"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}"#
  var decoder = #"{"type": "ByteLevel"}"#

  var text: String {
    """
    {"added_tokens": \(added), "normalizer": \(normalizer), "pre_tokenizer": \(splitter), "decoder": \(decoder),
     "model": {"type": "BPE", "vocab": \(vocabulary), "merges": \(merges)\(model)}}
    """
  }

  func tokenizer() throws -> Tokenizer {
    try Tokenizer(tokenizerJSON: Array(text.utf8), file: "tokenizer.json")
  }
}

@Suite struct TokenizerFileTests {
  @Test func readsBothFormsOfMerges() throws {
    var file = SmallFile()
    #expect(try file.tokenizer().encode("abc ba") == [2, 3, 4, 1, 0])
    file.merges = #"[["a", "b"]]"#
    #expect(try file.tokenizer().encode("abc ba") == [2, 3, 4, 1, 0])
    #expect(try file.tokenizer().vocabularySize == 5)
    #expect(try file.tokenizer().missingBytes.count == 252)
  }

  /// What Hugging Face's library gives for the golden tokenizer with one token `[X]` more.
  @Test(arguments: [
    (#""lstrip": true"#, "a  [X] b", [67, 600, 311]),
    (#""rstrip": true"#, "a [X] \n b", [67, 223, 600, 68]),
    (#""single_word": true"#, "a[X]b", [67, 61, 58, 63, 68]),
    (#""single_word": true"#, "a [X] b", [67, 223, 600, 311]),
    (#""single_word": true"#, "_[X]", [65, 61, 58, 63]),
    (#""single_word": true"#, "é[X]", [318, 61, 58, 63]),
    (#""single_word": true"#, "[X]", [600]),
    (#""special": true"#, "[X][X]  [X]", [600, 600, 268, 600]),
  ]) func honoursTheFlagsOfAddedTokens(flag: String, text: String, ids: [Int]) throws {
    let golden = String(decoding: try Golden.bytes("tokenizer-gpt2/tokenizer.json"), as: UTF8.self)
    let start = try #require(golden.range(of: "\"added_tokens\"")?.upperBound)
    let bracket = try #require(golden[start...].firstIndex(of: "["))
    let token = #"[{"id": 600, "content": "[X]", "normalized": false, \#(flag)},"#
    let json = golden[..<bracket] + token + golden[golden.index(after: bracket)...]
    let tokenizer = try Tokenizer(tokenizerJSON: Array(json.utf8), file: "tokenizer.json")
    #expect(try tokenizer.encode(text) == ids)
    #expect(tokenizer.vocabularySize == 601)
  }

  @Test func findsNormalizedTokensInNormalizedText() throws {
    var file = SmallFile()
    file.normalizer = #"{"type": "Replace", "pattern": {"String": "b"}, "content": "c"}"#
    file.added = #"[{"id": 5, "content": "ab", "normalized": true}, {"id": 2, "content": "ab", "normalized": false}]"#
    file.vocabulary = #"{"a": 0, "b": 1, "c": 3, "Ġ": 4}"#
    file.merges = "[]"
    #expect(throws: InputError.self, "one content twice") { try file.tokenizer() }
    file.added = #"[{"id": 5, "content": "ab", "normalized": true}]"#
    #expect(try file.tokenizer().encode("acabab") == [5, 5, 5])
  }

  @Test func takesTheLongestTokenAtEachPlace() throws {
    var file = SmallFile()
    file.added = #"""
      [{"id": 5, "content": "<a", "special": true}, {"id": 6, "content": "<ab>", "special": true},
       {"id": 7, "content": "b>c", "special": true}]
      """#
    #expect(try file.tokenizer().encode("<ab>c<ab") == [6, 3, 5, 1])
  }

  @Test(arguments: [
    ("NFC", "e\u{301}", "é"), ("NFD", "é", "e\u{301}"), ("NFKC", "ﬁ", "fi"), ("NFKD", "ｅ́", "e\u{301}"),
    ("NFC", "\u{FEFF}é", "\u{FEFF}é"),
  ]) func normalizes(form: String, text: String, expected: String) throws {
    let cursor = try JSONCursor(Array(#"{"type": "\#(form)"}"#.utf8), file: "n")
    let step = try #require(try TokenizerFile.normalization(cursor).first)
    #expect(try step.apply(Array(text.utf8)) == Array(expected.utf8))
  }

  @Test func byteFallbackAndUnknown() throws {
    var file = SmallFile()
    file.vocabulary = #"{"a": 0, "<0xC3>": 1, "<0xA9>": 2, "<unk>": 3, "▁": 4}"#
    file.merges = "[]"
    file.splitter = "null"
    file.normalizer =
      #"{"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}"#
    file.decoder = #"""
      {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
       {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
      """#
    file.model = #", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true"#
    let tokenizer = try file.tokenizer()
    #expect(try tokenizer.encode("a é xya") == [4, 0, 4, 1, 2, 4, 3, 0])
    #expect(try tokenizer.decode([4, 0, 4, 1, 2]) == Array("a é".utf8))
    #expect(tokenizer.bytes(of: 1) == [0xC3] && tokenizer.text(of: 4) == " ")
    file.model = #", "unk_token": "<unk>""#
    #expect(try file.tokenizer().encode("xé") == [4, 3, 3])
    file.model = ""
    #expect(try file.tokenizer().encode("xé") == [4])
  }

  /// What is wrong, and the key that the error must name.
  static let damages: [(change: @Sendable (inout SmallFile) -> Void, key: String)] = [
    ({ $0.merges = #"["a x"]"# }, "model.merges[0]"),
    ({ $0.merges = #"["b a"]"# }, "model.merges[0]"),
    ({ $0.merges = #"["a b", "ab"]"# }, "model.merges[1]"),
    ({ $0.merges = #"["a b c"]"# }, "model.merges[0]"),
    ({ $0.merges = #"[["a"]]"# }, "model.merges[0]"),
    ({ $0.merges = "[7]" }, "model.merges[0]"),
    ({ $0.merges = "{}" }, "model.merges"),
    ({ $0.vocabulary = "{}" }, "model.vocab"),
    ({ $0.vocabulary = "[]" }, "model.vocab"),
    ({ $0.vocabulary = #"{"a": 0, "b": 0, "ab": 1}"# }, "model.vocab"),
    ({ $0.vocabulary = #"{"a": 0, "a": 1, "b": 2, "ab": 3}"# }, "model.vocab"),
    ({ $0.vocabulary = #"{"a": -1, "b": 1, "ab": 2}"# }, "model.vocab"),
    ({ $0.vocabulary = #"{"a": 4000000000, "b": 1, "ab": 2}"# }, "model.vocab"),
    ({ $0.vocabulary = #"{"a": 99999999999999999999, "b": 1, "ab": 2}"# }, "model.vocab"),
    ({ $0.vocabulary = #"{"a": "0", "b": 1, "ab": 2}"# }, "model.vocab"),
    ({ $0.added = #"[{"id": 0, "content": "x"}]"# }, "added_tokens[0]"),
    ({ $0.added = #"[{"id": 9, "content": "a"}]"# }, "added_tokens[0]"),
    ({ $0.added = #"[{"id": 9, "content": "x"}, {"id": 9, "content": "y"}]"# }, "added_tokens[1]"),
    ({ $0.added = #"[{"id": 4000000000, "content": "x"}]"# }, "added_tokens[0]"),
    ({ $0.added = #"[{"id": 9}]"# }, "added_tokens[0]"),
    ({ $0.added = #"[{"id": 9, "content": "x", "lstrip": 1}]"# }, "added_tokens[0].lstrip"),
    ({ $0.model = #", "dropout": 0.1"# }, "model.dropout"),
    ({ $0.model = #", "end_of_word_suffix": "</w>""# }, "model.end_of_word_suffix"),
    ({ $0.model = #", "continuing_subword_prefix": "x""# }, "model.continuing_subword_prefix"),
    ({ $0.model = #", "unk_token": "<unk>""# }, "model.unk_token"),
    ({ $0.model = #", "type": "Unigram""# }, "model.type"),
    ({ $0.normalizer = #"{"type": "BertNormalizer"}"# }, "normalizer.type"),
    (
      { $0.normalizer = #"{"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}"# },
      "normalizer.normalizers[1].type"
    ),
    ({ $0.splitter = #"{"type": "UnicodeScripts"}"# }, "pre_tokenizer.type"),
    (
      { $0.splitter = #"{"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated"}"# },
      "pre_tokenizer.pattern.Regex"
    ),
    (
      { $0.splitter = #"{"type": "Split", "pattern": {"String": "a"}, "behavior": "Shuffled"}"# },
      "pre_tokenizer.behavior"
    ),
    (
      { $0.splitter = #"{"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, {"type": "Digits"}]}"# },
      "pre_tokenizer.pretokenizers[1].type"
    ),
    ({ $0.decoder = #"{"type": "WordPiece"}"# }, "decoder.type"),
    ({ $0.decoder = #"{"type": "Strip", "content": " ", "start": -1, "stop": 0}"# }, "decoder.start"),
  ]

  @Test(arguments: damages.indices) func namesWhatIsWrong(index: Int) throws {
    var file = SmallFile()
    Self.damages[index].change(&file)
    let error = #expect(throws: InputError.self) { try file.tokenizer() }
    #expect(error?.subject == "tokenizer.json: " + Self.damages[index].key, "\(error?.description ?? "")")
  }

  @Test func everyTruncationIsAnError() {
    let bytes = Array(SmallFile().text.utf8)
    for length in 0..<bytes.count {
      #expect(throws: InputError.self) { try Tokenizer(tokenizerJSON: Array(bytes[..<length]), file: "tokenizer.json") }
    }
  }

  @Test func hostilePatternEndsInAnError() throws {
    var file = SmallFile()
    file.splitter = #"{"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated"}"#
    let tokenizer = try file.tokenizer()
    #expect(throws: InputError.self) { try tokenizer.encode(String(repeating: "a", count: 200) + "b") }
    file.splitter = "null"
    file.normalizer = #"{"type": "Replace", "pattern": {"Regex": "x*"}, "content": "y"}"#
    #expect(throws: InputError.self) { try file.tokenizer().encode("a") }
  }
}

@Suite struct TokenizerDirectoryTests {
  private func withDirectory(_ files: [String: String], _ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tokenization-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    for (name, text) in files { try Data(text.utf8).write(to: folder.appendingPathComponent(name)) }
    try body(folder.path)
  }

  @Test func readsRolesAndTemplateFromTheFilesBeside() throws {
    let config = #"{"bos_token": {"content": "a"}, "eos_token": "b", "add_bos_token": true, "chat_template": "x"}"#
    try withDirectory(["tokenizer.json": SmallFile().text, "tokenizer_config.json": config]) { path in
      let tokenizer = try Tokenizer(directory: path)
      #expect(tokenizer.beginningOfText == 0 && tokenizer.endOfText == 1)
      #expect(tokenizer.wantsBeginningOfText && tokenizer.chatTemplate == "x")
      #expect(try tokenizer.encode("b", addingBeginningOfText: true) == [0, 1])
      #expect(try tokenizer.encode("b") == [1])
    }
    let list = #"{"chat_template": [{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}]}"#
    try withDirectory([
      "tokenizer.json": SmallFile().text, "tokenizer_config.json": list,
      "config.json": #"{"bos_token_id": 3, "eos_token_id": [2, 1]}"#,
    ]) { path in
      let tokenizer = try Tokenizer(directory: path)
      #expect(tokenizer.beginningOfText == 3 && tokenizer.endOfText == 2)
      #expect(!tokenizer.wantsBeginningOfText && tokenizer.chatTemplate == "d")
    }
    try withDirectory(["tokenizer.json": SmallFile().text, "tokenizer_config.json": list, "chat_template.jinja": "j"]) {
      path in
      let tokenizer = try Tokenizer(directory: path)
      #expect(tokenizer.chatTemplate == "j")
    }
  }

  @Test func saysWhichFileIsMissingOrWrong() throws {
    try withDirectory([:]) { path in
      let error = #expect(throws: InputError.self) { try Tokenizer(directory: path) }
      #expect(error?.subject.hasSuffix("/tokenizer.json") == true)
    }
    try withDirectory(["tokenizer.json": SmallFile().text, "tokenizer_config.json": #"{"bos_token": "<s>"}"#]) { path in
      let error = #expect(throws: InputError.self) { try Tokenizer(directory: path) }
      #expect(error?.subject.hasSuffix("/tokenizer_config.json: bos_token") == true)
    }
  }

  /// The golden Gemma file's post-processor begins every text with `<bos>`.
  @Test func seesThatThePostProcessorAddsTheBeginning() throws {
    let json = String(decoding: try Golden.bytes("tokenizer-gemma/tokenizer.json"), as: UTF8.self)
    try withDirectory(["tokenizer.json": json, "tokenizer_config.json": #"{"bos_token": "<bos>"}"#]) { path in
      let tokenizer = try Tokenizer(directory: path)
      #expect(tokenizer.wantsBeginningOfText && tokenizer.beginningOfText == 2)
    }
  }
}
