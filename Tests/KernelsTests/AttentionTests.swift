import Testing

@testable import Kernels

/// One query head over its visible positions, as the documentation of `attend` has it.
private func reference(
  _ query: [Float], keys: [[Float]], values: [[Float]], visible: ClosedRange<Int>, _ shape: AttentionShape
) -> [Float] {
  var scores: [Int: Float] = [:]
  for position in visible {
    var score: Float = 0
    for i in query.indices { score = score.addingProduct(query[i], keys[position][i]) }
    score *= shape.scale
    if let cap = shape.softcap { score = cap * Elementary.tanh(score / cap) }
    scores[position] = score
  }
  let largest = scores.values.reduce(-Float.infinity) { $1 > $0 ? $1 : $0 }
  var lanes = [Float](repeating: 0, count: 16)
  var output = [Float](repeating: 0, count: query.count)
  for position in visible {
    let weight = Elementary.exp((scores[position] ?? .nan) - largest)
    lanes[position % 16] += weight
    for i in output.indices { output[i] = output[i].addingProduct(weight, values[position][i]) }
  }
  let sum = referenceTree(lanes)
  return output.map { $0 / sum }
}

private func head(_ m: Matrix, _ row: Int, _ index: Int, _ dimension: Int) -> [Float] {
  Array(m.row(row)[index * dimension..<(index + 1) * dimension])
}

/// All rows of one sequence, slowly.
private func reference(queries: Matrix, first: Int, keys: Matrix, values: Matrix, _ shape: AttentionShape) -> Matrix {
  var output = Matrix(rows: queries.rows, columns: queries.columns)
  let d = shape.headDimension
  for h in 0..<shape.heads {
    let group = h / (shape.heads / shape.keyValueHeads)
    let k = (0..<keys.rows).map { head(keys, $0, group, d) }
    let v = (0..<values.rows).map { head(values, $0, group, d) }
    for row in 0..<queries.rows {
      let position = first + row
      let low = shape.window.map { max(0, position - $0 + 1) } ?? 0
      let result = reference(head(queries, row, h, d), keys: k, values: v, visible: low...position, shape)
      for i in 0..<d { output[row, h * d + i] = result[i] }
    }
  }
  return output
}

private let attentionShapes = [
  AttentionShape(heads: 2, keyValueHeads: 1, headDimension: 16, scale: 0.25),
  AttentionShape(heads: 3, keyValueHeads: 3, headDimension: 8, scale: 0.3, softcap: 2),
  AttentionShape(heads: 4, keyValueHeads: 2, headDimension: 20, scale: 2, window: 5),
  AttentionShape(heads: 6, keyValueHeads: 2, headDimension: 32, scale: 0.2, softcap: 1, window: 19),
]

@Test(arguments: 0..<4)
func attentionIsTheFormulaWithAndWithoutASharedPrefix(index: Int) {
  let shape = attentionShapes[index]
  let (width, queryWidth) = (shape.keyValueHeads * shape.headDimension, shape.heads * shape.headDimension)
  for (count, length) in [(1, 1), (5, 5), (1, 40), (7, 40), (40, 40), (3, 17)] {
    let keys = matrix(length, width, seed: 1)
    let values = matrix(length, width, seed: 2)
    let queries = matrix(count, queryWidth, seed: 3)
    let first = length - count
    let expected = reference(queries: queries, first: first, keys: keys, values: values, shape)
    for prefix in Set([0, 1, first / 2, first, min(16, first), min(first + 2, length)]) {
      let part = AttentionPart(
        rows: 0..<count, firstPosition: first, prefixKeys: prefix > 0 ? keys : nil,
        prefixValues: prefix > 0 ? values : nil, prefixCount: prefix, tailKeys: keys.rows(prefix..<length),
        tailValues: values.rows(prefix..<length), tailCount: length - prefix)
      for pool in pools {
        #expect(
          attend(queries: queries, parts: [part], shape: shape, pool: pool) == expected, "\(count) \(length) \(prefix)")
      }
    }
  }
}

