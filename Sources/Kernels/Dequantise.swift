internal import CProcessor

/// ggml's block formats: runs of weights that share scales, as llama.cpp stores them.
///
/// Layouts and formulas: ggml's `ggml-common.h` and `ggml-quants.c`. All scales are float16.
package enum BlockFormat: String, Sendable, CaseIterable {
  case q4_0 = "Q4_0"
  case q4_1 = "Q4_1"
  case q5_0 = "Q5_0"
  case q5_1 = "Q5_1"
  case q8_0 = "Q8_0"
  case q4_K = "Q4_K"
  case q5_K = "Q5_K"
  case q6_K = "Q6_K"

  /// Weights in one block.
  package var valuesPerBlock: Int {
    switch self {
    case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0: 32
    case .q4_K, .q5_K, .q6_K: 256
    }
  }

  /// Bytes of one block.
  package var bytesPerBlock: Int {
    switch self {
    case .q4_0: 18
    case .q4_1: 20
    case .q5_0: 22
    case .q5_1: 24
    case .q8_0: 34
    case .q4_K: 144
    case .q5_K: 176
    case .q6_K: 210
    }
  }
}

/// Turns whole blocks into floats, with each product and sum rounded as in ggml's reference code (no fused operations).
///
/// Complexity: O(n).
/// - Precondition: `bytes` holds exactly `into.count` weights in whole blocks of `format`.
package func dequantise(_ bytes: RawSpan, from format: BlockFormat, into result: inout MutableSpan<Float>) {
  let blocks = bytes.byteCount / format.bytesPerBlock
  precondition(blocks * format.bytesPerBlock == bytes.byteCount, "whole blocks are needed")
  precondition(blocks * format.valuesPerBlock == result.count, "blocks and values must agree in number")
  bytes.withUnsafeBytes { source in
    result.withUnsafeMutableBufferPointer { target in
      guard let from = source.baseAddress, let to = target.baseAddress else { return }
      dequantise(from, format, to: to, blocks: blocks)
    }
  }
}

/// A new array of the weights in `bytes`, computed as by `dequantise(_:from:into:)`.
/// - Precondition: `bytes` holds whole blocks of `format`.
package func dequantised(_ bytes: RawSpan, from format: BlockFormat) -> [Float] {
  let blocks = bytes.byteCount / format.bytesPerBlock
  precondition(blocks * format.bytesPerBlock == bytes.byteCount, "whole blocks are needed")
  let count = blocks * format.valuesPerBlock
  return [Float](unsafeUninitializedCapacity: count) { target, initialized in
    bytes.withUnsafeBytes { source in
      guard let from = source.baseAddress, let to = target.baseAddress else { return }
      dequantise(from, format, to: to, blocks: blocks)
    }
    initialized = count
  }
}

private func dequantise(
  _ source: UnsafeRawPointer, _ format: BlockFormat, to target: UnsafeMutablePointer<Float>, blocks: Int
) {
  let size = format.bytesPerBlock
  let values = format.valuesPerBlock
  switch format {
  case .q4_0: for b in 0..<blocks { blockQ4_0(source + b * size, target + b * values) }
  case .q4_1: for b in 0..<blocks { blockQ4_1(source + b * size, target + b * values) }
  case .q5_0: for b in 0..<blocks { blockQ5_0(source + b * size, target + b * values) }
  case .q5_1: for b in 0..<blocks { blockQ5_1(source + b * size, target + b * values) }
  case .q8_0: for b in 0..<blocks { blockQ8_0(source + b * size, target + b * values) }
  case .q4_K: for b in 0..<blocks { blockQ4_K(source + b * size, target + b * values) }
  case .q5_K: for b in 0..<blocks { blockQ5_K(source + b * size, target + b * values) }
  case .q6_K: for b in 0..<blocks { blockQ6_K(source + b * size, target + b * values) }
  }
}

private typealias Bytes16 = SIMD16<UInt8>
private let lowNibble = Bytes16(repeating: 0x0f)

@inline(__always)
private func half(_ source: UnsafeRawPointer, _ offset: Int) -> Float {
  Float(source.loadUnaligned(fromByteOffset: offset, as: Float16.self))
}

@inline(__always)
private func bytes16(_ source: UnsafeRawPointer, _ offset: Int) -> Bytes16 {
  source.loadUnaligned(fromByteOffset: offset, as: Bytes16.self)
}

/// Stores `scale * (quants - shift)` for 16 quants.
@inline(__always)
private func store(_ quants: Bytes16, shift: Float, scale: Float, to target: UnsafeMutablePointer<Float>) {
  let values = (processor_widen_bytes16(quants) - SIMD16(repeating: shift)) * SIMD16(repeating: scale)
  UnsafeMutableRawPointer(target).storeBytes(of: values, as: SIMD16<Float>.self)
}

/// Stores `scale * quants + offset` for 16 quants.
@inline(__always)
private func store(_ quants: Bytes16, scale: Float, offset: Float, to target: UnsafeMutablePointer<Float>) {
  let products = processor_widen_bytes16(quants) * SIMD16<Float>(repeating: scale)
  let values = products + SIMD16<Float>(repeating: offset)
  UnsafeMutableRawPointer(target).storeBytes(of: values, as: SIMD16<Float>.self)
}

/// 16 where bit `first + lane` of `bits` is set, else 0.
@inline(__always)
private func fifthBits(_ bits: UInt32, first: UInt32) -> Bytes16 {
  let lanes = SIMD16<UInt32>(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) &+ SIMD16(repeating: first)
  let chosen = (SIMD16<UInt32>(repeating: bits) &>> lanes) & SIMD16(repeating: 1)
  return Bytes16(truncatingIfNeeded: chosen &<< 4)
}

