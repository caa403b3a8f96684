import Diagnostics
import Testing

@testable import Tokenization

@Suite struct JSONTests {
  private func string(_ json: String) throws -> String {
    try JSONCursor(Array(json.utf8), file: "f.json").string()
  }

  @Test func readsValues() throws {
    let root = try JSONCursor(
      Array(#" {"a": [1, -2.5e1, true, null, "x"], "b": {"c": null}, "a2": 0} "#.utf8), file: "f.json")
    let elements = try root.required("a").elements()
    #expect(try elements[0].integer() == 1)
    guard case .number(let number) = elements[1].value else { throw elements[1].error(expected: "a number") }
    #expect(number == -25)
    #expect(try elements[2].boolean() && elements[4].string() == "x")
    #expect(try root.required("b").optional("c") == nil)
    #expect(elements[2].subject == "f.json: a[2]")
  }

  @Test func readsEscapes() throws {
    #expect(try string(#""\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00é""#) == "\"\\/\u{8}\u{C}\n\r\té😀é")
    // Composed and decomposed stay what they are.
    #expect(try JSONCursor(Array("\"e\u{301}\"".utf8), file: "f").bytes() == Array("e\u{301}".utf8))
  }

  @Test(arguments: [
    "", "{", "[", "[1", "[1,", "[1,]", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,}", "{a:1}", "tru", "nulL", "1 2",
    "\"a", "\"\\", "\"\\x\"",
    "\"\\u12\"", "\"\\uD800\"", "\"\\uD800\\u0041\"", "\"\\uDC00\"", "\"\n\"", "+1", ".5", "1.", "1e999", "--1",
    "\u{1}",
    String(repeating: "[", count: 100_000),
  ]) func refuses(json: String) {
    #expect(throws: InputError.self) { try JSONCursor(Array(json.utf8), file: "f.json") }
  }

  @Test func refusesWhatIsNotUTF8() {
    #expect(throws: InputError.self) { try JSONCursor([0x22, 0xFF, 0x22], file: "f.json") }
  }

  @Test func namesKeyAndKind() throws {
    let root = try JSONCursor(Array(#"{"a": {"b": [1]}}"#.utf8), file: "f.json")
    let element = try root.required("a").required("b").elements()[0]
    let error = #expect(throws: InputError.self) { try element.string() }
    #expect(error == InputError("f.json: a.b[0]", expected: "a string", found: "1"))
    #expect(throws: InputError.self) { try root.required("x") }
    #expect(throws: InputError.self) { try root.integer() }
  }
}
