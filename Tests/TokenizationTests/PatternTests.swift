import Diagnostics
import Testing

@testable import Tokenization

@Suite struct PatternTests {
  private func matches(_ pattern: String, _ text: String) throws -> [String] {
    let bytes = Array(text.utf8)
    let expression = try RegularExpression(oniguruma: pattern, subject: "test")
    let search = try expression.search(longest: bytes.count)
    var ranges: [Range<Int>] = []
    try search.appendMatches(in: bytes, 0..<bytes.count, to: &ranges)
    return ranges.map { String(decoding: bytes[$0], as: UTF8.self) }
  }

  @Test(arguments: [
    // U+180E is no white space to Unicode, U+0085 is.
    (#"\s"#, "a\u{180E} \u{0085}b", [" ", "\u{0085}"]),
    (#"[^\s]+"#, "a\u{180E} b", ["a\u{180E}", "b"]),
    // Marks and connectors are parts of words.
    (#"\w+"#, "e\u{0301}\u{203F}a-b", ["e\u{0301}\u{203F}a", "b"]),
    (#"\bb\w"#, "ab bc e\u{0301}bd", ["bc"]),
    (#"\h+"#, "xFf09 g", ["Ff09"]),
    (#"\d+"#, "1\u{0663}½", ["1\u{0663}"]),
    (#"^a$"#, "a\na\nab", ["a", "a"]),
    // `+` after an interval repeats it.
    (#"\d{2}+"#, "12345", ["1234"]),
    (#"ba{,2}"#, "baaa", ["baa"]),
    (#"a{b"#, "a{b", ["a{b"]),
    (#"(?=[A-Z])"#, "aBcD", ["", ""]),
    (#"x*"#, "axxb", ["", "xx", ""]),
    (#"(?<=a)b"#, "abb", ["b"]),
    (#"'(?i:S|ll)"#, "'s 'LL 'x", ["'s", "'LL"]),
    (#"\u00e9|\x{20AC}"#, "é€", ["é", "€"]),
    (#"\p{Han}+"#, "漢字kana", ["漢字"]),
    (#"[^\r\n\p{L}]?+\p{L}++"#, " ab cd", [" ab", " cd"]),
  ]) func matchesAsOniguruma(pattern: String, text: String, expected: [String]) throws {
    #expect(try matches(pattern, text) == expected)
  }

  @Test(arguments: [
    "(a", "a)", "[a", "[a[b]]", "[a&&b]", "[[:alpha:]]", "[]", #"(a)\1"#, "(?<n>a)", "(?m:a)", "a(?i)b", "(*FAIL)",
    "(?R)",
    #"\X"#, #"\G"#, #"\K"#, "*a", "a**", "a{2}?", #"\p{Nonsense}"#, #"\xFF"#, #"\"#, #"[\W]"#, #"\x{110000}"#, "(?#c)",
    "((a{1000}){1000}){1000}",
  ]) func refuses(pattern: String) {
    #expect(throws: InputError.self) { try RegularExpression(oniguruma: pattern, subject: "tokenizer.json: x") }
  }

  @Test func aHostilePatternEndsInAnError() throws {
    let error = #expect(throws: InputError.self) { try matches("(a+)+$", String(repeating: "a", count: 60) + "b") }
    #expect(error?.subject == "test")
  }

  @Test func twoThreadsShareOnePattern() async throws {
    let expression = try RegularExpression(oniguruma: #"\p{L}+"#, subject: "test")
    let counts = try await withThrowingTaskGroup(of: Int.self) { group in
      for task in 1...8 {
        group.addTask {
          let bytes = Array(String(repeating: "ab ", count: 200 * task).utf8)
          let search = try expression.search(longest: bytes.count)
          var ranges: [Range<Int>] = []
          try search.appendMatches(in: bytes, 0..<bytes.count, to: &ranges)
          return ranges.count
        }
      }
      return try await group.reduce(into: Set()) { $0.insert($1) }
    }
    #expect(counts == Set((1...8).map { 200 * $0 }))
  }
}
