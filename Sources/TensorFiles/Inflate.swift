internal import CZlib
internal import Diagnostics

/// Unpacks raw deflate data that must give exactly `size` bytes with the CRC-32 `checksum`.
///
/// Memory: `size` bytes, which the caller has bounded; never more, whatever the data hold.
func inflate(_ packed: RawSpan, size: Int, checksum: UInt32, subject: String) throws(InputError) -> [UInt8] {
  let damaged = InputError(
    subject, expected: "\(size) bytes of deflated data that match their checksum", found: "damaged data",
    remedy: "the archive is truncated or damaged")
  // One spare byte, so that data which go on after `size` bytes are noticed.
  var isIntact = false
  let result = [UInt8](unsafeUninitializedCapacity: size + 1) { output, count in
    let produced = packed.withUnsafeBytes { inflateStream($0, into: output) }
    count = produced ?? 0
    isIntact = produced == size && crc32_z(0, output.baseAddress, z_size_t(size)) == UInt(checksum)
  }
  guard isIntact else { throw damaged }
  return result
}

/// Feeds zlib in pieces that its 32-bit counters can hold; nil where the data are damaged or end early.
private func inflateStream(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableBufferPointer<UInt8>) -> Int? {
  var stream = z_stream()
  guard inflateInit2_(&stream, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else { return nil }
  defer { inflateEnd(&stream) }
  let piece = 1 << 30
  var consumed = 0
  var produced = 0
  while true {
    let inputSize = min(piece, input.count - consumed)
    let outputSize = min(piece, output.count - produced)
    // zlib does not write through next_in; its declaration lacks the const.
    stream.next_in = UnsafeMutablePointer(
      mutating: input.baseAddress?.advanced(by: consumed).assumingMemoryBound(to: UInt8.self))
    stream.avail_in = UInt32(inputSize)
    stream.next_out = output.baseAddress?.advanced(by: produced)
    stream.avail_out = UInt32(outputSize)
    let status = CZlib.inflate(&stream, Z_NO_FLUSH)
    consumed += inputSize - Int(stream.avail_in)
    produced += outputSize - Int(stream.avail_out)
    if status == Z_STREAM_END { return produced }
    // Z_BUF_ERROR: neither input nor room is left to go on with.
    guard status == Z_OK, inputSize > 0 || outputSize > 0 else { return nil }
  }
}
