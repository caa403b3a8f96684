import Kernels
import Testing

@testable import SparseAutoencoders

/// The kernels made for this module against slow obvious references, bit for bit.
struct SparseKernelTests {
  @Test(arguments: [1, 7, 8, 47, 48, 61, 130], [ElementType.float32, .float16, .bfloat16])
  func sparseTimesStoredRows(_ columns: Int, _ type: Kernels.ElementType) {
    let codes = SparseRows(gaussianMatrix(9, 30, seed: 1)) { $0 > 0.7 }
    let values = gaussianMatrix(30, columns, seed: 2)
    var bytes: [UInt8] = []
    var stored = values
    for (index, value) in values.elements.enumerated() {
      switch type {
      case .float32: withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
      case .float16:
        withUnsafeBytes(of: Float16(value)) { bytes.append(contentsOf: $0) }
        stored.elements[index] = Float(Float16(value))
      case .bfloat16:
        let upper = UInt16(value.bitPattern >> 16)
        withUnsafeBytes(of: upper) { bytes.append(contentsOf: $0) }
        stored.elements[index] = Float(bitPattern: UInt32(upper) << 16)
      }
    }
    let found = multiply(codes, rowMajor: bytes.span.bytes, type: type, columns: columns, pool: pool)
    for row in 0..<9 {
      for column in 0..<columns {
        var sum: Float = 0
        for entry in codes.entries(row) {
          sum = sum.addingProduct(codes.values[entry], stored[Int(codes.indices[entry]), column])
        }
        #expect(found[row, column] == sum)
      }
    }
  }

  /// Few different values, so that there are ties everywhere.
  static func coarse(_ rows: Int, _ columns: Int, seed: UInt64) -> Matrix {
    var m = gaussianMatrix(rows, columns, seed: seed)
    m.elements = m.elements.map { ($0 * 3).rounded() / 3 }
    return m
  }

  @Test(arguments: [0, 1, 5, 40, 1000, 2000, 2200, 5000], [true, false])
  func largestOfAWholeMatrix(_ count: Int, _ ties: Bool) {
    var m = ties ? Self.coarse(150, 31, seed: 3) : gaussianMatrix(150, 31, seed: 3)
    m[3, 7] = .nan
    m[5, 30] = -.nan
    m[140, 0] = .infinity
    m[4, 4] = .leastNonzeroMagnitude
    m[2, 2] = -0.0
    let order = m.elements.indices.filter { m.elements[$0] > 0 }.sorted {
      (m.elements[$1], $0) < (m.elements[$0], $1)
    }
    var expected = Matrix(rows: 150, columns: 31)
    for index in order.prefix(count) { expected.elements[index] = m.elements[index] }
    #expect(SparseRows(largest: count, of: m, pool: pool) == SparseRows(expected))
  }

  @Test(arguments: [0, 1, 4, 16, 31, 40], [true, false])
  func largestOfEveryRow(_ count: Int, _ ties: Bool) {
    var m = ties ? Self.coarse(150, 31, seed: 4) : gaussianMatrix(150, 31, seed: 4)
    // Rows of very different size, and rows without anything to take.
    for row in 0..<150 where row % 7 == 0 { m.setRow(row, m.row(row).map { $0 * (row % 14 == 0 ? 1e4 : 1e-4) }) }
    m.setRow(20, m.row(20).map { -abs($0) })
    m.setRow(21, Array(repeating: .nan, count: 31))
    m.setRow(22, Array(repeating: 0.5, count: 31))
    var expected = Matrix(rows: 150, columns: 31)
    for row in 0..<150 {
      let values = m.row(row)
      let order = values.indices.filter { values[$0] > 0 }.sorted { (values[$1], $0) < (values[$0], $1) }
      for column in order.prefix(count) { expected[row, column] = values[column] }
    }
    #expect(SparseRows(largestPerRow: count, of: m, pool: pool) == SparseRows(expected))
  }
}
