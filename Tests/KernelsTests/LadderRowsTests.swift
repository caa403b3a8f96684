import Testing

@testable import Kernels

/// Ladders alone and in company, by a pass of their own and in that of the products, against each coefficient for itself.
struct LadderRowsTests {
  static let ladder: [Float] = (1...17).map { Float($0) / 2 - 4.5 }

  @Test(arguments: [ElementType.float32, .bfloat16, .float16])
  func sumsAreThoseOfEachCoefficientAlone(_ type: ElementType) {
    for (rows, columns) in [(1, 1), (127, 65), (128, 128), (129, 300), (400, 130), (140, 500), (40, 0)] {
      var values = representable(numbers(rows * columns, seed: 41), type)
      // Infinities and NaN stay in their columns.
      if columns > 64 { (values[3], values[columns + 5], values[7]) = (.infinity, -.infinity, .nan) }
      let b = Matrix(rows: rows, columns: columns, elements: values)
      let bytes = unalignedBytes(values, type)
      let raw = bytes.span.bytes.extracting(droppingFirst: 1)
      for (count, sparseRows) in [(0, 0), (0, 3), (1, 0), (1, 1), (2, 0), (5, 9)] {
        let cases = (0..<count).map {
          LadderCase(rows: rows, coefficients: [Self.ladder, [1], [-9, 0, 0, 9]][$0 % 3], seed: 50 + UInt64($0))
        }
        let sparse = randomCodes(sparseRows, rows, density: 0.3, seed: 44)
        let weights = RowWeights(sparse: sparse, ladders: cases.map(\.ladder))
        let expected = referenceSums(sparse, b) + cases.flatMap { $0.referenceSums(b) }
        for pool in pools {
          let name: Comment = "\(rows) x \(columns), \(count) ladders, \(sparseRows) rows, \(pool.threads) threads"
          let found = multiply(weights, rowMajor: raw, type: type, columns: columns, pool: pool)
          #expect(found.rows == weights.rows && sameBits(found.elements, expected), name)
          let pass = RowPass(
            over: raw, type: type, multiplying: matrix(2, columns, seed: 45), adding: weights, wantsNorms: true,
            pool: pool)
          #expect(sameBits(pass.sums.elements, expected), name)
        }
      }
    }
  }

  /// As many rows as make several groups of a pass, beside sparse rows; one strip, whose sharers threads divide.
  @Test(arguments: [(300, 6000, 2), (300, 60, 6)])
  func largeSumsAreThoseOfEachCoefficientAlone(_ rows: Int, _ columns: Int, _ ladders: Int) {
    let cases = (0..<ladders).map { LadderCase(rows: rows, coefficients: [-2, 1, 1.5], seed: 70 + UInt64($0)) }
    let sparse = randomCodes(9, rows, density: 0.5, seed: 71)
    let weights = RowWeights(sparse: sparse, ladders: cases.map(\.ladder))
    let b = matrix(rows, columns, seed: 72)
    let expected = referenceSums(sparse, b) + cases.flatMap { $0.referenceSums(b) }
    for pool in pools {
      let found = multiply(weights, rowMajor: b.elements.span.bytes, type: .float32, columns: columns, pool: pool)
      #expect(sameBits(found.elements, expected), "\(pool.threads) threads")
      for wantsNorms in [true, false] {
        let pass = RowPass(
          over: b.elements.span.bytes, type: .float32, multiplying: matrix(1, columns, seed: 73), adding: weights,
          wantsNorms: wantsNorms, pool: pool)
        #expect(sameBits(pass.sums.elements, expected), "\(pool.threads) threads, in a pass")
      }
    }
  }

  /// Where slopes and intercepts cancel, sums are as good as the numbers they are made of.
  @Test func largeInterceptsCostNoMoreThanTheirOwnRounding() {
    var some = LadderCase(rows: 500, coefficients: [1], seed: 80)
    some.slopes = some.slopes.map { 100 + $0 }
    some.intercepts = some.intercepts.map { -100 + $0 }
    let b = matrix(500, 70, seed: 81)
    let found = multiply(
      RowWeights(sparse: SparseRows(columns: 500), ladders: [some.ladder]), rowMajor: b.elements.span.bytes,
      type: .float32, columns: 70, pool: pools[0])
    for column in 0..<70 {
      let active = some.from.filter { $0.value <= 1 }.map(\.key) + some.upTo.filter { $0.value >= 1 }.map(\.key)
      let exact = active.reduce(0.0) {
        $0 + (Double(some.slopes[$1]) + Double(some.intercepts[$1])) * Double(b[$1, column])
      }
      let size = active.reduce(0.0) { $0 + 200 * abs(Double(b[$1, column])) }
      #expect(abs(Double(found[0, column]) - exact) < 1e-6 * size)
    }
  }

  @Test func aCoefficientDoesNotSeeTheOthers() {
    let all = LadderCase(rows: 700, coefficients: Self.ladder, seed: 60)
    let b = matrix(700, 140, seed: 61)
    func sums(_ some: LadderCase) -> Matrix {
      multiply(
        RowWeights(sparse: SparseRows(columns: 700), ladders: [some.ladder]), rowMajor: b.elements.span.bytes,
        type: .float32, columns: 140, pool: pools[1])
    }
    let together = sums(all)
    for (place, coefficient) in Self.ladder.enumerated() {
      var alone = all
      alone.coefficients = [coefficient]
      #expect(sums(alone).elements == together.row(place))
    }
  }

  /// Rows that have no weight at any coefficient are not read: they could be anything.
  @Test func rowsBeyondAllCoefficientsAreLeftOut() {
    var some = LadderCase(rows: 300, coefficients: [-1, 2], seed: 62)
    some.from = [5: 2, 6: Float(2).nextUp, 200: .greatestFiniteMagnitude]
    some.upTo = [7: -1, 8: Float(-1).nextDown, 201: -.greatestFiniteMagnitude]
    #expect(RowWeights(sparse: SparseRows(columns: 300), ladders: [some.ladder]).named == [5, 7])
    var nothing = some
    (nothing.from, nothing.upTo) = ([:], [:])
    let b = Matrix(rows: 300, columns: 3, repeating: .nan)
    let found = multiply(
      RowWeights(sparse: SparseRows(columns: 300), ladders: [nothing.ladder]), rowMajor: b.elements.span.bytes,
      type: .float32, columns: 3, pool: pools[0])
    #expect(found == Matrix(rows: 2, columns: 3))
  }
}
