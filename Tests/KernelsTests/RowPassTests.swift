import Testing

@testable import Kernels

/// One pass gives, bit for bit, the products, norms and sums of the definitions.
@Test(arguments: [ElementType.float32, .bfloat16, .float16])
func onePassOverRowsGivesProductsNormsAndSums(type: ElementType) {
  let shapes = [
    (0, 40, 33, 3), (1, 256, 16, 0), (1, 17, 1, 1), (2, 513, 50, 30), (9, 300, 311, 5), (40, 271, 65, 1), (3, 0, 5, 2),
    (3, 5, 0, 2), (2, 1300, 500, 3), (2, 24, 1500, 5), (0, 9, 8, 0),
  ]
  for (m, d, rows, n) in shapes {
    for density in [0.01, 0.9] as [Float] {
      expectPass(m, d, rows, randomCodes(n, rows, density: density, seed: 33), type, "density \(density)")
    }
  }
}

/// Groups of rows in which nothing is named, and more named ones in a group than a block has.
@Test func onePassWhereWhatIsNamedLiesTogether() {
  let (d, rows) = (1300, 500)
  var dense = matrix(3, rows, seed: 35)
  for index in dense.elements.indices where !(200..<380).contains(index % rows) { dense.elements[index] = 0 }
  expectPass(3, d, rows, SparseRows(dense), .float32, "together")
}

private func expectPass(
  _ m: Int, _ d: Int, _ rows: Int, _ s: SparseRows, _ type: ElementType, _ case: String
) {
  let x = matrix(m, d, seed: 31)
  var b = matrix(rows, d, seed: 32)
  b.elements = representable(b.elements, type)
  if d > 200 { b.elements[d + 3] = .infinity }
  let bytes = unalignedBytes(b.elements, type)
  let raw = bytes.span.bytes.extracting(droppingFirst: 1)
  let sums = referenceSums(s, b)
  for pool in pools {
    for wantsNorms in [true, false] {
      let pass = RowPass(
        over: raw, type: type, multiplying: x, adding: RowWeights(sparse: s), wantsNorms: wantsNorms, pool: pool)
      let name: Comment = "\(m) \(d) \(rows) \(s.rows), \(`case`), \(pool.threads) threads"
      #expect(pass.products == referenceProduct(x, transposed: b), name)
      #expect(pass.norms == (wantsNorms ? (0..<rows).map { norm(b.row($0)) } : nil), name)
      #expect(sameBits(pass.sums.elements, sums), name)
    }
  }
}
