import Kernels
import Testing

/// Stored values at an odd address, so that every load is unaligned.
private func convertedUnaligned(_ stored: [UInt8], _ format: FloatFormat) -> [Float] {
  let shifted = [0xaa] + stored
  let bytes = shifted.span.bytes
  return converted(bytes.extracting(1..<shifted.count), from: format)
}

private func littleEndian<Value: FixedWidthInteger>(_ values: [Value]) -> [UInt8] {
  values.flatMap { value in (0..<(Value.bitWidth / 8)).map { UInt8(truncatingIfNeeded: value >> Value(8 * $0)) } }
}

struct ElementConversionTests {
  @Test func everyHalfPrecisionNumber() {
    let patterns = (0...UInt16.max).map { $0 }
    let values = convertedUnaligned(littleEndian(patterns), .float16)
    var wrong = 0
    for (pattern, value) in zip(patterns, values) {
      let sign: Float = pattern >> 15 == 0 ? 1 : -1
      let exponent = Int(pattern >> 10) & 31
      let fraction = Float(pattern & 1023)
      if exponent == 31 {
        if fraction == 0 ? value != sign * .infinity : !value.isNaN { wrong += 1 }
      } else {
        let magnitude =
          exponent == 0
          ? Float(sign: .plus, exponent: -24, significand: fraction)
          : Float(sign: .plus, exponent: exponent - 25, significand: 1024 + fraction)
        if value.bitPattern != (sign * magnitude).bitPattern { wrong += 1 }
      }
    }
    #expect(wrong == 0)
  }

  @Test func everyBrainFloat() {
    let patterns = (0...UInt16.max).map { $0 }
    let values = convertedUnaligned(littleEndian(patterns), .bfloat16)
    #expect(values.map(\.bitPattern) == patterns.map { UInt32($0) << 16 })
  }

  /// All lengths up to 40, so that each loop's end is met.
  @Test(arguments: 0...40) func singleAndDoublePrecision(count: Int) {
    let numbers = (0..<count).map { Double($0) * 1.1 - 7 }
    let single = numbers.map { Float($0) }
    #expect(convertedUnaligned(littleEndian(numbers.map(\.bitPattern)), .float64) == single)
    #expect(convertedUnaligned(littleEndian(single.map(\.bitPattern)), .float32) == single)
    var room = [Float](repeating: 0, count: count)
    var span = room.mutableSpan
    let stored = littleEndian(single.map(\.bitPattern))
    convert(stored.span.bytes, from: .float32, into: &span)
    #expect(room == single)
  }

  @Test func doublePrecisionRoundsToNearestAndOverflowsToInfinity() {
    let numbers = [1 + 0x1p-24, 1 + 0x1.8p-24, 1e300, -1e300, 1e-46, .nan]
    let values = convertedUnaligned(littleEndian(numbers.map(\.bitPattern)), .float64)
    #expect(values[..<5] == [1, 1 + 0x1p-23, .infinity, -.infinity, 0])
    #expect(values[5].isNaN)
  }

  @Test func integersOfEveryWidth() {
    #expect(widened(littleEndian([Int64.min, -1, .max]).span.bytes, from: .int64) == [.min, -1, .max])
    #expect(
      widened(littleEndian([Int32.min, -1, .max]).span.bytes, from: .int32) == [-2_147_483_648, -1, 2_147_483_647])
    #expect(widened(littleEndian([Int16.min, -1, .max]).span.bytes, from: .int16) == [-32768, -1, 32767])
    #expect(widened(littleEndian([Int8.min, -1, .max]).span.bytes, from: .int8) == [-128, -1, 127])
    #expect(widened(littleEndian([0, UInt64(Int.max)]).span.bytes, from: .uint64) == [0, .max])
    #expect(widened(littleEndian([UInt32.max]).span.bytes, from: .uint32) == [4_294_967_295])
    #expect(widened(littleEndian([UInt16.max]).span.bytes, from: .uint16) == [65535])
    #expect(widened(([255, 0] as [UInt8]).span.bytes, from: .uint8) == [255, 0])
    #expect(widened(littleEndian([1, UInt64(Int.max) + 1]).span.bytes, from: .uint64) == nil)
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity, .signalingNaN]) func findsWhatIsNotFinite(bad: Float) {
    for place in 0..<40 {
      var values = [Float](repeating: -Float.greatestFiniteMagnitude, count: 40)
      values[place] = bad
      #expect(firstNonFinite(values.span) == place)
      values[39] = bad
      #expect(firstNonFinite(values.span) == place)
    }
    #expect(firstNonFinite([Float](repeating: .leastNonzeroMagnitude, count: 40).span) == nil)
    #expect(firstNonFinite([Float]().span) == nil)
  }
}
