import Kernels
import Testing

/// One weight of a block, computed for itself from the layouts in ggml's `ggml-common.h`: slow and obvious.
private func weight(_ format: BlockFormat, _ block: [UInt8], _ index: Int) -> Float {
  func half(_ offset: Int) -> Float {
    Float(Float16(bitPattern: UInt16(block[offset]) | UInt16(block[offset + 1]) << 8))
  }
  func nibble(_ offset: Int, high: Bool) -> Int { Int(high ? block[offset] >> 4 : block[offset] & 15) }
  func bit(_ offset: Int, _ number: Int) -> Int { Int(block[offset + number / 8] >> (number % 8)) & 1 }
  /// Small blocks: the first 16 weights are low nibbles, the others high ones.
  func small(_ offset: Int) -> Int { nibble(offset + index % 16, high: index >= 16) }
  /// Q4_K and Q5_K: 64 weights share 32 bytes, the first 32 of them as low nibbles.
  func large(_ offset: Int) -> Int { nibble(offset + index / 64 * 32 + index % 32, high: index % 64 >= 32) }
  /// Scale and minimum of sub-block j: 6 bits each, those of j >= 4 split.
  func scales() -> (Float, Float) {
    let (j, at) = (index / 32, 4)
    if j < 4 { return (Float(block[at + j] % 64), Float(block[at + j + 4] % 64)) }
    let low = block[at + j + 4]
    return (Float(low % 16 + block[at + j - 4] / 64 * 16), Float(low / 16 + block[at + j] / 64 * 16))
  }
  switch format {
  case .q4_0: return half(0) * Float(small(2) - 8)
  case .q4_1: return half(0) * Float(small(4)) + half(2)
  case .q5_0: return half(0) * Float(small(6) + 16 * bit(2, index) - 16)
  case .q5_1: return half(0) * Float(small(8) + 16 * bit(4, index)) + half(2)
  case .q8_0: return half(0) * Float(Int8(bitPattern: block[2 + index]))
  case .q4_K:
    let (scale, minimum) = scales()
    return half(0) * scale * Float(large(16)) - half(2) * minimum
  case .q5_K:
    let (scale, minimum) = scales()
    let fifth = bit(16 + index % 32, index / 32)
    return half(0) * scale * Float(large(48) + 16 * fifth) - half(2) * minimum
  case .q6_K:
    let (side, lane) = (index / 128, index % 128)
    let low = nibble(64 * side + lane % 64, high: lane >= 64)
    let high = Int(block[128 + 32 * side + lane % 32] >> (lane / 32 * 2)) & 3
    let scale = Float(Int8(bitPattern: block[192 + index / 16]))
    return half(208) * scale * Float(low + 16 * high - 32)
  }
}

/// Where a format keeps its float16 scales.
private func scaleOffsets(_ format: BlockFormat) -> [Int] {
  switch format {
  case .q4_0, .q5_0, .q8_0: [0]
  case .q4_1, .q5_1, .q4_K, .q5_K: [0, 2]
  case .q6_K: [208]
  }
}

struct DequantiseTests {
  @Test(arguments: BlockFormat.allCases) func equalsTheObviousReference(format: BlockFormat) {
    var random = SeededBytes(state: 7)
    var blocks: [[UInt8]] = []
    for _ in 0..<20 {
      var block = (0..<format.bytesPerBlock).map { _ in random.byte() }
      for offset in scaleOffsets(format) {
        // Any half but infinities and NaN, subnormals included.
        while block[offset + 1] & 0x7c == 0x7c { block[offset + 1] = random.byte() }
      }
      blocks.append(block)
    }
    let expected = blocks.flatMap { block in (0..<format.valuesPerBlock).map { weight(format, block, $0).bitPattern } }
    // One byte in front: blocks have odd sizes and lie anywhere.
    let stored: [UInt8] = [0] + blocks.joined()
    let bytes = stored.span.bytes
    #expect(dequantised(bytes.extracting(1..<stored.count), from: format).map(\.bitPattern) == expected)
    var room = [Float](repeating: 0, count: expected.count)
    var span = room.mutableSpan
    dequantise(bytes.extracting(1..<stored.count), from: format, into: &span)
    #expect(room.map(\.bitPattern) == expected)
  }

  @Test func nothingGivesNothing() {
    #expect(dequantised([UInt8]().span.bytes, from: .q4_K) == [])
  }
}

/// A small generator with a fixed seed.
private struct SeededBytes {
  var state: UInt64

  mutating func byte() -> UInt8 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return UInt8(truncatingIfNeeded: state >> 56)
  }
}
