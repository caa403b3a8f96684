internal import Diagnostics

/// A parsed JSON text whose strings stay bytes: Swift's `String` holds `é` composed and decomposed for equal, and a
/// vocabulary may have both.
enum JSONValue: Sendable {
  case null
  case boolean(Bool)
  case integer(Int)
  case number(Double)
  case string([UInt8])
  case array([JSONValue])
  case object([(key: [UInt8], value: JSONValue)])

  /// What an error message calls this value.
  var kind: String {
    switch self {
    case .null: "null"
    case .boolean(let value): "\(value)"
    case .integer(let value): "\(value)"
    case .number(let value): "\(value)"
    case .string(let bytes):
      bytes.count <= 60 ? "\"\(String(decoding: bytes, as: UTF8.self))\"" : "a string of \(bytes.count) bytes"
    case .array(let elements): "a list of \(elements.count)"
    case .object(let members): "an object of \(members.count) keys"
    }
  }
}

/// Parses JSON (RFC 8259) from bytes in one pass; deeper nesting than 64 is refused.
struct JSONParser {
  private let bytes: [UInt8]
  private let file: String
  private var position = 0

  /// - Throws: `InputError` naming `file` and the byte where it stops being JSON.
  static func parse(_ bytes: [UInt8], file: String) throws(InputError) -> JSONValue {
    guard String(validating: bytes, as: UTF8.self) != nil else {
      throw InputError(file, expected: "JSON text in UTF-8", found: "bytes that are not UTF-8")
    }
    var parser = JSONParser(bytes: bytes, file: file)
    let value = try parser.value(depth: 0)
    parser.skipWhitespace()
    guard parser.position == bytes.count else { throw parser.error("the end of the file") }
    return value
  }

  private init(bytes: [UInt8], file: String) {
    self.bytes = bytes
    self.file = file
  }

  private func error(_ expected: String) -> InputError {
    let found =
      position < bytes.count
      ? "'\(String(decoding: bytes[position..<min(position + 12, bytes.count)], as: UTF8.self))'" : "the end"
    return InputError(
      "\(file): byte \(position)", expected: expected, found: found, remedy: "fetch or write the file again")
  }

  private mutating func skipWhitespace() {
    while position < bytes.count, bytes[position] <= 0x20 {
      guard [0x20, 0x0A, 0x0D, 0x09].contains(bytes[position]) else { return }
      position += 1
    }
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard position < bytes.count, bytes[position] == byte else { return false }
    position += 1
    return true
  }

  private mutating func value(depth: Int) throws(InputError) -> JSONValue {
    skipWhitespace()
    guard depth < 64 else { throw error("at most 64 levels of nesting") }
    guard position < bytes.count else { throw error("a JSON value") }
    switch bytes[position] {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try literal("true", .boolean(true))
    case UInt8(ascii: "f"): return try literal("false", .boolean(false))
    case UInt8(ascii: "n"): return try literal("null", .null)
    default: return try number()
    }
  }

  private mutating func literal(_ word: StaticString, _ value: JSONValue) throws(InputError) -> JSONValue {
    for byte in "\(word)".utf8 {
      guard take(byte) else { throw error("\(word)") }
    }
    return value
  }

  private mutating func object(depth: Int) throws(InputError) -> JSONValue {
    position += 1
    var members: [(key: [UInt8], value: JSONValue)] = []
    skipWhitespace()
    if take(UInt8(ascii: "}")) { return .object(members) }
    repeat {
      skipWhitespace()
      guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else { throw error("a key in quotes") }
      let key = try string()
      skipWhitespace()
      guard take(UInt8(ascii: ":")) else { throw error("':' after a key") }
      members.append((key, try value(depth: depth + 1)))
      skipWhitespace()
    } while take(UInt8(ascii: ","))
    guard take(UInt8(ascii: "}")) else { throw error("',' or '}'") }
    return .object(members)
  }

  private mutating func array(depth: Int) throws(InputError) -> JSONValue {
    position += 1
    var elements: [JSONValue] = []
    skipWhitespace()
    if take(UInt8(ascii: "]")) { return .array(elements) }
    repeat {
      elements.append(try value(depth: depth + 1))
      skipWhitespace()
    } while take(UInt8(ascii: ","))
    guard take(UInt8(ascii: "]")) else { throw error("',' or ']'") }
    return .array(elements)
  }

  private mutating func number() throws(InputError) -> JSONValue {
    let start = position
    var isInteger = true
    while position < bytes.count {
      let byte = bytes[position]
      if byte >= 0x30 && byte <= 0x39 || byte == UInt8(ascii: "-") {
        position += 1
      } else if byte == UInt8(ascii: ".") || byte | 0x20 == UInt8(ascii: "e") || byte == UInt8(ascii: "+") {
        isInteger = false
        position += 1
      } else {
        break
      }
    }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    let isDigit = { (byte: UInt8?) in byte.map { (0x30...0x39).contains($0) } ?? false }
    if isDigit(text.utf8.last), isDigit(text.utf8.first) || text.utf8.first == UInt8(ascii: "-") {
      if isInteger, let value = Int(text) { return .integer(value) }
      if let value = Double(text), value.isFinite { return .number(value) }
    }
    position = start
    throw error("a JSON value")
  }

