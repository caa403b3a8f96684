internal import Diagnostics
internal import Kernels

/// Walks through the header of a GGUF file; every length and count is checked against the bytes that remain.
struct GGUFReader {
  private let name: String
  private var offset = 0

  init(name: String) {
    self.name = name
  }

  /// Reads everything before the tensors' data; `end` is the first byte behind it.
  mutating func header(
    _ bytes: RawSpan, source: ByteSource
  ) throws(InputError) -> (metadata: GGUFMetadata, tensors: [GGUFTensorInfo], end: Int) {
    guard bytes.byteCount >= 4, bytes.uint32(at: 0) == 0x4655_4747 else {
      throw InputError(name, expected: "a GGUF file", found: "other content")
    }
    offset = 4
    let version = try uint32(bytes)
    guard (2...3).contains(version) else {
      let isBigEndian = (2...3).contains(version.byteSwapped)
      throw InputError(name, expected: "GGUF version 2 or 3", found: isBigEndian ? "a big-endian file" : "\(version)")
    }
    // Name, number of dimensions, type and offset take at least 24 bytes; key, type and value at least 13.
    let tensorCount = try count(bytes, smallest: 24, of: "tensors")
    let pairCount = try count(bytes, smallest: 13, of: "keys")
    let metadata = try metadata(bytes, count: pairCount, source: source)
    var tensors: [GGUFTensorInfo] = []
    var names: Set<String> = []
    for _ in 0..<tensorCount {
      let info = try tensor(bytes)
      guard names.insert(info.name).inserted else {
        throw InputError("\(name): tensor \"\(info.name)\"", expected: "one of this name", found: "two")
      }
      tensors.append(info)
    }
    return (metadata, tensors, offset)
  }

  private mutating func metadata(
    _ bytes: RawSpan, count: Int, source: ByteSource
  ) throws(InputError) -> GGUFMetadata {
    var keys: [String] = []
    var entries: [String: GGUFMetadata.Entry] = [:]
    for _ in 0..<count {
      let key = try string(bytes, what: "a key")
      let subject = "\(name): key \"\(key)\""
      let type = try valueType(bytes, subject)
      var entry = GGUFMetadata.Entry(type: type, elements: nil, range: offset..<offset)
      if type == .array {
        let elementType = try valueType(bytes, subject)
        let count = try self.count(bytes, smallest: elementType.smallestByteCount, of: "elements of key \"\(key)\"")
        entry.elements = (elementType, count)
        let start = offset
        try skip(bytes, elementType, count: count, depth: 8, subject)
        entry.range = start..<offset
      } else {
        try skip(bytes, type, count: 1, depth: 8, subject)
        entry.range = entry.range.lowerBound..<offset
      }
      guard entries.updateValue(entry, forKey: key) == nil else {
        throw InputError(subject, expected: "one of this name", found: "two")
      }
      keys.append(key)
    }
    return GGUFMetadata(keys: keys, entries: entries, source: source)
  }

  private mutating func tensor(_ bytes: RawSpan) throws(InputError) -> GGUFTensorInfo {
    let tensorName = try string(bytes, what: "a tensor's name")
    let subject = "\(name): tensor \"\(tensorName)\""
    let rank = try uint32(bytes)
    guard rank <= 4 else { throw InputError(subject, expected: "at most 4 dimensions", found: "\(rank)") }
    var shape: [Int] = []
    for _ in 0..<rank {
      let dimension = try uint64(bytes)
      guard let length = Int(exactly: dimension) else {
        throw InputError(subject, expected: "dimensions below 2^63", found: "\(dimension)")
      }
      shape.append(length)
    }
    let typeNumber = try uint32(bytes)
    guard let type = Self.types[typeNumber] else {
      let known = Self.types.sorted { $0.key < $1.key }.map(\.value.name).joined(separator: ", ")
      let found = Self.unreadTypes[typeNumber].map { "\($0) (type \(typeNumber))" } ?? "type \(typeNumber)"
      throw InputError(subject, expected: "an element type of \(known)", found: found)
    }
    return GGUFTensorInfo(name: tensorName, shape: shape.reversed(), type: type, offset: try uint64(bytes))
  }

