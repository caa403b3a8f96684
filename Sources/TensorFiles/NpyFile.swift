package import Diagnostics
internal import Kernels

/// An `.npy` file: one numpy array, read without evaluating its header.
///
/// Versions 1 to 3, C order, little-endian floats, integers and booleans. Format: numpy's `numpy.lib.format`.
package struct NpyFile: TensorCollection {
  /// The array; its name is empty.
  package let array: TensorView

  /// Maps and checks the file at `path`.
  package init(path: String) throws(InputError) {
    try self.init(ByteSource(path: path))
  }

  /// Checks the bytes of `source`.
  package init(_ source: ByteSource) throws(InputError) {
    array = try NpyHeader.parse(source, 0..<source.count, name: "", subject: source.name)
  }

  package var name: String { array.source.name }
  package var tensorNames: [String] { [""] }

  package func contains(_ name: String) -> Bool { name.isEmpty }

  package func tensor(named name: String) throws(InputError) -> TensorView {
    guard name.isEmpty else {
      throw InputError(
        "\(self.name): tensor \"\(name)\"", expected: "no name", found: "an .npy file, whose array has none")
    }
    return array
  }
}

/// The header of an array in numpy's format: magic bytes, version, and a Python dictionary literal.
struct NpyHeader {
  private var descr: String?
  private var fortranOrder: Bool?
  private var shape: [Int]?
  private let subject: String
  private let bytes: [UInt8]
  private var offset = 0

  /// Real headers have about a hundred bytes.
  private static let longestHeader = 1 << 16

  /// numpy's type codes; `|` stands for one byte.
  private static let types: [String: ElementType] = [
    "<f8": .float(.float64), "<f4": .float(.float32), "<f2": .float(.float16),
    "<i8": .integer(.int64), "<i4": .integer(.int32), "<i2": .integer(.int16), "|i1": .integer(.int8),
    "<u8": .integer(.uint64), "<u4": .integer(.uint32), "<u2": .integer(.uint16), "|u1": .integer(.uint8),
    "|b1": .boolean,
  ]

  /// Checks the array that fills `range` of `source` exactly.
  static func parse(
    _ source: ByteSource, _ range: Range<Int>, name: String, subject: String
  ) throws(InputError) -> TensorView {
    let (text, dataStart) = try headerText(source, range, subject: subject)
    var header = NpyHeader(subject: subject, bytes: text)
    try header.parseDictionary()
    let (type, shape) = try header.checked()
    let available = range.upperBound - dataStart
    guard let count = type.byteCount(shape), count == available else {
      throw InputError(
        subject, expected: "as many bytes as shape \(shape) of \(type.name) needs", found: "\(available)",
        remedy: "the file is truncated or damaged")
    }
    return TensorView(name: name, type: type, shape: shape, byteRange: dataStart..<range.upperBound, source: source)
  }

  private init(subject: String, bytes: [UInt8]) {
    self.subject = subject
    self.bytes = bytes
  }

  private static func headerText(
    _ source: ByteSource, _ range: Range<Int>, subject: String
  ) throws(InputError) -> (text: [UInt8], dataStart: Int) {
    let prefix = source.copy(range.lowerBound..<min(range.lowerBound + 12, range.upperBound))
    guard prefix.count >= 10, Array(prefix[..<6]) == [0x93] + Array("NUMPY".utf8) else {
      throw InputError(subject, expected: "a numpy array (.npy)", found: "other content or less than a header")
    }
    guard (1...3).contains(prefix[6]) else {
      throw InputError(subject, expected: "npy version 1, 2 or 3", found: "version \(prefix[6])")
    }
    let wide = prefix[6] > 1
    guard prefix.count == 12 else {
      throw InputError(subject, expected: "a numpy header", found: "\(prefix.count) bytes")
    }
    let low = Int(prefix[8]) | Int(prefix[9]) << 8
    let length = wide ? low | Int(prefix[10]) << 16 | Int(prefix[11]) << 24 : low
    let start = range.lowerBound + (wide ? 12 : 10)
    guard length <= min(longestHeader, range.upperBound - start) else {
      throw InputError(
        subject, expected: "a numpy header within the file, at most \(longestHeader) bytes", found: "\(length) bytes",
        remedy: "the file is truncated or damaged")
    }
    return (source.copy(start..<(start + length)), start + length)
  }

