import Testing

@testable import Kernels

@Test func sumsRunInSixteenLanesAndAFixedTree() {
  for count in Array(0...70) + [255, 256, 1000] {
    let (a, b) = (numbers(count, seed: 1), numbers(count, seed: 2))
    #expect(dot(a, b) == referenceDot(a, b), "\(count)")
    #expect(norm(a) == referenceDot(a, a).squareRoot())
    let exact = zip(a, b).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
    #expect(abs(dotInDouble(a, b) - exact) <= 1e-13 * Double(count + 1))
  }
  #expect(dot([.nan] + numbers(20, seed: 1), numbers(21, seed: 2)).isNaN)
}

@Test func scaledAdditionIsOneFusedOperation() {
  for count in [0, 1, 7, 8, 9, 31, 100] {
    let x = numbers(count, seed: 3)
    let y = numbers(count, seed: 4)
    var sum = y
    add(0.37, x, to: &sum)
    #expect(sum == zip(x, y).map { $1.addingProduct(0.37, $0) })
    var m = Matrix([y, y, y], columns: count)
    add(0.37, x, toRow: 1, of: &m)
    #expect(m.row(0) == y && m.row(1) == sum && m.row(2) == y)
    m = Matrix([y, y, y], columns: count)
    add(0.37, x, toRowsOf: &m, pool: pools[1])
    #expect((0..<3).allSatisfy { m.row($0) == sum })
  }
}

@Test func matrixSumsAndScalesAreElementByElement() {
  let x = matrix(300, 211, seed: 5)
  for pool in pools {
    var y = matrix(300, 211, seed: 6)
    let old = y
    add(x, to: &y, pool: pool)
    #expect(y.elements == zip(x.elements, old.elements).map { $1 + $0 })
    scale(&y, by: 3, pool: pool)
    #expect(y.elements == zip(x.elements, old.elements).map { ($1 + $0) * 3 })
  }
}

@Test func rowNormsAndColumnMeans() {
  let m = matrix(40, 33, seed: 7)
  for pool in pools { #expect(rowNorms(m, pool: pool) == (0..<40).map { norm(m.row($0)) }) }
  let means = columnMeans(m)
  for column in 0..<33 {
    var sum = 0.0
    for row in 0..<40 { sum += Double(m[row, column]) }
    #expect(means[column] == sum / 40)
  }
}

@Test func matricesCopyGatherAppendAndTranspose() {
  var m = matrix(37, 21, seed: 8)
  let t = m.transposed()
  #expect(t.rows == 21 && t.columns == 37 && t.transposed() == m)
  for row in 0..<37 { for column in 0..<21 { #expect(t[column, row] == m[row, column]) } }
  #expect(m.rows(3..<5).row(1) == m.row(4))
  #expect(m.gathering(rows: [4, 4, 0]).row(0) == m.row(4) && m.gathering(rows: [4, 4, 0]).row(2) == m.row(0))
  let more = m.rows(0..<2)
  m.append(rows: more)
  #expect(m.rows == 39 && m.row(38) == m.row(1))
  m.setRow(5, m.row(6))
  #expect(m.row(5) == m.row(6))
  #expect(Matrix(rows: 0, columns: 3).transposed() == Matrix(rows: 3, columns: 0))
}

@Test func normalisationIsTheFormula() {
  for columns in [1, 8, 19, 64] {
    let x = matrix(5, columns, seed: 9)
    let weight = numbers(columns, seed: 10)
    for pool in pools {
      for plusOne in [false, true] {
        let y = rmsNorm(x, weight: weight, epsilon: 1e-5, addingOneToWeight: plusOne, pool: pool)
        for row in 0..<5 {
          let r = 1 / (referenceDot(x.row(row), x.row(row)) / Float(columns) + 1e-5).squareRoot()
          #expect(y.row(row) == zip(x.row(row), weight).map { ($0 * r) * (plusOne ? 1 + $1 : $1) })
        }
      }
    }
  }
}