  /// Passes `count` values of a type, checking that they lie within the file.
  private mutating func skip(
    _ bytes: RawSpan, _ type: GGUFValueType, count: Int, depth: Int, _ subject: String
  ) throws(InputError) {
    switch type {
    case .string:
      let size = bytes.byteCount
      var offset = offset
      for _ in 0..<count {
        guard size - offset >= 8 else { throw truncated }
        let length = bytes.uint64(at: offset)
        guard length <= UInt64(size - offset - 8) else { throw truncated }
        offset += 8 + Int(length)
      }
      self.offset = offset
    case .array:
      guard depth > 0 else { throw InputError(subject, expected: "less nesting", found: "lists in lists in lists") }
      for _ in 0..<count {
        let elementType = try valueType(bytes, subject)
        let inner = try self.count(bytes, smallest: elementType.smallestByteCount, of: "elements")
        try skip(bytes, elementType, count: inner, depth: depth - 1, subject)
      }
    default:
      // `count` was checked against the remaining bytes, so the product is small.
      let size = count * (type.byteCount ?? 1)
      guard size <= bytes.byteCount - offset else { throw truncated }
      offset += size
    }
  }

  private var truncated: InputError {
    InputError(
      name, expected: "a whole GGUF header", found: "its end at byte \(offset) or a length beyond the file",
      remedy: "the file is truncated or damaged")
  }

  private mutating func uint32(_ bytes: RawSpan) throws(InputError) -> UInt32 {
    guard bytes.byteCount - offset >= 4 else { throw truncated }
    defer { offset += 4 }
    return bytes.uint32(at: offset)
  }

  private mutating func uint64(_ bytes: RawSpan) throws(InputError) -> UInt64 {
    guard bytes.byteCount - offset >= 8 else { throw truncated }
    defer { offset += 8 }
    return bytes.uint64(at: offset)
  }

  /// A count of things that take at least `smallest` bytes each.
  private mutating func count(_ bytes: RawSpan, smallest: Int, of what: String) throws(InputError) -> Int {
    let stated = try uint64(bytes)
    guard stated <= UInt64((bytes.byteCount - offset) / smallest) else {
      throw InputError(
        name, expected: "a number of \(what) that the file has room for", found: "\(stated)",
        remedy: "the file is truncated or damaged")
    }
    return Int(stated)
  }

  private mutating func string(_ bytes: RawSpan, what: String) throws(InputError) -> String {
    let length = try uint64(bytes)
    guard length <= UInt64(bytes.byteCount - offset) else { throw truncated }
    guard length <= 65_535, let text = bytes.text(offset..<(offset + Int(length))) else {
      throw InputError("\(name): \(what)", expected: "UTF-8 of at most 65,535 bytes", found: "other bytes or more")
    }
    offset += Int(length)
    return text
  }

  private mutating func valueType(_ bytes: RawSpan, _ subject: String) throws(InputError) -> GGUFValueType {
    let number = try uint32(bytes)
    guard let type = GGUFValueType(rawValue: number) else {
      throw InputError(subject, expected: "a value type from 0 to 12", found: "\(number)")
    }
    return type
  }

  /// ggml's numbers of the types that can be read.
  private static let types: [UInt32: ElementType] = [
    0: .float(.float32), 1: .float(.float16), 28: .float(.float64), 30: .float(.bfloat16),
    2: .blocks(.q4_0), 3: .blocks(.q4_1), 6: .blocks(.q5_0), 7: .blocks(.q5_1), 8: .blocks(.q8_0),
    12: .blocks(.q4_K), 13: .blocks(.q5_K), 14: .blocks(.q6_K),
    24: .integer(.int8), 25: .integer(.int16), 26: .integer(.int32), 27: .integer(.int64),
  ]

  /// Types that llama.cpp has and this reader lacks, for the error's sake.
  private static let unreadTypes: [UInt32: String] = [
    9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S",
    20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
  ]
}
