package import Diagnostics
internal import Kernels

/// The types of GGUF's metadata values, by their numbers in the file.
enum GGUFValueType: UInt32, Sendable {
  case uint8, int8, uint16, int16, uint32, int32, float32, boolean, string, array, uint64, int64, float64

  /// Bytes of a value; nil for strings and arrays, which state their length.
  var byteCount: Int? {
    switch self {
    case .uint8, .int8, .boolean: 1
    case .uint16, .int16: 2
    case .uint32, .int32, .float32: 4
    case .uint64, .int64, .float64: 8
    case .string, .array: nil
    }
  }

  /// Fewest bytes that a value can take, to check counts before anything is done with them.
  var smallestByteCount: Int {
    switch self {
    case .string: 8
    case .array: 12
    default: byteCount ?? 1
    }
  }
}

/// The key-value pairs of a GGUF file.
///
/// Bounds are checked when the file is opened; values are decoded when they are asked for, so that a file with 256,000
/// tokens opens at once and text that nobody asks for need not be UTF-8.
package struct GGUFMetadata: Sendable {
  /// One value: its type and where its bytes are, after the type numbers and array count.
  struct Entry: Sendable {
    var type: GGUFValueType
    /// The element type and count of an array.
    var elements: (type: GGUFValueType, count: Int)?
    var range: Range<Int>
  }

  /// The keys in the order of the file.
  package let keys: [String]
  private let entries: [String: Entry]
  private let source: ByteSource

  init(keys: [String], entries: [String: Entry], source: ByteSource) {
    self.keys = keys
    self.entries = entries
    self.source = source
  }

  /// Whether there is a value of that key.
  package func contains(_ key: String) -> Bool { entries[key] != nil }

  /// A text.
  package func string(_ key: String) throws(InputError) -> String {
    try required(key, stringIfPresent(key), "a string")
  }

  /// A whole number of any stored width.
  package func integer(_ key: String) throws(InputError) -> Int {
    try required(key, integerIfPresent(key), "a whole number")
  }

  /// A number, float32 or float64.
  package func float(_ key: String) throws(InputError) -> Double {
    try required(key, floatIfPresent(key), "a floating-point number")
  }

  /// A truth value.
  package func boolean(_ key: String) throws(InputError) -> Bool {
    try required(key, booleanIfPresent(key), "true or false")
  }

  /// A list of texts. Complexity: O(bytes).
  package func strings(_ key: String) throws(InputError) -> [String] {
    try required(key, stringsIfPresent(key), "a list of strings")
  }

  /// A list of whole numbers of any stored width.
  package func integers(_ key: String) throws(InputError) -> [Int] {
    try required(key, integersIfPresent(key), "a list of whole numbers")
  }

  /// A list of numbers, float32 or float64, the latter rounded.
  package func floats(_ key: String) throws(InputError) -> [Float] {
    try required(key, floatsIfPresent(key), "a list of floating-point numbers")
  }

  /// A text, or nil where there is no such key.
  package func stringIfPresent(_ key: String) throws(InputError) -> String? {
    guard let entry = entries[key] else { return nil }
    guard entry.type == .string else { throw mismatch(key, "a string") }
    guard let text = source.withBytes(entry.range, { $0.text(8..<$0.byteCount) }) else {
      throw InputError(subject(key), expected: "UTF-8", found: "other bytes")
    }
    return text
  }

  /// A whole number, or nil where there is no such key.
  package func integerIfPresent(_ key: String) throws(InputError) -> Int? {
    guard let entry = entries[key] else { return nil }
    guard let format = entry.type.integerFormat else { throw mismatch(key, "a whole number") }
    return try integers(key, entry.range, format).first
  }

  /// A number, or nil where there is no such key.
  package func floatIfPresent(_ key: String) throws(InputError) -> Double? {
    guard let entry = entries[key] else { return nil }
    switch entry.type {
    case .float32: return source.withBytes(entry.range) { Double(Float(bitPattern: $0.uint32(at: 0))) }
    case .float64: return source.withBytes(entry.range) { Double(bitPattern: $0.uint64(at: 0)) }
    default: throw mismatch(key, "a floating-point number")
    }
  }

  /// A truth value, or nil where there is no such key.
  package func booleanIfPresent(_ key: String) throws(InputError) -> Bool? {
    guard let entry = entries[key] else { return nil }
    guard entry.type == .boolean else { throw mismatch(key, "true or false") }
    return source.withBytes(entry.range) { $0.uint8(at: 0) != 0 }
  }

  /// A list of texts, or nil where there is no such key.
  package func stringsIfPresent(_ key: String) throws(InputError) -> [String]? {
    guard let entry = entries[key] else { return nil }
    guard let elements = entry.elements, elements.type == .string else { throw mismatch(key, "a list of strings") }
    let subject = subject(key)
    return try source.withBytes(entry.range) { bytes throws(InputError) in
      var strings: [String] = []
      strings.reserveCapacity(elements.count)
      var offset = 0
      for index in 0..<elements.count {
        // The lengths were checked when the file was opened.
        let end = offset + 8 + Int(bytes.uint64(at: offset))
        guard let text = bytes.text((offset + 8)..<end) else {
          throw InputError("\(subject): element \(index)", expected: "UTF-8", found: "other bytes")
        }
        strings.append(text)
        offset = end
      }
      return strings
    }
  }

  /// A list of whole numbers, or nil where there is no such key.
  package func integersIfPresent(_ key: String) throws(InputError) -> [Int]? {
    guard let entry = entries[key] else { return nil }
    guard let format = entry.elements?.type.integerFormat else { throw mismatch(key, "a list of whole numbers") }
    return try integers(key, entry.range, format)
  }

  /// A list of numbers, or nil where there is no such key.
  package func floatsIfPresent(_ key: String) throws(InputError) -> [Float]? {
    guard let entry = entries[key] else { return nil }
    switch entry.elements?.type {
    case .float32: return source.withBytes(entry.range) { converted($0, from: .float32) }
    case .float64: return source.withBytes(entry.range) { converted($0, from: .float64) }
    default: throw mismatch(key, "a list of floating-point numbers")
    }
  }

  private func subject(_ key: String) -> String { "\(source.name): key \"\(key)\"" }

  private func required<Value>(_ key: String, _ value: Value?, _ expected: String) throws(InputError) -> Value {
    guard let value else { throw InputError(subject(key), expected: expected, found: "no such key") }
    return value
  }

  private func mismatch(_ key: String, _ expected: String) -> InputError {
    let entry = entries[key]
    let found = entry?.elements.map { "a list of \($0.type)" } ?? entry.map { "\($0.type)" } ?? "nothing"
    return InputError(subject(key), expected: expected, found: found)
  }

  private func integers(_ key: String, _ range: Range<Int>, _ format: IntegerFormat) throws(InputError) -> [Int] {
    guard let values = source.withBytes(range, { widened($0, from: format) }) else {
      throw InputError(subject(key), expected: "whole numbers up to \(Int.max)", found: "a larger one")
    }
    return values
  }
}

extension GGUFValueType {
  /// How integers of this type are stored; nil for other types.
  fileprivate var integerFormat: IntegerFormat? {
    switch self {
    case .uint8: .uint8
    case .int8: .int8
    case .uint16: .uint16
    case .int16: .int16
    case .uint32: .uint32
    case .int32: .int32
    case .uint64: .uint64
    case .int64: .int64
    case .float32, .float64, .boolean, .string, .array: nil
    }
  }
}
