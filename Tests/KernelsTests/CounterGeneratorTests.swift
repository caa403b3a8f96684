import Testing

@testable import Kernels

/// The published known answers of Random123 for Philox 4x32-10.
@Test func philoxGivesThePublishedBlocks() {
  #expect(
    CounterGenerator.philox(SIMD4(0, 0, 0, 0), key: SIMD2(0, 0))
      == SIMD4(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
  #expect(
    CounterGenerator.philox(SIMD4(repeating: .max), key: SIMD2(repeating: .max))
      == SIMD4(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
  #expect(
    CounterGenerator.philox(
      SIMD4(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344), key: SIMD2(0xa409_3822, 0x299f_31d0))
      == SIMD4(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
}

@Test func aDrawIsAFunctionOfItsNumber() {
  var whole = CounterGenerator(seed: 7, stream: 3)
  let draws = (0..<20).map { _ in whole.next() }
  for start in 0..<20 {
    var generator = CounterGenerator(seed: 7, stream: 3, position: UInt64(start))
    for i in start..<20 { #expect(generator.next() == draws[i]) }
  }
  var other = CounterGenerator(seed: 7, stream: 4)
  var reseeded = CounterGenerator(seed: 8, stream: 3)
  #expect(other.next() != draws[0] && reseeded.next() != draws[0])
  #expect(
    draws[0] == 0xE169_C58D_6627_E8D5 || CounterGenerator.block(seed: 0, stream: 0, index: 0).0 == 0xE169_C58D_6627_E8D5
  )
}

@Test func uniformsAndGaussiansHaveTheirMoments() {
  var generator = CounterGenerator(seed: 1, stream: 0)
  let uniforms = (0..<20000).map { _ in generator.uniform() }
  #expect(uniforms.allSatisfy { $0 >= 0 && $0 < 1 })
  #expect(abs(uniforms.reduce(0, +) / 20000 - 0.5) < 0.01)
  let normals = (0..<20000).map { _ in generator.gaussian() }
  let mean = normals.reduce(0, +) / 20000
  let variance = normals.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 20000
  let fourth = normals.reduce(0) { $0 + $1 * $1 * $1 * $1 } / 20000
  #expect(abs(mean) < 0.03 && abs(variance - 1) < 0.04 && abs(fourth - 3) < 0.3)
}