  private mutating func parseDictionary() throws(InputError) {
    try expect("{")
    while !take("}") {
      let key = try string()
      try expect(":")
      switch key {
      case "descr" where descr == nil: descr = try string()
      case "fortran_order" where fortranOrder == nil: fortranOrder = try boolean()
      case "shape" where shape == nil: shape = try tuple()
      default: throw failure("descr, fortran_order and shape, each once")
      }
      if !take(",") {
        try expect("}")
        break
      }
    }
    skipSpace()
    guard offset == bytes.count else { throw failure("nothing after the dictionary") }
  }

  private func checked() throws(InputError) -> (ElementType, [Int]) {
    guard let descr, let fortranOrder, let shape else {
      throw InputError(subject, expected: "a header with descr, fortran_order and shape", found: "one without")
    }
    guard let type = Self.types[descr] else {
      throw InputError(
        subject, expected: "a dtype of \(Self.types.keys.sorted().joined(separator: ", "))", found: "'\(descr)'",
        remedy: "convert it with array.astype('<f4')")
    }
    // With at most one dimension above 1 both orders are the same bytes.
    guard !fortranOrder || shape.filter({ $0 != 1 }).count <= 1 else {
      throw InputError(
        subject, expected: "C order", found: "Fortran order (a transposed array)",
        remedy: "save numpy.ascontiguousarray(array)")
    }
    return (type, shape)
  }

  private func failure(_ expected: String) -> InputError {
    InputError("\(subject): numpy header", expected: expected, found: "other text at its byte \(offset)")
  }

  private mutating func skipSpace() {
    while offset < bytes.count, bytes[offset].isWhiteSpace { offset += 1 }
  }

  private mutating func take(_ character: UnicodeScalar) -> Bool {
    skipSpace()
    guard offset < bytes.count, bytes[offset] == UInt8(ascii: character) else { return false }
    offset += 1
    return true
  }

  private mutating func expect(_ character: UnicodeScalar) throws(InputError) {
    guard take(character) else { throw failure("'\(Character(character))'") }
  }

  /// A string literal without escapes: keys and type codes have none.
  private mutating func string() throws(InputError) -> String {
    let quote: UInt8 = take("'") ? UInt8(ascii: "'") : UInt8(ascii: "\"")
    if quote == UInt8(ascii: "\"") {
      guard take("\"") else { throw failure("a string (structured arrays are not supported)") }
    }
    let start = offset
    while offset < bytes.count, bytes[offset] != quote {
      guard bytes[offset] >= 0x20, bytes[offset] < 0x7f, bytes[offset] != UInt8(ascii: "\\") else {
        throw failure("plain text")
      }
      offset += 1
    }
    guard offset < bytes.count else { throw failure("the end of a string") }
    defer { offset += 1 }
    return String(decoding: bytes[start..<offset], as: UTF8.self)
  }

  private mutating func boolean() throws(InputError) -> Bool {
    skipSpace()
    for (word, value) in [("True", true), ("False", false)] where bytes[offset...].starts(with: word.utf8) {
      offset += word.utf8.count
      return value
    }
    throw failure("True or False")
  }

  /// `()`, `(3,)`, `(3, 4)`; a trailing comma is allowed, and the `L` of Python 2.
  private mutating func tuple() throws(InputError) -> [Int] {
    try expect("(")
    var values: [Int] = []
    while !take(")") {
      guard values.count < 64 else { throw failure("at most 64 dimensions") }
      values.append(try integer())
      if !take(",") {
        try expect(")")
        break
      }
    }
    return values
  }

  private mutating func integer() throws(InputError) -> Int {
    skipSpace()
    let start = offset
    while offset < bytes.count, bytes[offset].isDigit { offset += 1 }
    guard let value = Int(String(decoding: bytes[start..<offset], as: UTF8.self)) else {
      throw failure("a whole number below 2^63")
    }
    if offset < bytes.count, bytes[offset] == UInt8(ascii: "L") { offset += 1 }
    return value
  }
}
