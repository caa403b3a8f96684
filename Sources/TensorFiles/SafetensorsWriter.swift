package import Diagnostics
internal import Kernels

/// Collects tensors and writes them as safetensors, the same bytes for the same content in whatever order it was added.
///
/// As the reference library does it: wide elements first (so that all are aligned), then by name.
package struct SafetensorsWriter: Sendable {
  /// The `__metadata__` of the header; keys are written in order.
  package var metadata: [String: String]
  private var tensors: [Entry] = []
  private var names: Set<String> = []

  private struct Entry: Sendable {
    var name: String
    var type: ElementType
    var shape: [Int]
    var payload: Payload
  }

  fileprivate enum Payload: Sendable {
    case floats([Float])
    case integers([Int64])
    case bytes([UInt8])
    case copy(TensorView)
  }

  /// A writer without tensors.
  package init(metadata: [String: String] = [:]) {
    self.metadata = metadata
  }

  /// Adds a float32 tensor.
  /// - Precondition: `values` has as many elements as `shape` says.
  package mutating func add(_ name: String, shape: [Int], floats values: [Float]) throws(InputError) {
    precondition(ElementType.elementCount(shape) == values.count, "values and shape must agree")
    try add(Entry(name: name, type: .float(.float32), shape: shape, payload: .floats(values)))
  }

  /// Adds a tensor of 64-bit integers.
  /// - Precondition: `values` has as many elements as `shape` says.
  package mutating func add(_ name: String, shape: [Int], integers values: [Int]) throws(InputError) {
    precondition(ElementType.elementCount(shape) == values.count, "values and shape must agree")
    try add(Entry(name: name, type: .integer(.int64), shape: shape, payload: .integers(values.map(Int64.init))))
  }

  /// Adds a tensor of elements that are encoded already.
  /// - Precondition: `bytes` are as many as `shape` needs.
  package mutating func add(
    _ name: String, type: ElementType, shape: [Int], bytes: [UInt8]
  ) throws(InputError) {
    precondition(type.byteCount(shape) == bytes.count, "bytes and shape must agree")
    try add(Entry(name: name, type: type, shape: shape, payload: .bytes(bytes)))
  }

  /// Adds a tensor of another file as it is stored there, under a name of its own.
  package mutating func add(_ name: String, copyOf tensor: TensorView) throws(InputError) {
    try add(Entry(name: name, type: tensor.type, shape: tensor.shape, payload: .copy(tensor)))
  }

  /// The file's bytes.
  package func bytes() -> [UInt8] {
    let ordered = ordered
    var result = header(ordered)
    for entry in ordered {
      entry.payload.withBytes { bytes in bytes.withUnsafeBytes { result.append(contentsOf: $0) } }
    }
    return result
  }

  /// Writes the file whole or not at all, as `AtomicFile` does.
  package func write(to path: String) throws(InputError) {
    let ordered = ordered
    try AtomicFile.write(to: path) { file throws(InputError) in
      try file.append(header(ordered).span.bytes)
      for entry in ordered {
        try entry.payload.withBytes { bytes throws(InputError) in try file.append(bytes) }
      }
    }
  }

  private mutating func add(_ entry: Entry) throws(InputError) {
    guard ElementType.safetensors[entry.type.name] != nil else {
      throw InputError("tensor \"\(entry.name)\"", expected: "an element type of safetensors", found: entry.type.name)
    }
    guard entry.name != "__metadata__", names.insert(entry.name).inserted else {
      throw InputError(
        "tensor \"\(entry.name)\"", expected: "a name of its own that is not __metadata__",
        found: "a second or reserved one")
    }
    tensors.append(entry)
  }

  private var ordered: [Entry] {
    tensors.sorted { ($1.type.bytesPerUnit, $0.name) < ($0.type.bytesPerUnit, $1.name) }
  }

  private func header(_ ordered: [Entry]) -> [UInt8] {
    var members: [String] = []
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key < $1.key }.map { "\(quoted($0.key)):\(quoted($0.value))" }
      members.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
    }
    var offset = 0
    for entry in ordered {
      let end = offset + entry.payload.byteCount
      let shape = entry.shape.map(String.init).joined(separator: ",")
      let value = #"{"dtype":"\#(entry.type.name)","shape":[\#(shape)],"data_offsets":[\#(offset),\#(end)]}"#
      members.append("\(quoted(entry.name)):\(value)")
      offset = end
    }
    var text = Array("{\(members.joined(separator: ","))}".utf8)
    text.append(contentsOf: repeatElement(UInt8(ascii: " "), count: (8 - text.count % 8) % 8))
    return (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) } + text
  }

  /// A JSON string literal.
  private func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}

extension SafetensorsWriter.Payload {
  fileprivate var byteCount: Int {
    switch self {
    case .floats(let values): values.count * 4
    case .integers(let values): values.count * 8
    case .bytes(let bytes): bytes.count
    case .copy(let tensor): tensor.byteRange.count
    }
  }

  fileprivate func withBytes<Failure: Error>(_ body: (RawSpan) throws(Failure) -> Void) throws(Failure) {
    switch self {
    case .floats(let values): try body(values.span.bytes)
    case .integers(let values): try body(values.span.bytes)
    case .bytes(let bytes): try body(bytes.span.bytes)
    case .copy(let tensor): try tensor.withBytes(body)
    }
  }
}
