internal import SweepRecords

/// A value bound to a statement, sent in PostgreSQL's binary form.
package enum PostgreSQLValue: Sendable, ExpressibleByIntegerLiteral, ExpressibleByStringLiteral {
  case integer(Int64?)
  case real(Double?)
  case text(String?)
  case flag(Bool)
  case integers([Int64?])
  case reals([Double?])
  case texts([String?])

  package init(integerLiteral value: Int64) { self = .integer(value) }
  package init(stringLiteral value: String) { self = .text(value) }
  init(_ value: Int?) { self = .integer(value.map(Int64.init)) }
  init(_ value: Int64) { self = .integer(value) }
  init(_ value: Double) { self = .real(value) }
  init(_ value: String?) { self = .text(value) }
  init(_ value: Digest) { self = .text(value.hex) }
  init(_ values: [Digest]) { self = .texts(values.map(\.hex)) }

  /// The type that the server is told.
  var type: UInt32 {
    switch self {
    case .integer: PostgreSQLType.int8
    case .real: PostgreSQLType.float8
    case .text: PostgreSQLType.text
    case .flag: PostgreSQLType.bool
    case .integers: PostgreSQLType.int8Array
    case .reals: PostgreSQLType.float8Array
    case .texts: PostgreSQLType.textArray
    }
  }

  /// Appends the value; its length in bytes, or nil for NULL.
  func append(to bytes: inout [UInt8]) throws -> Int? {
    let start = bytes.count
    switch self {
    case .integer(let value):
      guard let value else { return nil }
      bytes.append(bigEndian: value)
    case .real(let value):
      guard let value else { return nil }
      bytes.append(bigEndian: value.bitPattern)
    case .text(let value):
      guard let value else { return nil }
      try bytes.append(storable: value)
    case .flag(let value): bytes.append(value ? 1 : 0)
    case .integers(let values):
      Self.append(values, of: PostgreSQLType.int8, to: &bytes) { $1.append(bigEndian: $0) }
    case .reals(let values):
      Self.append(values, of: PostgreSQLType.float8, to: &bytes) { $1.append(bigEndian: $0.bitPattern) }
    case .texts(let values):
      try Self.append(values, of: PostgreSQLType.text, to: &bytes) { try $1.append(storable: $0) }
    }
    return bytes.count - start
  }

  /// Dimensions, whether there are nulls, the type; then the one dimension's length and first index; then the elements.
  private static func append<Element>(
    _ values: [Element?], of type: UInt32, to bytes: inout [UInt8],
    element: (Element, inout [UInt8]) throws -> Void
  ) rethrows {
    bytes.append(bigEndian: Int32(values.isEmpty ? 0 : 1))
    bytes.append(bigEndian: Int32(values.contains { $0 == nil } ? 1 : 0))
    bytes.append(bigEndian: type)
    if values.isEmpty { return }
    bytes.append(bigEndian: Int32(clamping: values.count))
    bytes.append(bigEndian: Int32(1))
    for value in values {
      let place = bytes.count
      bytes.append(bigEndian: Int32(-1))
      guard let value else { continue }
      try element(value, &bytes)
      bytes.replace(bigEndian: Int32(clamping: bytes.count - place - 4), at: place)
    }
  }
}

/// Numbers of PostgreSQL's types; they never change (pg_type.dat).
enum PostgreSQLType {
  static let bool: UInt32 = 16
  static let bytes: UInt32 = 17
  static let int8: UInt32 = 20
  static let int2: UInt32 = 21
  static let int4: UInt32 = 23
  static let text: UInt32 = 25
  static let oid: UInt32 = 26
  static let float4: UInt32 = 700
  static let float8: UInt32 = 701
  static let textArray: UInt32 = 1009
  static let int8Array: UInt32 = 1016
  static let float8Array: UInt32 = 1022
  static let time: UInt32 = 1184
  static let numeric: UInt32 = 1700
}

extension [UInt8] {
  /// Appends a number, the highest byte first.
  mutating func append<T: FixedWidthInteger>(bigEndian value: T) {
    Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
  }

  /// Writes a number over what is there.
  mutating func replace(bigEndian value: Int32, at place: Int) {
    Swift.withUnsafeBytes(of: value.bigEndian) { source in
      for (offset, byte) in source.enumerated() { self[place + offset] = byte }
    }
  }

  /// Appends a text's UTF-8. Throws for one with a NUL character, the only one that PostgreSQL can't store.
  mutating func append(storable text: String) throws {
    if text.utf8.contains(0) {
      throw StoreError(
        .conflict, "a text holds a NUL character, which PostgreSQL can't store: \(text.prefix(40).debugDescription)")
    }
    append(contentsOf: text.utf8)
  }
}

extension String {
  /// What people are told, with NUL characters (which PostgreSQL can't store) made visible.
  var withoutNUL: String {
    utf8.contains(0) ? String(unicodeScalars.map { $0 == "\0" ? "\u{FFFD}" : Character($0) }) : self
  }
}
