import Diagnostics
import Foundation
import Testing

@testable import Tokenization

/// Golden files, found relative to this file.
enum Golden {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Golden")

  static func bytes(_ path: String) throws -> [UInt8] {
    Array(try Data(contentsOf: folder.appendingPathComponent(path)))
  }

  static func tokenizer(_ name: String) throws -> Tokenizer {
    try Tokenizer(directory: folder.appendingPathComponent(name).path)
  }

  /// Strings and the ids that Hugging Face's own library gives them.
  static func cases(_ name: String) throws -> [(text: String, ids: [Int])] {
    let root = try JSONCursor(try bytes("tokenizers.json"), file: "tokenizers.json")
    return try root.required(name).elements().map { entry in
      (try entry.required("text").string(), try entry.required("ids").elements().map { try $0.integer() })
    }
  }
}

@Suite struct GoldenTokenizerTests {
  static let names = ["tokenizer-gpt2", "tokenizer-smollm", "tokenizer-llama3", "tokenizer-gemma"]

  @Test(arguments: names) func encodesAsHuggingFace(name: String) throws {
    let tokenizer = try Golden.tokenizer(name)
    let cases = try Golden.cases(name)
    #expect(cases.count > 50)
    for (text, ids) in cases {
      #expect(try tokenizer.encode(text) == ids, "\(text.debugDescription)")
      // U+2581 is Gemma's mark for a space, so it can't come back.
      if name == "tokenizer-gemma" && text.unicodeScalars.contains("\u{2581}") { continue }
      #expect(try tokenizer.decode(ids) == Array(text.utf8), "\(text.debugDescription)")
    }
  }

  @Test(arguments: names) func keepsArbitraryBytes(name: String) throws {
    let tokenizer = try Golden.tokenizer(name)
    #expect(tokenizer.missingBytes == [])
    var generator = SplitMix(state: 17)
    for length in 0..<120 {
      let bytes = (0..<length).map { _ in
        // Half of them lead and continuation bytes, so that valid, cut and overlong characters all come up.
        generator.next() & 1 == 0
          ? UInt8(truncatingIfNeeded: generator.next())
          : [0xC3, 0xA9, 0xE2, 0x82, 0xAC, 0xF0, 0x9F, 0x20][Int(generator.next() % 8)]
      }
      let ids = try tokenizer.encode(bytes: bytes)
      #expect(try tokenizer.decode(ids) == bytes)
    }
  }

  /// A SmolLM tokenizer read from GGUF values gives the ids of the one read from tokenizer.json.
  @Test func ggufValuesGiveTheSameTokenizer() throws {
    let root = try JSONCursor(try Golden.bytes("tokenizer-smollm/tokenizer.json"), file: "tokenizer.json")
    var tokens: [Int: String] = [:]
    for (piece, value) in try root.required("model").required("vocab").members() {
      guard case .integer(let id) = value else { continue }
      tokens[id] = String(decoding: piece, as: UTF8.self)
    }
    var metadata = GGUFTokenizerMetadata(
      file: "m.gguf", model: "gpt2", pre: "smollm", tokens: (0..<tokens.count).map { tokens[$0, default: ""] })
    metadata.tokenTypes = (0..<tokens.count).map { $0 < 3 ? 3 : 1 }
    metadata.merges = try root.required("model").required("merges").values().map { merge in
      switch merge {
      case .string(let text): String(decoding: text, as: UTF8.self)
      case .array(let pair):
        pair.map { if case .string(let text) = $0 { String(decoding: text, as: UTF8.self) } else { "" } }.joined(
          separator: " ")
      default: ""
      }
    }
    metadata.beginningOfText = 1
    metadata.addsBeginningOfText = false
    let tokenizer = try Tokenizer(gguf: metadata)
    for (text, ids) in try Golden.cases("tokenizer-smollm") {
      #expect(try tokenizer.encode(text) == ids, "\(text.debugDescription)")
    }
    #expect(tokenizer.vocabularySize == 600)
    #expect(try tokenizer.encode("a", addingBeginningOfText: true).first == 1)
    #expect(!tokenizer.wantsBeginningOfText)
  }

  @Test func namesSpecialTokens() throws {
    let tokenizer = try Golden.tokenizer("tokenizer-smollm")
    #expect(tokenizer.id(ofToken: "<|im_start|>") == 1)
    #expect(tokenizer.specialTokens.map(\.id) == [0, 1, 2])
    #expect(tokenizer.text(of: 2) == "<|im_end|>")
    #expect(tokenizer.isSpecial(2) && !tokenizer.isSpecial(3))
    #expect(try tokenizer.encode("<|im_end|>") == [2])
    #expect(try tokenizer.encode("<|im_end|>", parsingSpecialTokens: false).count > 1)
    #expect(try tokenizer.decodeText([1, 2], skippingSpecialTokens: true) == "")
    #expect(tokenizer.text(of: 600) == nil && tokenizer.text(of: -1) == nil)
    #expect(throws: InputError.self) { try tokenizer.decode([600]) }
    #expect(throws: InputError.self) { try tokenizer.encode("a", addingBeginningOfText: true) }
  }

  @Test func textOfHalfACharacterHasAReplacementCharacter() throws {
    let tokenizer = try Golden.tokenizer("tokenizer-gpt2")
    let ids = try tokenizer.encode(bytes: [0xE2, 0x82])
    #expect(ids.map { tokenizer.text(of: $0) } == ["\u{FFFD}", "\u{FFFD}"])
    #expect(ids.map { tokenizer.bytes(of: $0) } == [[0xE2], [0x82]])
  }
}

/// Sebastiano Vigna's SplitMix64, seeded: the same numbers in every run.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }
}
