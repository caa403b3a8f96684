/// What one pass over the rows of a matrix B `[rows, d]` gives.
package struct RowPass: Sendable {
  /// x B^T, `[m, rows]`.
  package let products: Matrix
  /// The norms of B's rows, `[rows]`; nil where they were not asked for.
  package let norms: [Float]?
  /// S B, `[n, d]`.
  package let sums: Matrix

  /// Reads B once: each block of its rows is used for everything while it is in the cache.
  ///
  /// The bits are those of `multiply(_:transposedRowMajor:)`, `rowNorms(_:)` and `multiply(_:rowMajor:)` with sparse rows.
  /// - Parameters:
  ///   - b: B, row-major in raw bytes of `type`, of any alignment; exactly `s.columns * x.columns` elements.
  ///   - x: `[m, d]`; may have no rows.
  ///   - s: `[n, rows]`; may have no rows.
  ///   - wantsNorms: without them the pass computes less.
  package init(
    over b: RawSpan, type: ElementType, multiplying x: Matrix, adding s: SparseRows, wantsNorms: Bool, pool: ThreadPool
  ) {
    let (rows, columns) = (s.columns, x.columns)
    precondition(b.byteCount == rows * columns * type.bytes, "the bytes must be rows * columns elements")
    var norms = [Float](repeating: 0, count: rows)
    var products = Matrix(rows: x.rows, columns: rows)
    var sums = Matrix(rows: s.rows, columns: columns)
    norms.withUnsafeMutableBufferPointer { norms in
      products.elements.withUnsafeMutableBufferPointer { products in
        sums.elements.withUnsafeMutableBufferPointer { sums in
          x.elements.withUnsafeBufferPointer { a in
            b.withUnsafeBytes { bytes in
              // What is empty may have no address.
              guard let base = bytes.baseAddress, let norms = norms.baseAddress else { return }
              let left = LeftFactor(a: a.baseAddress ?? UnsafePointer(norms), rowStride: columns, stepStride: 1)
              let reading = RowReading(
                m: x.rows, k: columns, n: rows, left: left, type: type, base: base, rowBytes: columns * type.bytes,
                c: products.baseAddress ?? norms, cStride: rows, norms: wantsNorms ? norms : nil)
              guard let sums = sums.baseAddress, !s.indices.isEmpty else { return reading.run(pool) }
              RowPass.run(reading, s, sums, pool)
            }
          }
        }
      }
    }
    (self.norms, self.products, self.sums) = (wantsNorms ? norms : nil, products, sums)
  }

  /// Bytes of a block that one thread's second-level cache keeps beside the sums.
  private static let blockBytes = 5 << 18

  /// Precondition: the sums are zeros, and S has entries.
  private static func run(
    _ reading: RowReading, _ s: SparseRows, _ sums: UnsafeMutablePointer<Float>, _ pool: ThreadPool
  ) {
    s.values.withUnsafeBufferPointer { values in
      guard let values = values.baseAddress else { return }
      let named = rising(s.indices, below: s.columns)
      // As many rows as the caches have room for, and as hold a block's share of those that are named.
      let most = max(1, blockBytes / (16 * max(1, reading.rowBytes))) * pool.threads
      let panels = min(most, max(1, BlockWalk.size * s.columns / (16 * named.count)))
      let adding = SharedRowSums(
        walk: BlockWalk(s, named: named, rowsPerBlock: 16 * panels), values: values, base: reading.base,
        type: reading.type, columns: reading.k)
      defer { adding.deallocate() }
      let packing = reading.packedLeft()
      defer { packing.deallocate() }
      let together = max(1, most / panels)
      for first in stride(from: 0, to: adding.walk.blocks, by: together) {
        let blocks = first..<min(first + together, adding.walk.blocks)
        reading.read(blocks.lowerBound * panels..<min(blocks.upperBound * panels, reading.panels), packing, pool)
        adding.add(blocks, pool)
      }
      adding.finish(into: sums, pool)
    }
  }
}
