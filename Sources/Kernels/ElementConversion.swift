internal import CProcessor

/// Stored element types that `convert` turns into `Float`; all little-endian, at any alignment.
package enum FloatFormat: Sendable, CaseIterable {
  case float64, float32, float16, bfloat16

  /// Bytes of one value.
  package var byteCount: Int {
    switch self {
    case .float64: 8
    case .float32: 4
    case .float16, .bfloat16: 2
    }
  }
}

/// Converts `into.count` stored values to `Float`; float64 is rounded to nearest, the others are exact.
///
/// The source may lie at any address. Complexity: O(n).
/// - Precondition: `bytes` holds exactly `into.count` values of `format`.
package func convert(_ bytes: RawSpan, from format: FloatFormat, into result: inout MutableSpan<Float>) {
  precondition(bytes.byteCount == result.count * format.byteCount, "bytes and values must agree in number")
  bytes.withUnsafeBytes { source in
    result.withUnsafeMutableBufferPointer { target in
      guard let from = source.baseAddress, let to = target.baseAddress else { return }
      convert(from, format, to: to, count: target.count)
    }
  }
}

/// A new array of the values stored in `bytes`, converted as by `convert(_:from:into:)`.
/// - Precondition: `bytes` holds a whole number of values of `format`.
package func converted(_ bytes: RawSpan, from format: FloatFormat) -> [Float] {
  let count = bytes.byteCount / format.byteCount
  precondition(count * format.byteCount == bytes.byteCount, "a whole number of values is needed")
  return [Float](unsafeUninitializedCapacity: count) { target, initialized in
    bytes.withUnsafeBytes { source in
      guard let from = source.baseAddress, let to = target.baseAddress else { return }
      convert(from, format, to: to, count: count)
    }
    initialized = count
  }
}

/// Integer types that `widened` reads; all little-endian, at any alignment.
package enum IntegerFormat: Sendable, CaseIterable {
  case int64, int32, int16, int8, uint64, uint32, uint16, uint8

  /// Bytes of one value.
  package var byteCount: Int {
    switch self {
    case .int64, .uint64: 8
    case .int32, .uint32: 4
    case .int16, .uint16: 2
    case .int8, .uint8: 1
    }
  }
}

/// The integers stored in `bytes`, or nil where a 64-bit unsigned value is above `Int.max`.
/// - Precondition: `bytes` holds a whole number of values of `format`.
package func widened(_ bytes: RawSpan, from format: IntegerFormat) -> [Int]? {
  switch format {
  case .int64: widen(bytes, Int64.self)
  case .int32: widen(bytes, Int32.self)
  case .int16: widen(bytes, Int16.self)
  case .int8: widen(bytes, Int8.self)
  case .uint64: widen(bytes, UInt64.self)
  case .uint32: widen(bytes, UInt32.self)
  case .uint16: widen(bytes, UInt16.self)
  case .uint8: widen(bytes, UInt8.self)
  }
}

/// The index of the first value that is infinite or not a number; nil when all are finite. Complexity: O(n).
package func firstNonFinite(_ values: Span<Float>) -> Int? {
  values.withUnsafeBufferPointer { values in
    let exponent: UInt32 = 0x7f80_0000
    var index = 0
    if let base = UnsafeRawPointer(values.baseAddress) {
      let mask = SIMD16<UInt32>(repeating: exponent)
      while index + 16 <= values.count {
        let bits = base.loadUnaligned(fromByteOffset: index * 4, as: SIMD16<UInt32>.self) & mask
        if any(bits .== mask) { break }
        index += 16
      }
    }
    while index < values.count {
      if values[index].bitPattern & exponent == exponent { return index }
      index += 1
    }
    return nil
  }
}

private func widen<Value: FixedWidthInteger & BitwiseCopyable>(_ bytes: RawSpan, _: Value.Type) -> [Int]? {
  let size = MemoryLayout<Value>.size
  let count = bytes.byteCount / size
  precondition(count * size == bytes.byteCount, "a whole number of values is needed")
  return bytes.withUnsafeBytes { source in
    var result: [Int] = []
    result.reserveCapacity(count)
    for index in 0..<count {
      guard let value = Int(exactly: source.loadUnaligned(fromByteOffset: index * size, as: Value.self)) else {
        return nil
      }
      result.append(value)
    }
    return result
  }
}

private func convert(
  _ source: UnsafeRawPointer, _ format: FloatFormat, to target: UnsafeMutablePointer<Float>, count: Int
) {
  switch format {
  case .float64: convertFloat64(source, to: target, count: count)
  case .float32: UnsafeMutableRawPointer(target).copyMemory(from: source, byteCount: count * 4)
  case .float16: convertFloat16(source, to: target, count: count)
  case .bfloat16: convertBFloat16(source, to: target, count: count)
  }
}

private func convertFloat64(_ source: UnsafeRawPointer, to target: UnsafeMutablePointer<Float>, count: Int) {
  var index = 0
  while index + 4 <= count {
    let values = SIMD4<Float>(source.loadUnaligned(fromByteOffset: index * 8, as: SIMD4<Double>.self))
    UnsafeMutableRawPointer(target + index).storeBytes(of: values, as: SIMD4<Float>.self)
    index += 4
  }
  while index < count {
    target[index] = Float(source.loadUnaligned(fromByteOffset: index * 8, as: Double.self))
    index += 1
  }
}

private func convertFloat16(_ source: UnsafeRawPointer, to target: UnsafeMutablePointer<Float>, count: Int) {
  var index = 0
  while index + 8 <= count {
    let values = processor_load_half8(source + index &* 2)
    UnsafeMutableRawPointer(target + index).storeBytes(of: values, as: SIMD8<Float>.self)
    index += 8
  }
  while index < count {
    target[index] = Float(source.loadUnaligned(fromByteOffset: index * 2, as: Float16.self))
    index += 1
  }
}

private func convertBFloat16(_ source: UnsafeRawPointer, to target: UnsafeMutablePointer<Float>, count: Int) {
  var index = 0
  while index + 8 <= count {
    let values = processor_load_bfloat8(source + index &* 2)
    UnsafeMutableRawPointer(target + index).storeBytes(of: values, as: SIMD8<Float>.self)
    index += 8
  }
  while index < count {
    let bits = source.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self)
    target[index] = Float(bitPattern: UInt32(bits) << 16)
    index += 1
  }
}
