import Testing

@testable import Kernels

/// m over every height of a tile and a few blocks, n over tails of a panel, k over tails of the unrolling and block borders.
private let shapes: [(m: Int, k: Int, n: Int)] = {
  var shapes: [(Int, Int, Int)] = []
  for m in 1...13 { shapes.append((m, (m * 37) % 61 + 1, (m * 29) % 67 + 1)) }
  for n in [1, 15, 16, 17, 33, 70, 100] { for m in [1, 2, 3, 7] { shapes.append((m, n % 9 + 1, n)) } }
  shapes += [(1, 300, 130), (2, 299, 97), (3, 301, 65), (6, 384, 33), (7, 385, 20), (13, 769, 17), (5, 1, 1)]
  // Enough rows that row-major factors are packed; more than one strip of panels; more than one group of row blocks.
  shapes += [(50, 20, 40), (49, 197, 545), (64, 390, 37), (97, 30, 70), (790, 5, 18), (20, 7, 600)]
  shapes += [(257, 30, 50), (260, 199, 100), (300, 17, 600), (5, 23, 1100), (260, 203, 150)]
  return shapes
}()

@Test func everyFormOfAProductIsTheScalarChain() {
  for (index, shape) in shapes.enumerated() {
    let a = matrix(shape.m, shape.k, seed: UInt64(index))
    let b = matrix(shape.n, shape.k, seed: UInt64(index) + 1000)
    let expected = referenceProduct(a, transposed: b)
    for pool in pools {
      #expect(multiply(a, PackedMatrix(b, pool: pool), pool: pool) == expected, "packed \(shape) \(pool.threads)")
      #expect(multiply(a, transposed: b, pool: pool) == expected, "transposed \(shape) \(pool.threads)")
      #expect(multiply(a, b.transposed(), pool: pool) == expected, "row-major \(shape) \(pool.threads)")
      #expect(
        multiplyTransposed(a.transposed(), b.transposed(), pool: pool) == expected, "a^T b \(shape) \(pool.threads)")
    }
  }
}

@Test(arguments: [ElementType.float32, .bfloat16, .float16])
func storedTypesGiveTheBitsOfTheirFloat32Values(type: ElementType) {
  let storage: PackedMatrix.Storage = type == .float32 ? .float32 : type == .bfloat16 ? .bfloat16 : .float16
  for (index, shape) in shapes.enumerated() where index % 2 == 0 || shape.k > 200 {
    let a = matrix(shape.m, shape.k, seed: UInt64(index))
    var b = matrix(shape.n, shape.k, seed: UInt64(index) + 2000)
    b.elements = representable(b.elements, type)
    let expected = referenceProduct(a, transposed: b)
    let pool = pools[index % 3]
    #expect(multiply(a, PackedMatrix(b, storage: storage, pool: pool), pool: pool) == expected, "packed \(shape)")
    let transposed = unalignedBytes(b.elements, type)
    let rowMajor = unalignedBytes(b.transposed().elements, type)
    #expect(
      multiply(
        a, transposedRowMajor: transposed.span.bytes.extracting(droppingFirst: 1), type: type, rows: shape.n, pool: pool
      )
        == expected, "transposed \(shape)")
    #expect(
      multiply(a, rowMajor: rowMajor.span.bytes.extracting(droppingFirst: 1), type: type, columns: shape.n, pool: pool)
        == expected, "row-major \(shape)")
  }
}

