package import Diagnostics

/// A GGUF file, version 2 or 3: metadata and tensors of llama.cpp's formats.
///
/// Shapes are row-major, outermost first: ggml's dimensions reversed.
package struct GGUFFile: TensorCollection {
  /// The file's bytes.
  package let source: ByteSource
  /// The key-value pairs.
  package let metadata: GGUFMetadata
  /// The names in the order of the file.
  package let tensorNames: [String]
  private let tensors: [String: TensorView]

  /// Maps and checks the file at `path`.
  package init(path: String) throws(InputError) {
    try self.init(ByteSource(path: path))
  }

  /// Checks the bytes of `source`.
  package init(_ source: ByteSource) throws(InputError) {
    let (metadata, infos, end) = try source.withBytes { bytes throws(InputError) in
      var reader = GGUFReader(name: source.name)
      return try reader.header(bytes, source: source)
    }
    let alignment = try metadata.integerIfPresent("general.alignment") ?? 32
    guard alignment > 0, alignment <= 1 << 20, alignment & (alignment - 1) == 0 else {
      throw InputError(
        "\(source.name): key \"general.alignment\"", expected: "a power of two up to \(1 << 20)", found: "\(alignment)")
    }
    let dataStart = (end + alignment - 1) / alignment * alignment
    var views: [TensorView] = []
    for info in infos {
      views.append(try info.view(source, dataStart: dataStart, alignment: alignment))
    }
    try Self.refuseOverlaps(views)
    self.source = source
    self.metadata = metadata
    tensorNames = views.map(\.name)
    tensors = Dictionary(uniqueKeysWithValues: views.map { ($0.name, $0) })
  }

  package var name: String { source.name }

  package func contains(_ name: String) -> Bool { tensors[name] != nil }

  package func tensor(named name: String) throws(InputError) -> TensorView {
    guard let tensor = tensors[name] else { throw missing(name) }
    return tensor
  }

  private static func refuseOverlaps(_ views: [TensorView]) throws(InputError) {
    let filled = views.filter { !$0.byteRange.isEmpty }.sorted { $0.byteRange.lowerBound < $1.byteRange.lowerBound }
    for (view, next) in zip(filled, filled.dropFirst()) where view.byteRange.upperBound > next.byteRange.lowerBound {
      throw InputError(next.subject, expected: "data of its own", found: "data shared with tensor \"\(view.name)\"")
    }
  }
}

/// What the file says about a tensor, before it is checked against the data.
struct GGUFTensorInfo {
  var name: String
  var shape: [Int]
  var type: ElementType
  /// From the beginning of the data.
  var offset: UInt64

  /// The tensor, if its data lie where they should.
  func view(_ source: ByteSource, dataStart: Int, alignment: Int) throws(InputError) -> TensorView {
    let subject = "\(source.name): tensor \"\(name)\""
    guard let size = type.byteCount(shape) else {
      throw InputError(
        subject,
        expected: "a size below 2^63 and rows of a multiple of \(type.elementsPerUnit) elements (\(type.name))",
        found: "shape \(shape)")
    }
    guard offset.isMultiple(of: UInt64(alignment)) else {
      throw InputError(subject, expected: "an offset that is a multiple of \(alignment)", found: "\(offset)")
    }
    let available = max(0, source.count - dataStart)
    guard size <= available, offset <= UInt64(available - size) else {
      throw InputError(
        subject, expected: "\(size) bytes at offset \(offset) of the file's \(available) bytes of data",
        found: "fewer", remedy: "the file is truncated or damaged")
    }
    // An empty tensor of a file without data may begin behind the padding that the file lacks.
    let start = min(dataStart + Int(offset), source.count)
    return TensorView(name: name, type: type, shape: shape, byteRange: start..<(start + size), source: source)
  }
}