  private mutating func string() throws(InputError) -> [UInt8] {
    position += 1
    let start = position
    while position < bytes.count {
      let byte = bytes[position]
      if byte == UInt8(ascii: "\"") {
        position += 1
        return Array(bytes[start..<(position - 1)])
      }
      if byte == UInt8(ascii: "\\") { return try stringWithEscapes(from: start) }
      guard byte >= 0x20 else { throw error("no control character in a string") }
      position += 1
    }
    throw error("the closing quote of a string")
  }

  private mutating func stringWithEscapes(from start: Int) throws(InputError) -> [UInt8] {
    var result = Array(bytes[start..<position])
    while position < bytes.count {
      let byte = bytes[position]
      position += 1
      if byte == UInt8(ascii: "\"") { return result }
      if byte == UInt8(ascii: "\\") {
        try appendEscape(to: &result)
      } else {
        guard byte >= 0x20 else { throw error("no control character in a string") }
        result.append(byte)
      }
    }
    throw error("the closing quote of a string")
  }

  private mutating func appendEscape(to result: inout [UInt8]) throws(InputError) {
    guard position < bytes.count else { throw error("an escape") }
    let byte = bytes[position]
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): result.append(byte)
    case UInt8(ascii: "b"): result.append(0x08)
    case UInt8(ascii: "f"): result.append(0x0C)
    case UInt8(ascii: "n"): result.append(0x0A)
    case UInt8(ascii: "r"): result.append(0x0D)
    case UInt8(ascii: "t"): result.append(0x09)
    case UInt8(ascii: "u"): result.append(contentsOf: String(try escapedScalar()).utf8)
    default: throw error("one of the escapes \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u")
    }
  }

  /// The scalar of `\uXXXX`, or of a surrogate pair; half a pair has no UTF-8 and is refused.
  private mutating func escapedScalar() throws(InputError) -> Unicode.Scalar {
    let high = try hexadecimal()
    if let scalar = Unicode.Scalar(high) { return scalar }
    guard high < 0xDC00, take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else { throw error("a surrogate pair") }
    let low = try hexadecimal()
    guard (0xDC00..<0xE000).contains(low), let scalar = Unicode.Scalar(0x10000 + (high - 0xD800) << 10 + (low - 0xDC00))
    else {
      throw error("the second half of a surrogate pair")
    }
    return scalar
  }

  private mutating func hexadecimal() throws(InputError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard position < bytes.count, let digit = Character(Unicode.Scalar(bytes[position])).hexDigitValue else {
        throw error("four hexadecimal digits")
      }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    return value
  }
}

/// A place in a parsed JSON file that knows its own path, so that an error can name file and key.
struct JSONCursor {
  let file: String
  let path: String
  let value: JSONValue

  init(_ bytes: [UInt8], file: String) throws(InputError) {
    self.init(file: file, path: "", value: try JSONParser.parse(bytes, file: file))
  }

  private init(file: String, path: String, value: JSONValue) {
    self.file = file
    self.path = path
    self.value = value
  }

  /// `file: a.b[2]`, as an error names it.
  var subject: String { path.isEmpty ? file : "\(file): \(path)" }

  /// An error about this place.
  func error(expected: String, found: String? = nil, remedy: String = "") -> InputError {
    InputError(subject, expected: expected, found: found ?? value.kind, remedy: remedy)
  }

  /// The value of a key, nil where it is missing or null; the last one wins where a key is written twice.
  func optional(_ key: String) throws(InputError) -> JSONCursor? {
    let name = Array(key.utf8)
    guard let found = try members().last(where: { $0.key == name })?.value else { return nil }
    if case .null = found { return nil }
    return JSONCursor(file: file, path: path.isEmpty ? key : "\(path).\(key)", value: found)
  }

  /// The value of a key that must be there.
  func required(_ key: String) throws(InputError) -> JSONCursor {
    guard let found = try optional(key) else {
      throw InputError(subject, expected: "the key \"\(key)\"", found: "no such key or null")
    }
    return found
  }

  func members() throws(InputError) -> [(key: [UInt8], value: JSONValue)] {
    guard case .object(let members) = value else { throw error(expected: "an object") }
    return members
  }

  func values() throws(InputError) -> [JSONValue] {
    guard case .array(let elements) = value else { throw error(expected: "a list") }
    return elements
  }

  func elements() throws(InputError) -> [JSONCursor] {
    try values().enumerated().map { JSONCursor(file: file, path: "\(path)[\($0.offset)]", value: $0.element) }
  }

  func bytes() throws(InputError) -> [UInt8] {
    guard case .string(let bytes) = value else { throw error(expected: "a string") }
    return bytes
  }

  func string() throws(InputError) -> String { String(decoding: try bytes(), as: UTF8.self) }

  func boolean() throws(InputError) -> Bool {
    guard case .boolean(let value) = value else { throw error(expected: "true or false") }
    return value
  }

  func integer() throws(InputError) -> Int {
    guard case .integer(let value) = value else { throw error(expected: "a whole number") }
    return value
  }

  /// A flag that may be missing.
  func flag(_ key: String, default fallback: Bool = false) throws(InputError) -> Bool {
    try optional(key)?.boolean() ?? fallback
  }
}
