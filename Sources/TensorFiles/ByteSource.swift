package import Diagnostics

/// Bytes to read tensors from: a mapped file, or an array in memory (an artifact, an unpacked archive member).
package struct ByteSource: Sendable {
  private enum Storage: Sendable {
    case mapped(MappedFile)
    case owned([UInt8])
  }

  private let storage: Storage
  /// What errors call it: the path, or what the array was made from.
  package let name: String
  /// Bytes in total.
  package let count: Int

  /// A mapped file.
  package init(_ file: MappedFile) {
    storage = .mapped(file)
    name = file.path
    count = file.size
  }

  /// An array, called `name` in errors.
  package init(_ bytes: [UInt8], name: String) {
    storage = .owned(bytes)
    self.name = name
    count = bytes.count
  }

  /// The file at `path`, mapped.
  package init(path: String) throws(InputError) {
    self.init(try MappedFile(path: path))
  }

  /// Gives the bytes of `range` (all by default) to `body`, without copying.
  /// - Precondition: `range` lies within `0..<count`.
  package func withBytes<Result, Failure: Error>(
    _ range: Range<Int>? = nil, _ body: (RawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    switch storage {
    case .mapped(let file): return try file.withBytes(range, body)
    case .owned(let bytes):
      let whole = bytes.span.bytes
      guard let range else { return try body(whole) }
      return try body(whole.extracting(range))
    }
  }

  /// A copy of the bytes of `range`.
  /// - Precondition: `range` lies within `0..<count`.
  package func copy(_ range: Range<Int>) -> [UInt8] {
    withBytes(range) { bytes in bytes.withUnsafeBytes { [UInt8]($0) } }
  }
}

/// Little-endian fields at any alignment; reading past the end traps, so callers check first.
extension RawSpan {
  func uint8(at offset: Int) -> UInt8 { unsafeLoad(fromByteOffset: offset, as: UInt8.self) }
  func uint16(at offset: Int) -> UInt16 { unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self) }
  func uint32(at offset: Int) -> UInt32 { unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self) }
  func uint64(at offset: Int) -> UInt64 { unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self) }

  /// The text in `range`, or nil where it is not UTF-8.
  func text(_ range: Range<Int>) -> String? {
    extracting(range).withUnsafeBytes { String(validating: $0, as: UTF8.self) }
  }
}