@Test func rowsAloneAreRowsOfABatch() {
  let (k, n) = (150, 90)
  let b = matrix(n, k, seed: 5)
  let packed = PackedMatrix(b, pool: pools[1])
  let a = matrix(29, k, seed: 6)
  let batch = multiply(a, packed, pool: pools[2])
  for row in 0..<a.rows { #expect(multiply(a.rows(row..<row + 1), packed, pool: pools[0]).elements == batch.row(row)) }
  for count in 2...12 { #expect(multiply(a.rows(0..<count), packed, pool: pools[1]) == batch.rows(0..<count)) }
  let columns = b.transposed()
  for count in [1, 4, 6, 7, 11, 29] {
    #expect(multiply(a.rows(0..<count), columns, pool: pools[1]) == batch.rows(0..<count))
  }
}

/// More rows than share a cache, several blocks of k and strips of columns: what rests between blocks is found again.
@Test func largeProductsAreThoseOfTheirRows() {
  let (m, k, n) = (1100, 800, 1500)
  let b = matrix(n, k, seed: 7)
  let packed = PackedMatrix(b, pool: pools[1])
  let a = matrix(m, k, seed: 8)
  let batch = multiply(a, packed, pool: pools[0])
  for row in [0, 1, 7, 400, 767, 768, 1023, 1024, 1099] {
    #expect(multiply(a.rows(row..<row + 1), packed, pool: pools[0]).elements == batch.row(row))
  }
  #expect(multiply(a, packed, pool: pools[2]) == batch)
  let columns = b.transposed()
  for pool in pools { #expect(multiply(a, columns, pool: pool) == batch) }
  #expect(multiply(a, transposed: b, pool: pools[1]) == batch)
}

@Test func columnRangesAndNamedOutputsAreThoseOfTheWhole() {
  let (k, n) = (70, 100)
  let b = matrix(n, k, seed: 7)
  for m in [1, 5, 8, 20] {
    let a = matrix(m, k, seed: 8)
    let whole = multiply(a, transposed: b, pool: pools[0])
    let columns = b.transposed()
    for range in [0..<100, 3..<4, 16..<80, 37..<100, 50..<50] {
      let part = multiply(
        a, rowMajor: columns.elements.span.bytes, type: .float32, columns: n, columnRange: range, pool: pools[1])
      #expect(part.columns == range.count)
      for row in 0..<m { #expect(part.row(row) == Array(whole.row(row)[range])) }
    }
    for storage in [PackedMatrix.Storage.float32, .bfloat16, .float16] {
      let values = Matrix(
        rows: n, columns: k, elements: representable(representable(b.elements, .bfloat16), .float16))
      let packed = PackedMatrix(values, storage: storage, pool: pools[1])
      let all = multiply(a, packed, pool: pools[1])
      let names = [99, 0, 7, 8, 8, 31, 64] + Array(20..<40)
      let some = multiply(a, packed, outputs: names, pool: pools[2])
      for row in 0..<m { #expect(some.row(row) == names.map { all[row, $0] }) }
      #expect(packed.row(37) == values.row(37))
    }
  }
}

@Test func nothingAndInfinityAndNaNGoThrough() {
  let empty = multiply(Matrix(rows: 3, columns: 0), Matrix(rows: 0, columns: 5), pool: pools[0])
  #expect(empty == Matrix(rows: 3, columns: 5))
  #expect(multiply(Matrix(rows: 0, columns: 4), Matrix(rows: 4, columns: 5), pool: pools[0]).rows == 0)
  #expect(
    multiply(Matrix(rows: 2, columns: 0), PackedMatrix(Matrix(rows: 4, columns: 0), pool: pools[0]), pool: pools[0])
      == Matrix(rows: 2, columns: 4))
  for m in [1, 4, 9] {
    var a = matrix(m, 40, seed: 9)
    a[m - 1, 17] = .nan
    if m > 1 { a[0, 3] = .infinity }
    let b = matrix(35, 40, seed: 10)
    let expected = referenceProduct(a, transposed: b)
    #expect(expected.row(m - 1).allSatisfy { $0.isNaN })
    for pool in pools {
      #expect(sameBits(multiply(a, PackedMatrix(b, pool: pool), pool: pool).elements, expected.elements))
      #expect(sameBits(multiply(a, b.transposed(), pool: pool).elements, expected.elements))
      #expect(sameBits(multiply(a, transposed: b, pool: pool).elements, expected.elements))
    }
  }
}

@Test func resultsReuseTheirStorage() {
  let packed = PackedMatrix(matrix(50, 20, seed: 1), pool: pools[1])
  var y = Matrix(rows: 8, columns: 50, repeating: .nan)
  let x = matrix(8, 20, seed: 2)
  multiply(x, packed, into: &y, pool: pools[1])
  #expect(y == multiply(x, packed, pool: pools[0]))
}

@Test func aFailingFillIsReportedInRowOrder() {
  struct Failure: Error, Equatable { var row: Int }
  let error = #expect(throws: Failure.self) {
    try PackedMatrix(outputs: 100, inputs: 3, storage: .float32, pool: pools[2]) { rows, target throws(Failure) in
      if rows.lowerBound >= 32 { throw Failure(row: rows.lowerBound) }
      for i in 0..<target.count { target[i] = 1 }
    }
  }
  #expect(error == Failure(row: 32))
}

@Test func bytesAreThoseOfTheStoredType() {
  let rows = Matrix(rows: 17, columns: 10)
  #expect(PackedMatrix(rows, pool: pools[0]).bytes == 32 * 10 * 4)
  #expect(PackedMatrix(rows, storage: .bfloat16, pool: pools[0]).bytes == 32 * 10 * 2)
}

@Test(arguments: [ElementType.float32, .bfloat16, .float16])
func rowsAreDividedWhileTheyArePacked(type: ElementType) {
  for (rows, inputs) in [(1, 1), (16, 16), (37, 300), (40, 513), (0, 4), (3, 0)] {
    var values = Matrix(rows: rows, columns: inputs, elements: representable(numbers(rows * inputs, seed: 3), type))
    let bytes = unalignedBytes(values.elements, type)
    let divisors = (0..<rows).map { norm(values.row($0)) }
    for pool in pools {
      let packed = PackedMatrix(
        rows: bytes.span.bytes.extracting(droppingFirst: 1), type: type, inputs: inputs, dividedBy: divisors, pool: pool
      )
      normaliseRows(&values, pool: pool)
      for row in 0..<rows { #expect(packed.row(row) == values.row(row), "\(rows) \(inputs) \(row)") }
      values.elements = representable(numbers(rows * inputs, seed: 3), type)
    }
  }
}
