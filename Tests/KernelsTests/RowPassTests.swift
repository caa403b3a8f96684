import Testing

@testable import Kernels

/// Sparse rows with entries in half of their columns, or fewer; some rows have none.
private func sparse(_ rows: Int, _ columns: Int, density: Float, seed: UInt64) -> SparseRows {
  var dense = matrix(rows, columns, seed: seed)
  let kept = numbers(rows * columns, seed: seed + 1)
  for index in dense.elements.indices where abs(kept[index]) >= density || index / max(1, columns) == 2 {
    dense.elements[index] = 0
  }
  return SparseRows(dense)
}

/// One pass gives, bit for bit, what the functions give that read the rows for one purpose each.
@Test(arguments: [ElementType.float32, .bfloat16, .float16])
func onePassOverRowsGivesProductsNormsAndSums(type: ElementType) {
  let shapes = [
    (0, 40, 33, 3), (1, 256, 16, 0), (1, 17, 1, 1), (2, 513, 50, 70), (9, 300, 311, 5), (40, 271, 65, 1), (3, 0, 5, 2),
    (3, 5, 0, 2), (2, 1300, 700, 9), (2, 24, 5000, 9), (0, 9, 8, 0),
  ]
  for (m, d, rows, n) in shapes {
    let x = matrix(m, d, seed: 31)
    var b = matrix(rows, d, seed: 32)
    b.elements = representable(b.elements, type)
    if d > 200 { b.elements[d + 3] = .infinity }
    let bytes = unalignedBytes(b.elements, type)
    let raw = bytes.span.bytes.extracting(droppingFirst: 1)
    for density in [0.01, 0.9] as [Float] {
      let s = sparse(n, rows, density: density, seed: 33)
      let sums = multiply(s, rowMajor: raw, type: type, columns: d, pool: pools[0])
      for pool in pools {
        let wantsNorms = pool.threads < 5
        let pass = RowPass(over: raw, type: type, multiplying: x, adding: s, wantsNorms: wantsNorms, pool: pool)
        let name: Comment = "\(m) \(d) \(rows) \(n), density \(density), \(pool.threads) threads"
        #expect(pass.products == referenceProduct(x, transposed: b), name)
        #expect(pass.norms == (wantsNorms ? (0..<rows).map { norm(b.row($0)) } : nil), name)
        #expect(sameBits(pass.sums.elements, sums.elements), name)
      }
    }
  }
}
