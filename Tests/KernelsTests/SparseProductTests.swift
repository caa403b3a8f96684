import Testing

@testable import Kernels

@Test(
  arguments: [(1, 1), (7, 15), (8, 16), (40, 17), (300, 64), (150, 129), (20, 200), (260, 301)],
  [ElementType.float32, .float16, .bfloat16])
func sparseProductsAreChainsOverRisingFeatures(_ shape: (features: Int, columns: Int), _ type: ElementType) {
  let (features, columns) = shape
  var values = representable(numbers(features * columns, seed: 3), type)
  // What is not finite stays in its own column, and the order of a chain decides between an infinity and NaN.
  values[0] = .infinity
  values[values.count / 2] = -.infinity
  values[values.count / 3] = .nan
  values[values.count - 1] = -0.0
  let bytes = unalignedBytes(values, type)
  let b = Matrix(rows: features, columns: columns, elements: values)
  for (rows, density) in [(1, 1), (1, 0.1), (6, 0.6), (33, 0.4), (33, 0.02)] as [(Int, Float)] {
    let s = randomCodes(rows, features, density: density, seed: UInt64(rows))
    let expected = referenceSums(s, b)
    for pool in pools {
      let found = multiply(
        s, rowMajor: bytes.span.bytes.extracting(droppingFirst: 1), type: type, columns: columns, pool: pool)
      #expect(sameBits(found.elements, expected), "\(rows) rows, density \(density), \(pool.threads) threads")
    }
  }
}

/// Large enough that threads share the columns, or the rows, and that rows together have the bits of each alone.
@Test(arguments: [
  (3, 4500, 260, 0.5), (2, 4500, 260, 0.01), (90, 500, 130, 0.3), (1, 5000, 300, 0.9), (3, 400, 272, 0.5),
  (9, 400, 128, 0.5), (9, 300, 576, 0.5),
])
func sparseProductsDoNotDependOnThreadsOrCompany(_ rows: Int, _ features: Int, _ columns: Int, _ density: Double) {
  let s = randomCodes(rows, features, density: Float(density), seed: 5)
  let b = matrix(features, columns, seed: 6)
  let expected = sparseDecode(codes: s, decoder: b, pool: pools[0])
  for pool in pools {
    #expect(multiply(s, rowMajor: b.elements.span.bytes, type: .float32, columns: columns, pool: pool) == expected)
  }
  for row in 0..<min(rows, 4) {
    let entries = s.rowStarts[row]..<s.rowStarts[row + 1]
    let alone = SparseRows(
      columns: features, rowStarts: [0, entries.count], indices: Array(s.indices[entries]),
      values: Array(s.values[entries]))
    let found = multiply(alone, rowMajor: b.elements.span.bytes, type: .float32, columns: columns, pool: pools[1])
    #expect(found.elements == expected.row(row))
  }
}

/// More rows than are worked on together.
@Test(arguments: [1, 12]) func manySparseRowsAreSummedInGroups(_ each: Int) {
  let (rows, features, columns) = (4500, 20, 24)
  let places = (0..<rows).map { row in (0..<each).map { Int32((row + $0 * 3) % features) }.sorted() }
  let s = SparseRows(
    columns: features, rowStarts: (0...rows).map { $0 * each },
    indices: places.flatMap(\.self), values: numbers(rows * each, seed: 11))
  let b = matrix(features, columns, seed: 12)
  let found = multiply(s, rowMajor: b.elements.span.bytes, type: .float32, columns: columns, pool: pools[1])
  #expect(found.elements == referenceSums(s, b))
}

@Test func sparseProductsWithNothingInThem() {
  let b = matrix(4, 3, seed: 7)
  func product(_ s: SparseRows, _ columns: Int, _ b: Matrix) -> Matrix {
    multiply(s, rowMajor: b.elements.span.bytes, type: .float32, columns: columns, pool: pools[1])
  }
  let empty = SparseRows(columns: 4, rowStarts: [0, 0, 0], indices: [], values: [])
  #expect(product(empty, 3, b) == Matrix(rows: 2, columns: 3))
  #expect(product(SparseRows(columns: 4, rowStarts: [0], indices: [], values: []), 3, b) == Matrix(rows: 0, columns: 3))
  let one = SparseRows(columns: 4, rowStarts: [0, 1], indices: [2], values: [1])
  #expect(product(one, 0, Matrix(rows: 4, columns: 0)) == Matrix(rows: 1, columns: 0))
}

@Test func risingIndicesAreSortedAndDistinct() {
  #expect(rising([], below: 0) == [])
  #expect(rising([128, 3, 64, 63, 3, 0], below: 129) == [0, 3, 63, 64, 128])
  let indices = numbers(500, seed: 8).map { Int32(abs($0) * 999) }
  #expect(rising(indices, below: 1000) == Set(indices).sorted())
}
