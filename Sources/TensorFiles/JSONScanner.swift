internal import Diagnostics

/// A strict JSON reader for file headers: it meets every key, so duplicates can be refused, and nothing is guessed.
struct JSONScanner {
  /// What errors call the text.
  let subject: String
  private let bytes: [UInt8]
  private var offset = 0

  init(_ bytes: [UInt8], subject: String) {
    self.bytes = bytes
    self.subject = subject
  }

  /// An error at the current place.
  func failure(_ expected: String, found: String? = nil) -> InputError {
    let byte = offset < bytes.count ? bytes[offset] : nil
    let character = byte.map { $0 >= 0x20 && $0 < 0x7f ? "'\(Character(UnicodeScalar($0)))'" : "byte \($0)" }
    return InputError(
      subject, expected: expected, found: "\(found ?? character ?? "the end") at byte \(offset) of the JSON text")
  }

  /// Reads `{"key": value, ...}`, calling `member` with the scanner before each value; refuses a key that occurs twice.
  mutating func object(
    _ member: (inout JSONScanner, String) throws(InputError) -> Void
  ) throws(InputError) {
    try expect(UInt8(ascii: "{"))
    if take(UInt8(ascii: "}")) { return }
    var keys: Set<String> = []
    repeat {
      let key = try string()
      guard keys.insert(key).inserted else { throw failure("each key once", found: "a second \"\(key)\"") }
      try expect(UInt8(ascii: ":"))
      try member(&self, key)
    } while take(UInt8(ascii: ","))
    try expect(UInt8(ascii: "}"))
  }

  /// Reads `[n, ...]` of non-negative integers, at most `limit` of them.
  mutating func integers(limit: Int) throws(InputError) -> [Int] {
    try expect(UInt8(ascii: "["))
    var values: [Int] = []
    if take(UInt8(ascii: "]")) { return values }
    repeat {
      guard values.count < limit else { throw failure("at most \(limit) numbers") }
      values.append(try integer())
    } while take(UInt8(ascii: ","))
    try expect(UInt8(ascii: "]"))
    return values
  }

  /// Reads a string, with escapes.
  mutating func string() throws(InputError) -> String {
    try expect(UInt8(ascii: "\""))
    let start = offset
    var hasEscapes = false
    while offset < bytes.count, bytes[offset] != UInt8(ascii: "\"") {
      guard bytes[offset] >= 0x20 else { throw failure("no control characters in a string") }
      if bytes[offset] == UInt8(ascii: "\\") {
        hasEscapes = true
        offset += 1
      }
      offset += 1
    }
    guard offset < bytes.count else {
      offset = bytes.count
      throw failure("the end of a string")
    }
    let content = bytes[start..<offset]
    let text = hasEscapes ? Self.unescaped(content) : String(validating: content, as: UTF8.self)
    guard let text else { throw failure("UTF-8 and valid escapes before this place") }
    offset += 1
    return text
  }

  /// Skips any value that is nested at most `depth` deep.
  mutating func skipValue(depth: Int = 32) throws(InputError) {
    guard depth > 0 else { throw failure("less nesting") }
    skipSpace()
    guard offset < bytes.count else { throw failure("a value") }
    switch bytes[offset] {
    case UInt8(ascii: "{"):
      try object { scanner, _ throws(InputError) in try scanner.skipValue(depth: depth - 1) }
    case UInt8(ascii: "["):
      offset += 1
      if take(UInt8(ascii: "]")) { return }
      repeat { try skipValue(depth: depth - 1) } while take(UInt8(ascii: ","))
      try expect(UInt8(ascii: "]"))
    case UInt8(ascii: "\""): _ = try string()
    default:
      // Numbers, true, false and null: nothing depends on their value here.
      let start = offset
      let end = Set(",]} \t\r\n".utf8)
      while offset < bytes.count, !end.contains(bytes[offset]) { offset += 1 }
      guard offset > start else { throw failure("a value") }
    }
  }

  /// Refuses anything but white space up to the end.
  mutating func end() throws(InputError) {
    skipSpace()
    guard offset == bytes.count else { throw failure("the end") }
  }

  private mutating func integer() throws(InputError) -> Int {
    skipSpace()
    let start = offset
    var value = 0
    while offset < bytes.count, bytes[offset].isDigit {
      let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = tens.addingReportingOverflow(Int(bytes[offset] - UInt8(ascii: "0")))
      guard !overflow, !carry else { throw failure("a number below 2^63") }
      value = sum
      offset += 1
    }
    guard offset > start else { throw failure("a non-negative whole number") }
    guard offset == start + 1 || bytes[start] != UInt8(ascii: "0") else {
      throw failure("a number without leading zeros")
    }
    return value
  }

  private mutating func skipSpace() {
    while offset < bytes.count, bytes[offset].isWhiteSpace { offset += 1 }
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    skipSpace()
    guard offset < bytes.count, bytes[offset] == byte else { return false }
    offset += 1
    return true
  }

  private mutating func expect(_ byte: UInt8) throws(InputError) {
    guard take(byte) else { throw failure("'\(Character(UnicodeScalar(byte)))'") }
  }

  private static func unescaped(_ content: ArraySlice<UInt8>) -> String? {
    let simple: [UInt8: UInt8] = [
      UInt8(ascii: "\""): 0x22, UInt8(ascii: "\\"): 0x5c, UInt8(ascii: "/"): 0x2f, UInt8(ascii: "b"): 0x08,
      UInt8(ascii: "f"): 0x0c, UInt8(ascii: "n"): 0x0a, UInt8(ascii: "r"): 0x0d, UInt8(ascii: "t"): 0x09,
    ]
    var result: [UInt8] = []
    var rest = content
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "\\") else {
        result.append(byte)
        continue
      }
      guard let kind = rest.popFirst() else { return nil }
      if let plain = simple[kind] {
        result.append(plain)
      } else {
        guard kind == UInt8(ascii: "u"), let scalar = escapedScalar(&rest) else { return nil }
        result.append(contentsOf: Array(String(Character(scalar)).utf8))
      }
    }
    return String(validating: result, as: UTF8.self)
  }

  /// The scalar of `XXXX` after a `\u`, together with the second half of a surrogate pair.
  private static func escapedScalar(_ rest: inout ArraySlice<UInt8>) -> UnicodeScalar? {
    func unit(_ rest: inout ArraySlice<UInt8>) -> UInt32? {
      guard rest.count >= 4 else { return nil }
      var value: UInt32 = 0
      for _ in 0..<4 {
        guard let digit = rest.popFirst().flatMap({ Character(UnicodeScalar($0)).hexDigitValue }) else { return nil }
        value = value * 16 + UInt32(digit)
      }
      return value
    }
    guard let first = unit(&rest) else { return nil }
    guard (0xd800..<0xdc00).contains(first) else { return UnicodeScalar(first) }
    guard rest.popFirst() == UInt8(ascii: "\\"), rest.popFirst() == UInt8(ascii: "u"), let second = unit(&rest),
      (0xdc00..<0xe000).contains(second)
    else { return nil }
    return UnicodeScalar(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
  }
}

/// Characters that the header languages share. Comparisons, not sets: they run for every byte.
extension UInt8 {
  var isWhiteSpace: Bool { self == 0x20 || self == 0x09 || self == 0x0a || self == 0x0d }
  var isDigit: Bool { self >= 0x30 && self <= 0x39 }
}