@inline(__always)
private func blockQ4_0(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>) {
  let scale = half(source, 0)
  let quants = bytes16(source, 2)
  store(quants & lowNibble, shift: 8, scale: scale, to: target)
  store(quants &>> 4, shift: 8, scale: scale, to: target + 16)
}

@inline(__always)
private func blockQ4_1(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>) {
  let scale = half(source, 0)
  let minimum = half(source, 2)
  let quants = bytes16(source, 4)
  store(quants & lowNibble, scale: scale, offset: minimum, to: target)
  store(quants &>> 4, scale: scale, offset: minimum, to: target + 16)
}

@inline(__always)
private func blockQ5_0(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>) {
  let scale = half(source, 0)
  let high = source.loadUnaligned(fromByteOffset: 2, as: UInt32.self)
  let quants = bytes16(source, 6)
  store((quants & lowNibble) | fifthBits(high, first: 0), shift: 16, scale: scale, to: target)
  store((quants &>> 4) | fifthBits(high, first: 16), shift: 16, scale: scale, to: target + 16)
}

@inline(__always)
private func blockQ5_1(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>) {
  let scale = half(source, 0)
  let minimum = half(source, 2)
  let high = source.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
  let quants = bytes16(source, 8)
  store((quants & lowNibble) | fifthBits(high, first: 0), scale: scale, offset: minimum, to: target)
  store((quants &>> 4) | fifthBits(high, first: 16), scale: scale, offset: minimum, to: target + 16)
}

@inline(__always)
private func blockQ8_0(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>) {
  let scale = SIMD16<Float>(repeating: half(source, 0))
  for offset in stride(from: 0, to: 32, by: 16) {
    let quants = source.loadUnaligned(fromByteOffset: 2 + offset, as: SIMD16<Int8>.self)
    let values = processor_widen_signed_bytes16(quants) * scale
    UnsafeMutableRawPointer(target + offset).storeBytes(of: values, as: SIMD16<Float>.self)
  }
}

/// The 6-bit scale and minimum of sub-block `index` (0..<8) in the 12 packed bytes of Q4_K and Q5_K.
@inline(__always)
private func scaleAndMinimum(_ packed: UnsafeRawPointer, _ index: Int) -> (scale: Float, minimum: Float) {
  func byte(_ offset: Int) -> UInt8 { packed.load(fromByteOffset: offset, as: UInt8.self) }
  if index < 4 { return (Float(byte(index) & 63), Float(byte(index + 4) & 63)) }
  let scale = (byte(index + 4) & 15) | ((byte(index - 4) >> 6) << 4)
  let minimum = (byte(index + 4) >> 4) | ((byte(index) >> 6) << 4)
  return (Float(scale), Float(minimum))
}

@inline(__always)
private func blockQ4_K(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>) {
  let scale = half(source, 0)
  let minimum = half(source, 2)
  for chunk in 0..<4 {
    let low = scaleAndMinimum(source + 4, 2 * chunk)
    let high = scaleAndMinimum(source + 4, 2 * chunk + 1)
    for part in 0..<2 {
      let quants = bytes16(source, 16 + 32 * chunk + 16 * part)
      let to = target + 64 * chunk + 16 * part
      store(quants & lowNibble, scale: scale * low.scale, offset: -(minimum * low.minimum), to: to)
      store(quants &>> 4, scale: scale * high.scale, offset: -(minimum * high.minimum), to: to + 32)
    }
  }
}

@inline(__always)
private func blockQ5_K(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>) {
  let scale = half(source, 0)
  let minimum = half(source, 2)
  let one = Bytes16(repeating: 1)
  for chunk in 0..<4 {
    let low = scaleAndMinimum(source + 4, 2 * chunk)
    let high = scaleAndMinimum(source + 4, 2 * chunk + 1)
    for part in 0..<2 {
      let fifth = bytes16(source, 16 + 16 * part) &>> Bytes16(repeating: UInt8(truncatingIfNeeded: 2 * chunk))
      let quants = bytes16(source, 48 + 32 * chunk + 16 * part)
      let lowQuants = (quants & lowNibble) | ((fifth & one) &<< 4)
      let highQuants = (quants &>> 4) | (((fifth &>> 1) & one) &<< 4)
      let to = target + 64 * chunk + 16 * part
      store(lowQuants, scale: scale * low.scale, offset: -(minimum * low.minimum), to: to)
      store(highQuants, scale: scale * high.scale, offset: -(minimum * high.minimum), to: to + 32)
    }
  }
}

@inline(__always)
private func blockQ6_K(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>) {
  let scale = half(source, 208)
  let three = Bytes16(repeating: 3)
  for side in 0..<2 {
    for part in 0..<2 {
      let first = bytes16(source, 64 * side + 16 * part)
      let second = bytes16(source, 64 * side + 32 + 16 * part)
      let high = bytes16(source, 128 + 32 * side + 16 * part)
      func subscale(_ index: Int) -> Float {
        scale * Float(source.load(fromByteOffset: 192 + 8 * side + part + index, as: Int8.self))
      }
      let to = target + 128 * side + 16 * part
      store((first & lowNibble) | ((high & three) &<< 4), shift: 32, scale: subscale(0), to: to)
      store((second & lowNibble) | (((high &>> 2) & three) &<< 4), shift: 32, scale: subscale(2), to: to + 32)
      store((first &>> 4) | (((high &>> 4) & three) &<< 4), shift: 32, scale: subscale(4), to: to + 64)
      store((second &>> 4) | ((high &>> 6) &<< 4), shift: 32, scale: subscale(6), to: to + 96)
    }
  }
}
