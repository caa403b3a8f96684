import Testing

@testable import Kernels

private func codes(_ rows: Int, _ columns: Int, _ k: Int, seed: UInt64) -> SparseRows {
  SparseRows(topK: k, of: matrix(rows, columns, seed: seed), pool: pools[1])
}

@Test func topKCodesAreTheLargestPositives() {
  let pre = Matrix([[1, -2, 3, 0, 2], [-1, -2, -3, 0, -0.0], [5, 5, 5, 5, 5]], columns: 5)
  let rows = SparseRows(topK: 2, of: pre, pool: pools[0])
  #expect(rows == SparseRows(columns: 5, rowStarts: [0, 2, 2, 4], indices: [2, 4, 0, 1], values: [3, 2, 5, 5]))
  #expect(rows.dense() == Matrix([[0, 0, 3, 0, 2], [0, 0, 0, 0, 0], [5, 5, 0, 0, 0]], columns: 5))
  #expect(SparseRows(rows.dense()) == rows)
  #expect(rows.columnSums() == [5, 5, 3, 0, 2])
}

@Test func transposingTwiceGivesTheSameAndMatchesTheDense() {
  let rows = codes(13, 40, 5, seed: 1)
  #expect(rows.transposed().transposed() == rows)
  #expect(rows.transposed().dense() == rows.dense().transposed())
}

@Test func sparseDecodeIsTheChainOverRisingFeatures() {
  let (rows, features, d) = (9, 50, 21)
  let code = codes(rows, features, 7, seed: 2)
  let decoder = matrix(features, d, seed: 3)
  let bias = numbers(d, seed: 4)
  for pool in pools {
    let plain = sparseDecode(codes: code, decoder: decoder, pool: pool)
    // A zero in between leaves a chain as it is, so the dense product has the same bits.
    #expect(plain == multiply(code.dense(), decoder, pool: pool))
    let biased = sparseDecode(codes: code, decoder: decoder, bias: bias, pool: pool)
    for row in 0..<rows {
      var expected = bias
      for entry in code.rowStarts[row]..<code.rowStarts[row + 1] {
        add(code.values[entry], decoder.row(Int(code.indices[entry])), to: &expected)
      }
      #expect(biased.row(row) == expected)
    }
    // The gradient of the decoder: codes^T x.
    let x = matrix(rows, d, seed: 5)
    #expect(
      sparseDecode(codes: code.transposed(), decoder: x, pool: pool) == multiplyTransposed(code.dense(), x, pool: pool))
    let projected = sparseProject(x, decoder: decoder, at: code, pool: pool)
    #expect(projected.indices == code.indices)
    for row in 0..<rows {
      for entry in code.rowStarts[row]..<code.rowStarts[row + 1] {
        #expect(projected.values[entry] == referenceDot(x.row(row), decoder.row(Int(code.indices[entry]))))
      }
    }
  }
}

/// One TopK training step's gradients against finite differences of the loss.
@Test func sparseGradientsAreThoseOfTheLoss() {
  let (batch, features, d, k) = (6, 12, 8, 3)
  let pool = pools[1]
  let x = matrix(batch, d, seed: 6)
  let encoder = matrix(features, d, seed: 7)
  let decoder = matrix(features, d, seed: 8)
  func loss(_ encoder: Matrix, _ decoder: Matrix) -> Double {
    let code = SparseRows(topK: k, of: multiply(x, transposed: encoder, pool: pool), pool: pool)
    var residual = sparseDecode(codes: code, decoder: decoder, pool: pool)
    add(-1, x, to: &residual, pool: pool)
    return 0.5 * dotInDouble(residual.elements, residual.elements)
  }
  let code = SparseRows(topK: k, of: multiply(x, transposed: encoder, pool: pool), pool: pool)
  var residual = sparseDecode(codes: code, decoder: decoder, pool: pool)
  add(-1, x, to: &residual, pool: pool)
  let decoderGradient = sparseDecode(codes: code.transposed(), decoder: residual, pool: pool)
  let byCode = sparseProject(residual, decoder: decoder, at: code, pool: pool)
  let encoderGradient = sparseDecode(codes: byCode.transposed(), decoder: x, pool: pool)
  let step: Float = 1e-3
  for feature in 0..<features {
    for i in stride(from: 0, to: d, by: 3) {
      var (up, down) = (decoder, decoder)
      up[feature, i] += step
      down[feature, i] -= step
      let slope = (loss(encoder, up) - loss(encoder, down)) / Double(2 * step)
      #expect(abs(slope - Double(decoderGradient[feature, i])) < 2e-3)
      (up, down) = (encoder, encoder)
      up[feature, i] += step
      down[feature, i] -= step
      let encoderSlope = (loss(up, decoder) - loss(down, decoder)) / Double(2 * step)
      #expect(abs(encoderSlope - Double(encoderGradient[feature, i])) < 5e-3)
    }
  }
}

@Test func adamIsTheFormulaOnAnyNumberOfThreads() {
  let count = 40_003
  let adam = Adam(rate: 0.01)
  var expected: [Float]?
  for pool in pools {
    var parameters = numbers(count, seed: 1)
    var first = [Float](repeating: 0, count: count)
    var second = first
    for step in 1...3 {
      adamStep(
        adam, step: step, parameters: &parameters, gradient: numbers(count, seed: UInt64(step) + 1), first: &first,
        second: &second, pool: pool)
    }
    #expect(parameters == expected ?? parameters)
    expected = parameters
  }
  // In double, for the last element of all (a tail) and some others.
  for index in [0, 9, 16383, 16384, count - 1] {
    var (p, m, v) = (Double(numbers(count, seed: 1)[index]), 0.0, 0.0)
    for step in 1...3 {
      let g = Double(numbers(count, seed: UInt64(step) + 1)[index])
      m = 0.9 * m + 0.1 * g
      v = 0.999 * v + 0.001 * g * g
      let (c1, c2) = (1 - (0..<step).reduce(1.0) { r, _ in r * 0.9 }, 1 - (0..<step).reduce(1.0) { r, _ in r * 0.999 })
      p -= 0.01 * (m / c1) / ((v / c2).squareRoot() + 1e-8)
    }
    #expect(abs(Double(expected?[index] ?? .nan) - p) < 1e-5)
  }
}

@Test func decoderRowsStayOfUnitLength() {
  var decoder = matrix(30, 17, seed: 9)
  decoder.setRow(4, [Float](repeating: 0, count: 17))
  normaliseRows(&decoder, pool: pools[1])
  for (row, length) in rowNorms(decoder, pool: pools[0]).enumerated() {
    #expect(row == 4 ? length == 0 : abs(length - 1) < 1e-6)
  }
  var gradient = matrix(30, 17, seed: 10)
  let old = gradient
  removeParallelComponents(of: &gradient, along: decoder, pool: pools[2])
  for row in 0..<30 {
    #expect(abs(dot(gradient.row(row), decoder.row(row))) < 1e-5)
    var sum = gradient.row(row)
    add(dot(old.row(row), decoder.row(row)), decoder.row(row), to: &sum)
    #expect(zip(sum, old.row(row)).allSatisfy { abs($0 - $1) < 1e-5 })
  }
}
