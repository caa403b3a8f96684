import Testing

@testable import Kernels

/// The same number in every build (AVX2, AVX-512, NEON), at any width of the pool: what changes it raises the numerics version.
@Test(arguments: [0, 1, 2]) func everyBuildGivesTheseBits(width: Int) {
  let pool = pools[width]
  var digest = Digest()
  let x = matrix(37, 83, seed: 1)
  for storage in [PackedMatrix.Storage.float32, .bfloat16, .float16] {
    digest.add(multiply(x, PackedMatrix(matrix(70, 83, seed: 2), storage: storage, pool: pool), pool: pool))
  }
  digest.add(multiply(x, matrix(83, 101, seed: 3), pool: pool))
  digest.add(multiply(x, transposed: matrix(45, 83, seed: 4), pool: pool))
  digest.add(multiplyTransposed(x, matrix(37, 29, seed: 5), pool: pool))
  let shape = AttentionShape(heads: 4, keyValueHeads: 2, headDimension: 24, scale: 0.3, softcap: 5, window: 19)
  let part = AttentionPart(
    rows: 0..<37, firstPosition: 0, tailKeys: matrix(37, 48, seed: 6), tailValues: matrix(37, 48, seed: 7),
    tailCount: 37)
  digest.add(attend(queries: matrix(37, 96, seed: 8), parts: [part], shape: shape, pool: pool))
  digest.add(rmsNorm(x, weight: numbers(83, seed: 9), epsilon: 1e-6, addingOneToWeight: true, pool: pool))
  for activation in [GatedActivation.silu, .geluTanh] {
    var gated = matrix(37, 83, seed: 10)
    gate(&gated, times: x, activation: activation, pool: pool)
    digest.add(gated)
  }
  var soft = matrix(37, 83, seed: 11)
  softmaxRows(&soft, pool: pool)
  digest.add(soft)
  let angles = RotaryTable(dimension: 24, positions: 37, inverseFrequencies: numbers(12, seed: 12))
  var turned = matrix(37, 96, seed: 13)
  rotate(&turned, heads: 4, headDimension: 24, positions: Array(0..<37), table: angles, pool: pool)
  digest.add(turned)
  for value in logSumExpRows(x, pool: pool) + rowNorms(x, pool: pool) { digest.add(value.bitPattern) }
  let double = dotInDouble(x.row(3), x.row(4)).bitPattern
  digest.add(UInt32(truncatingIfNeeded: double))
  digest.add(UInt32(truncatingIfNeeded: double >> 32))
  #expect(digest.value == 13_993_169_437_255_345_378)
}

/// Likewise for sums of sparse rows.
@Test(arguments: [0, 1, 2]) func everyBuildGivesTheseSums(width: Int) {
  let pool = pools[width]
  var digest = Digest()
  let decoder = matrix(300, 150, seed: 14)
  let codes = randomCodes(9, 300, density: 0.5, seed: 15)
  digest.add(multiply(codes, rowMajor: decoder.elements.span.bytes, type: .float32, columns: 150, pool: pool))
  digest.add(
    RowPass(
      over: decoder.elements.span.bytes, type: .float32, multiplying: matrix(3, 150, seed: 16),
      adding: RowWeights(sparse: codes),
      wantsNorms: true, pool: pool
    ).sums)
  #expect(digest.value == 813_341_365_058_168_133)
}

/// Likewise for ladders.
@Test(arguments: [0, 1, 2]) func everyBuildGivesTheseLadders(width: Int) {
  var digest = Digest()
  let ladders = [LadderCase(rows: 300, coefficients: (1...64).map { Float($0) / 8 - 4 }, seed: 17).ladder]
  let b = matrix(300, 150, seed: 18)
  digest.add(
    multiply(
      RowWeights(sparse: SparseRows(columns: 300), ladders: ladders), rowMajor: b.elements.span.bytes, type: .float32,
      columns: 150, pool: pools[width]))
  #expect(digest.value == 12_652_899_962_476_491_765)
}

/// FNV-1a over 32-bit words.
private struct Digest {
  var value: UInt64 = 0xCBF2_9CE4_8422_2325

  mutating func add(_ word: UInt32) { value = (value ^ UInt64(word)) &* 0x100_0000_01B3 }

  mutating func add(_ m: Matrix) { for element in m.elements { add(element.bitPattern) } }
}
