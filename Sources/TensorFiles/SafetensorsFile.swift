package import Diagnostics

/// A `.safetensors` file or the same bytes in memory.
///
/// Format: a 64-bit header length, a JSON header, the tensors' bytes. As the reference library demands, the tensors
/// cover the bytes after the header without overlap or hole.
package struct SafetensorsFile: TensorCollection {
  /// The source of the bytes, mapped or owned.
  package let source: ByteSource
  /// The names in the order of the bytes.
  package let tensorNames: [String]
  /// The `__metadata__` of the header.
  package let metadata: [String: String]
  private let tensors: [String: TensorView]

  /// The reference library's limit on the header.
  private static let largestHeader = 100_000_000

  /// Maps and checks the file at `path`.
  package init(path: String) throws(InputError) {
    try self.init(ByteSource(path: path))
  }

  /// Checks `bytes`, called `name` in errors.
  package init(bytes: [UInt8], name: String) throws(InputError) {
    try self.init(ByteSource(bytes, name: name))
  }

  /// Checks the bytes of `source`.
  package init(_ source: ByteSource) throws(InputError) {
    guard source.count >= 8 else {
      throw InputError(source.name, expected: "a safetensors file", found: "\(source.count) bytes")
    }
    let stated = source.withBytes { $0.uint64(at: 0) }
    guard stated <= UInt64(min(source.count - 8, Self.largestHeader)) else {
      throw InputError(
        source.name, expected: "a safetensors header within the file's \(source.count) bytes",
        found: "a header length of \(stated)", remedy: "the file is truncated or of another format")
    }
    let dataStart = 8 + Int(stated)
    var header = SafetensorsHeader(source: source, dataStart: dataStart)
    try header.parse()
    self.source = source
    metadata = header.metadata
    let ordered = try header.checkedOrder()
    tensorNames = ordered.map(\.name)
    tensors = Dictionary(uniqueKeysWithValues: ordered.map { ($0.name, $0) })
  }

  package var name: String { source.name }

  package func contains(_ name: String) -> Bool { tensors[name] != nil }

  package func tensor(named name: String) throws(InputError) -> TensorView {
    guard let tensor = tensors[name] else { throw missing(name) }
    return tensor
  }
}

/// The JSON header: `{"name": {"dtype", "shape", "data_offsets"}, ..., "__metadata__": {...}}`.
private struct SafetensorsHeader {
  let source: ByteSource
  let dataStart: Int
  var metadata: [String: String] = [:]
  var tensors: [TensorView] = []

  init(source: ByteSource, dataStart: Int) {
    self.source = source
    self.dataStart = dataStart
  }

  mutating func parse() throws(InputError) {
    var metadata: [String: String] = [:]
    var tensors: [TensorView] = []
    var scanner = JSONScanner(source.copy(8..<dataStart), subject: "\(source.name): header")
    try scanner.object { scanner, key throws(InputError) in
      if key == "__metadata__" {
        try scanner.object { scanner, key throws(InputError) in metadata[key] = try scanner.string() }
      } else {
        tensors.append(try tensor(named: key, &scanner))
      }
    }
    try scanner.end()
    self.metadata = metadata
    self.tensors = tensors
  }

  private func tensor(named name: String, _ scanner: inout JSONScanner) throws(InputError) -> TensorView {
    var typeName: String?
    var shape: [Int]?
    var offsets: [Int]?
    try scanner.object { scanner, key throws(InputError) in
      switch key {
      case "dtype": typeName = try scanner.string()
      case "shape": shape = try scanner.integers(limit: 64)
      case "data_offsets": offsets = try scanner.integers(limit: 2)
      default: throw scanner.failure("dtype, shape or data_offsets in tensor \"\(name)\"", found: "\"\(key)\"")
      }
    }
    let subject = "\(source.name): tensor \"\(name)\""
    guard let typeName, let shape, let offsets, offsets.count == 2 else {
      throw InputError(subject, expected: "dtype, shape and two data_offsets", found: "an entry without")
    }
    guard let type = ElementType.safetensors[typeName] else {
      let known = ElementType.safetensors.keys.sorted().joined(separator: ", ")
      throw InputError(subject, expected: "a dtype of \(known)", found: "\"\(typeName)\"")
    }
    let available = source.count - dataStart
    guard offsets[0] <= offsets[1], offsets[1] <= available else {
      throw InputError(
        subject, expected: "rising data_offsets within the file's \(available) bytes of data",
        found: "\(offsets[0]) and \(offsets[1])", remedy: "the file is truncated or damaged")
    }
    guard let bytes = type.byteCount(shape), bytes == offsets[1] - offsets[0] else {
      throw InputError(
        subject, expected: "as many bytes as shape \(shape) of \(typeName) needs", found: "\(offsets[1] - offsets[0])")
    }
    let range = (dataStart + offsets[0])..<(dataStart + offsets[1])
    return TensorView(name: name, type: type, shape: shape, byteRange: range, source: source)
  }

  /// The tensors in the order of their bytes, after refusing overlaps, holes and bytes that belong to none.
  func checkedOrder() throws(InputError) -> [TensorView] {
    let ordered = tensors.sorted {
      ($0.byteRange.lowerBound, $0.byteRange.upperBound, $0.name)
        < ($1.byteRange.lowerBound, $1.byteRange.upperBound, $1.name)
    }
    var end = dataStart
    for tensor in ordered {
      guard tensor.byteRange.lowerBound == end else {
        throw InputError(
          tensor.subject, expected: "data that starts at offset \(end - dataStart), where the one before ends",
          found: "offset \(tensor.byteRange.lowerBound - dataStart)")
      }
      end = tensor.byteRange.upperBound
    }
    guard end == source.count else {
      throw InputError(
        source.name, expected: "\(end) bytes, as the header says", found: "\(source.count)",
        remedy: "the file is damaged or was written twice")
    }
    return ordered
  }
}