@Test(arguments: 0..<4)
func sequencesAloneAreSequencesInABatch(index: Int) {
  let shape = attentionShapes[index]
  let (width, queryWidth) = (shape.keyValueHeads * shape.headDimension, shape.heads * shape.headDimension)
  // Two shared prefixes, tails of different lengths, several rows a part, and one part with no prefix.
  let prefixes = [
    (matrix(21, width, seed: 1), matrix(21, width, seed: 2)), (matrix(9, width, seed: 3), matrix(9, width, seed: 4)),
  ]
  var parts: [AttentionPart] = []
  var row = 0
  for i in 0..<14 {
    let tail = i % 4 + 1
    let count = i % 3 == 0 ? tail : 1
    let (keys, values) = prefixes[i % 2]
    let shared = i != 13
    let length = (shared ? keys.rows : 0) + tail
    parts.append(
      AttentionPart(
        rows: row..<row + count, firstPosition: length - count, prefixKeys: shared ? keys : nil,
        prefixValues: shared ? values : nil, prefixCount: shared ? keys.rows : 0,
        // One row more than counts: it must not be looked at.
        tailKeys: matrix(tail + 1, width, seed: UInt64(10 + i)),
        tailValues: matrix(tail + 1, width, seed: UInt64(50 + i)),
        tailCount: tail))
    row += count
  }
  let queries = matrix(row + 1, queryWidth, seed: 9)
  let batch = attend(queries: queries, parts: parts, shape: shape, pool: pools[0])
  #expect(batch.row(row).allSatisfy { $0 == 0 })
  for pool in pools { #expect(attend(queries: queries, parts: parts, shape: shape, pool: pool) == batch) }
  for part in parts {
    var keys = part.tailKeys.rows(0..<part.tailCount)
    var values = part.tailValues.rows(0..<part.tailCount)
    if let prefixKeys = part.prefixKeys, let prefixValues = part.prefixValues {
      var (wholeKeys, wholeValues) = (prefixKeys, prefixValues)
      wholeKeys.append(rows: keys)
      wholeValues.append(rows: values)
      (keys, values) = (wholeKeys, wholeValues)
    }
    let expected = reference(
      queries: queries.rows(part.rows), first: part.firstPosition, keys: keys, values: values, shape)
    #expect(batch.rows(part.rows) == expected)
  }
}

@Test func aFutureNaNDoesNotReachThePast() {
  let shape = attentionShapes[0]
  var keys = matrix(20, 16, seed: 1)
  var values = matrix(20, 16, seed: 2)
  let queries = matrix(20, 32, seed: 3)
  func run() -> Matrix {
    let part = AttentionPart(rows: 0..<20, firstPosition: 0, tailKeys: keys, tailValues: values, tailCount: 20)
    return attend(queries: queries, parts: [part], shape: shape, pool: pools[1])
  }
  let clean = run()
  keys[15, 3] = .nan
  values[15, 2] = .infinity
  let dirty = run()
  #expect(dirty.rows(0..<15) == clean.rows(0..<15))
  #expect(dirty.row(15).contains { $0.isNaN })
}

@Test func rotationTurnsPairsByTheirAngle() {
  let frequencies: [Float] = [1, 0.31, 0.1, 0.01, 0.0031, 0.5, 0.7, 0.9, 0.2]
  let table = RotaryTable(dimension: 18, positions: 100, inverseFrequencies: frequencies)
  for pool in pools {
    let x = matrix(4, 2 * 20, seed: 4)
    var y = x
    rotate(&y, heads: 2, headDimension: 20, positions: [0, 1, 7, 99], table: table, pool: pool)
    #expect(y.row(0) == x.row(0))
    for (row, position) in [0, 1, 7, 99].enumerated() {
      for head in 0..<2 {
        for i in 0..<9 {
          let angle = Double(Float(position) * frequencies[i])
          let (c, s) = (Float(Elementary.cos(angle)), Float(Elementary.sin(angle)))
          let (a, b) = (x[row, head * 20 + i], x[row, head * 20 + i + 9])
          #expect(y[row, head * 20 + i] == (-(b * s)).addingProduct(a, c))
          #expect(y[row, head * 20 + i + 9] == (a * s).addingProduct(b, c))
        }
        // Beyond the table's dimension nothing turns.
        #expect(y[row, head * 20 + 18] == x[row, head * 20 + 18] && y[row, head * 20 + 19] == x[row, head * 20 + 19])
      }
    }
  }
}
