import Testing

@testable import Tokenization

@Suite struct WordSplitterTests {
  private func words(_ text: String, _ json: String, isFirst: Bool = true) throws -> [String] {
    var reader = TokenizerFile.SplitterReader()
    try reader.read(try JSONCursor(Array(json.utf8), file: "test"))
    let words = try WordSplitter(steps: reader.steps).words(Array(text.utf8), isFirst: isFirst)
    return words.ranges.map { String(decoding: words.bytes[$0], as: UTF8.self) }
  }

  /// The expected words are those of Hugging Face's library.
  @Test(arguments: [
    ("Isolated", false, ["ab", "1", "2", "c ", "3"]), ("Isolated", true, ["ab", "1", "2", "c ", "3"]),
    ("Removed", false, ["ab", "c "]), ("Removed", true, ["1", "2", "3"]),
    ("MergedWithPrevious", false, ["ab1", "2", "c 3"]), ("MergedWithPrevious", true, ["ab", "1", "2c ", "3"]),
    ("MergedWithNext", false, ["ab", "1", "2c ", "3"]), ("MergedWithNext", true, ["ab1", "2", "c 3"]),
    ("Contiguous", false, ["ab", "12", "c ", "3"]), ("Contiguous", true, ["ab", "12", "c ", "3"]),
  ]) func splits(behavior: String, inverted: Bool, expected: [String]) throws {
    let json = #"{"type": "Split", "pattern": {"Regex": "\\d"}, "behavior": "\#(behavior)", "invert": \#(inverted)}"#
    #expect(try words("ab12c 3", json) == expected)
  }

  @Test func anEmptyMatchPartsItsSides() throws {
    #expect(
      try words("aBcD", #"{"type": "Split", "pattern": {"Regex": "(?=[A-Z])"}, "behavior": "Isolated"}"#) == [
        "a", "Bc", "D",
      ])
  }

  @Test(arguments: [
    ("always", true, true, ["▁a", "▁", "▁b"]), ("always", false, true, ["▁a▁▁b"]),
    ("always", true, false, ["▁a", "▁", "▁b"]),
    ("first", true, true, ["▁a", "▁", "▁b"]), ("first", true, false, ["a", "▁", "▁b"]),
    ("never", true, true, ["a", "▁", "▁b"]),
  ]) func metaspace(scheme: String, splits: Bool, isFirst: Bool, expected: [String]) throws {
    let json = #"{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "\#(scheme)", "split": \#(splits)}"#
    #expect(try words("a  b", json, isFirst: isFirst) == expected)
  }

  @Test func simpleKinds() throws {
    #expect(try words("a-b  c_d!", #"{"type": "Whitespace"}"#) == ["a", "-", "b", "c_d", "!"])
    #expect(try words("a-b  c_d!", #"{"type": "WhitespaceSplit"}"#) == ["a-b", "c_d!"])
    #expect(try words("a12b", #"{"type": "Digits", "individual_digits": false}"#) == ["a", "12", "b"])
    #expect(try words("ab c", #"{"type": "ByteLevel"}"#) == [" ab", " c"])
  }

  @Test func runsOfValidText() {
    #expect(UTF8Runs.split([]) == [])
    #expect(UTF8Runs.split(Array("aé".utf8)) == [.text(0..<3)])
    #expect(
      UTF8Runs.split([0x61, 0xFF, 0xC3, 0xA9, 0xE2, 0x82]) == [
        .text(0..<1), .invalid(0xFF), .text(2..<4), .invalid(0xE2), .invalid(0x82),
      ])
    // Overlong, surrogate, beyond U+10FFFF.
    for bytes: [UInt8] in [[0xC0, 0x80], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80]] {
      #expect(UTF8Runs.split(bytes) == bytes.map { .invalid($0) })
    }
  }
}
