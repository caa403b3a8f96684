import CZlib
import Diagnostics
import Foundation
import TensorFiles
import Testing

/// The text of the error that `body` must throw.
func refusal(sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void) -> String {
  do {
    try body()
    Issue.record("nothing was refused", sourceLocation: sourceLocation)
  } catch let error as InputError {
    return error.description
  } catch {
    Issue.record("another error: \(error)", sourceLocation: sourceLocation)
  }
  return ""
}

/// An integer's little-endian bytes.
func bytes<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
  (0..<(Value.bitWidth / 8)).map { UInt8(truncatingIfNeeded: value >> Value($0 * 8)) }
}

/// Values as stored float32.
func bytes(_ values: [Float]) -> [UInt8] { values.flatMap { bytes($0.bitPattern) } }

/// A folder that is gone after `body`.
func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
  let path = NSTemporaryDirectory() + "steerscope-tensor-files-\(UUID().uuidString)"
  try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: path) }
  return try body(path)
}

func save(_ bytes: [UInt8], _ path: String) throws {
  try Data(bytes).write(to: URL(fileURLWithPath: path))
}

/// The bytes of a safetensors file with this header, taken literally, and these data.
func safetensors(_ header: String, data: [UInt8] = [], length: UInt64? = nil) -> [UInt8] {
  let text = Array(header.utf8)
  return bytes(length ?? UInt64(text.count)) + text + data
}

/// The bytes of an npy file of version 1 with this header, taken literally, and these data.
func npy(_ header: String, data: [UInt8] = [], version: UInt8 = 1, length: Int? = nil) -> [UInt8] {
  let text = Array(header.utf8)
  let size = length ?? text.count
  return [0x93] + Array("NUMPY".utf8) + [version, 0] + (version == 1 ? bytes(UInt16(size)) : bytes(UInt32(size))) + text
    + data
}

/// The bytes of an npy file of float32.
func npy(_ values: [Float], shape: String) -> [UInt8] {
  npy("{'descr': '<f4', 'fortran_order': False, 'shape': \(shape), }", data: bytes(values))
}

/// A zip archive in which every field can lie.
struct ZipBuilder {
  var archive: [UInt8] = []
  var directory: [UInt8] = []
  var count = 0

  mutating func add(
    _ name: String, packed: [UInt8], method: UInt16 = 0, flags: UInt16 = 0, size: UInt32? = nil,
    packedSize: UInt32? = nil,
    checksum: UInt32 = 0, offset: UInt32? = nil, localName: String? = nil, extra: [UInt8] = []
  ) {
    let sizes = bytes(checksum) + bytes(packedSize ?? UInt32(packed.count)) + bytes(size ?? UInt32(packed.count))
    let start = offset ?? UInt32(archive.count)
    let local = Array((localName ?? name).utf8)
    archive += bytes(0x0403_4b50 as UInt32) + bytes(20 as UInt16) + bytes(flags) + bytes(method) + bytes(0 as UInt32)
    // With flag 3 the local header lacks sizes and checksum; a descriptor follows the data.
    archive +=
      (flags & 8 == 0 ? sizes : [UInt8](repeating: 0, count: 12)) + bytes(UInt16(local.count)) + bytes(0 as UInt16)
    archive += local + packed
    if flags & 8 != 0 { archive += bytes(0x0807_4b50 as UInt32) + sizes }
    directory += bytes(0x0201_4b50 as UInt32) + bytes(20 as UInt16) + bytes(20 as UInt16) + bytes(flags) + bytes(method)
    directory += bytes(0 as UInt32) + sizes + bytes(UInt16(name.utf8.count)) + bytes(UInt16(extra.count))
    directory += [UInt8](repeating: 0, count: 10) + bytes(start) + Array(name.utf8) + extra
    count += 1
  }

  mutating func addDeflated(_ name: String, _ content: [UInt8], size: UInt32? = nil, checksum: UInt32? = nil) {
    let crc = UInt32(crc32_z(0, content, z_size_t(content.count)))
    add(
      name, packed: deflated(content), method: 8, flags: 8, size: size ?? UInt32(content.count),
      checksum: checksum ?? crc)
  }

  func finished(count stated: UInt16? = nil, start: UInt32? = nil, size: UInt32? = nil, comment: String = "") -> [UInt8]
  {
    let number = stated ?? UInt16(count)
    return archive + directory + bytes(0x0605_4b50 as UInt32) + bytes(0 as UInt32) + bytes(number) + bytes(number)
      + bytes(size ?? UInt32(directory.count)) + bytes(start ?? UInt32(archive.count))
      + bytes(UInt16(comment.utf8.count)) + Array(comment.utf8)
  }
}

/// Raw deflate data, as zip archives have them.
func deflated(_ content: [UInt8]) -> [UInt8] {
  var stream = z_stream()
  deflateInit2_(&stream, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
  defer { deflateEnd(&stream) }
  var input = content
  var output = [UInt8](repeating: 0, count: content.count + 100)
  let room = output.count
  input.withUnsafeMutableBufferPointer { input in
    output.withUnsafeMutableBufferPointer { output in
      stream.next_in = input.baseAddress
      stream.avail_in = UInt32(input.count)
      stream.next_out = output.baseAddress
      stream.avail_out = UInt32(output.count)
      deflate(&stream, Z_FINISH)
    }
  }
  return Array(output[..<(room - Int(stream.avail_out))])
}

/// A GGUF file in which every field can lie.
struct GGUFBuilder {
  var pairs: [UInt8] = []
  var infos: [UInt8] = []
  var data: [UInt8] = []
  var pairCount: UInt64 = 0
  var tensorCount: UInt64 = 0

  static func text(_ text: String) -> [UInt8] { bytes(UInt64(text.utf8.count)) + Array(text.utf8) }

  mutating func add(_ key: String, type: UInt32, _ value: [UInt8]) {
    pairs += Self.text(key) + bytes(type) + value
    pairCount += 1
  }

  mutating func add(_ key: String, _ value: String) { add(key, type: 8, Self.text(value)) }

  mutating func add(_ key: String, array type: UInt32, count: UInt64, _ values: [UInt8]) {
    add(key, type: 9, bytes(type) + bytes(count) + values)
  }

  mutating func tensor(
    _ name: String, _ dimensions: [UInt64], type: UInt32 = 0, offset: UInt64? = nil, _ content: [UInt8] = []
  ) {
    infos += Self.text(name) + bytes(UInt32(dimensions.count)) + dimensions.flatMap { bytes($0) } + bytes(type)
    infos += bytes(offset ?? UInt64(data.count))
    data += content + [UInt8](repeating: 0, count: (32 - content.count % 32) % 32)
    tensorCount += 1
  }

  func finished(version: UInt32 = 3, tensors: UInt64? = nil, pairs stated: UInt64? = nil, alignment: Int = 32)
    -> [UInt8]
  {
    let header =
      Array("GGUF".utf8) + bytes(version) + bytes(tensors ?? tensorCount) + bytes(stated ?? pairCount) + pairs + infos
    return header + [UInt8](repeating: 0, count: (alignment - header.count % alignment) % alignment) + data
  }
}

/// xorshift64*: the same numbers in every run.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state ^= state >> 12
    state ^= state << 25
    state ^= state >> 27
    return state &* 0x2545_f491_4f6c_dd1d
  }
}
