internal import Diagnostics
internal import Foundation

/// A value of `config.json` or of GGUF metadata.
enum ConfigurationValue: Sendable, Equatable, Decodable {
  case null
  case flag(Bool)
  case integer(Int)
  case number(Double)
  case text(String)
  case list([ConfigurationValue])
  case object([String: ConfigurationValue])

  init(from decoder: any Decoder) throws {
    if let object = try? decoder.singleValueContainer().decode([String: ConfigurationValue].self) {
      self = .object(object)
    } else if let list = try? decoder.singleValueContainer().decode([ConfigurationValue].self) {
      self = .list(list)
    } else {
      let container = try decoder.singleValueContainer()
      if container.decodeNil() {
        self = .null
      } else if let flag = try? container.decode(Bool.self) {
        self = .flag(flag)
      } else if let integer = try? container.decode(Int.self) {
        self = .integer(integer)
      } else if let number = try? container.decode(Double.self) {
        self = .number(number)
      } else {
        self = .text(try container.decode(String.self))
      }
    }
  }

  /// As an error prints it.
  var printed: String {
    switch self {
    case .null: "null"
    case .flag(let flag): String(flag)
    case .integer(let integer): String(integer)
    case .number(let number): String(number)
    case .text(let text): "\"\(text.prefix(80))\""
    case .list(let list): "a list of \(list.count)"
    case .object: "an object"
    }
  }

  var asNumber: Double? {
    switch self {
    case .integer(let integer): Double(integer)
    case .number(let number): number
    case .null, .flag, .text, .list, .object: nil
    }
  }
}

/// Named values of a file, read with a check each; every error names the file and the key.
struct Configuration: Sendable {
  /// What errors call it: the path.
  let name: String
  /// Set before every key of errors, such as `rope_scaling.`.
  var prefix = ""
  var values: [String: ConfigurationValue]

  /// Reads a JSON object from a file of at most 16 MB.
  static func json(path: String) throws(InputError) -> Configuration {
    let limit = 16 << 20
    guard let handle = FileHandle(forReadingAtPath: path) else {
      throw InputError(path, expected: "a readable file", found: "none")
    }
    defer { try? handle.close() }
    guard let data = try? handle.read(upToCount: limit + 1) ?? Data() else {
      throw InputError(path, expected: "a readable file", found: "one that can't be read")
    }
    guard data.count <= limit else {
      throw InputError(path, expected: "a JSON file of at most 16 MB", found: "a larger file")
    }
    guard let value = try? JSONDecoder().decode(ConfigurationValue.self, from: data) else {
      throw InputError(path, expected: "JSON", found: "\(data.count) bytes that are not (or are cut off)")
    }
    guard case .object(let values) = value else {
      throw InputError(path, expected: "a JSON object", found: value.printed)
    }
    return Configuration(name: path, values: values)
  }

  /// The error for a key.
  func wrong(_ key: String, expected: String, found: String? = nil, remedy: String = "") -> InputError {
    InputError(
      "\(name): \(prefix)\(key)", expected: expected, found: found ?? values[key]?.printed ?? "no such key",
      remedy: remedy)
  }

  /// Whether the key is there with a value other than null.
  func has(_ key: String) -> Bool { values[key].map { $0 != .null } ?? false }

  /// A whole number within `range`; `fallback` where the key is missing or null.
  func integer(_ key: String, _ range: ClosedRange<Int>, default fallback: Int? = nil) throws(InputError) -> Int {
    if !has(key), let fallback { return fallback }
    let expected = "a whole number from \(range.lowerBound) to \(range.upperBound)"
    switch values[key] {
    case .integer(let value) where range.contains(value): return value
    case .number(let value):
      guard let whole = Int(exactly: value), range.contains(whole) else { throw wrong(key, expected: expected) }
      return whole
    default: throw wrong(key, expected: expected)
    }
  }

  /// A finite number within `range`; `fallback` where the key is missing or null.
  func number(_ key: String, _ range: ClosedRange<Double>, default fallback: Double? = nil) throws(InputError) -> Double
  {
    if !has(key), let fallback { return fallback }
    guard let value = values[key]?.asNumber, range.contains(value) else {
      throw wrong(key, expected: "a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  /// true or false; `fallback` where the key is missing or null.
  func flag(_ key: String, default fallback: Bool) throws(InputError) -> Bool {
    guard has(key) else { return fallback }
    guard case .flag(let value) = values[key] else { throw wrong(key, expected: "true or false") }
    return value
  }

  /// A text; nil where the key is missing or null.
  func text(_ key: String) throws(InputError) -> String? {
    guard has(key) else { return nil }
    guard case .text(let value) = values[key] else { throw wrong(key, expected: "a text") }
    return value
  }

  /// An object of its own; nil where the key is missing or null.
  func object(_ key: String) throws(InputError) -> Configuration? {
    guard has(key) else { return nil }
    guard case .object(let object) = values[key] else { throw wrong(key, expected: "an object") }
    return Configuration(name: name, prefix: "\(prefix)\(key).", values: object)
  }

  /// Token ids: one or a list; empty where the key is missing or null.
  func tokens(_ key: String) throws(InputError) -> [Int] {
    guard has(key) else { return [] }
    let list: [ConfigurationValue]
    if case .list(let values) = values[key] { list = values } else { list = values[key].map { [$0] } ?? [] }
    var tokens: [Int] = []
    for value in list {
      guard case .integer(let token) = value, (0..<ModelArchitecture.largestVocabulary).contains(token) else {
        throw wrong(key, expected: "a token id or a list of them")
      }
      tokens.append(token)
    }
    return tokens
  }
}
