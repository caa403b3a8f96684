/// What one pass over the rows of a matrix B `[rows, d]` gives.
package struct RowPass: Sendable {
  /// x B^T, `[m, rows]`.
  package let products: Matrix
  /// The norms of B's rows, `[rows]`; nil where they were not asked for.
  package let norms: [Float]?
  /// S B, then the ladders' sums, `[n, d]`.
  package let sums: Matrix

  /// Reads B once: each block of its rows is used for everything while it is in the cache.
  ///
  /// The bits are those of `multiply(_:transposedRowMajor:)`, `rowNorms(_:)` and `multiply(_:rowMajor:)` with the same weights.
  /// Complexity: O(m rows d + entries d + blocks coefficients d).
  /// - Parameters:
  ///   - b: B, row-major in raw bytes of `type`, of any alignment; exactly `rows * d` elements.
  ///   - x: `[m, d]`; may have no rows.
  ///   - weights: of the rows; there may be none.
  ///   - wantsNorms: without them the pass computes less.
  package init(
    over b: RawSpan, type: ElementType, multiplying x: Matrix, adding weights: RowWeights, wantsNorms: Bool,
    pool: ThreadPool
  ) {
    let (rows, columns) = (weights.sparse.columns, x.columns)
    precondition(b.byteCount == rows * columns * type.bytes, "the bytes must be rows * columns elements")
    if !wantsNorms && x.rows > Product.rowsReadInStep {
      // So much to compute hides two reads.
      products = multiply(x, transposedRowMajor: b, type: type, rows: rows, pool: pool)
      sums = multiply(weights, rowMajor: b, type: type, columns: columns, pool: pool)
      norms = nil
      return
    }
    var norms = [Float](repeating: 0, count: wantsNorms ? rows : 0)
    var sums = Matrix(rows: weights.rows, columns: columns)
    let named = weights.named
    func read(_ c: UnsafeMutablePointer<Float>?) {
      norms.withUnsafeMutableBufferPointer { norms in
        sums.elements.withUnsafeMutableBufferPointer { sums in
          x.elements.withUnsafeBufferPointer { a in
            b.withUnsafeBytes { bytes in
              guard let base = bytes.baseAddress else {
                // B has no columns.
                c?.initialize(repeating: 0, count: x.rows * rows)
                return
              }
              // An address for what has no elements, which nobody follows.
              let nothing = UnsafeMutablePointer(mutating: base.assumingMemoryBound(to: Float.self))
              let reading = RowReading(
                m: x.rows, k: columns, n: rows,
                left: LeftFactor(a: a.baseAddress ?? UnsafePointer(nothing), rowStride: columns, stepStride: 1),
                type: type, base: base, rowBytes: columns * type.bytes, c: c ?? nothing, cStride: rows,
                norms: wantsNorms ? norms.baseAddress : nil)
              guard let sums = sums.baseAddress, !named.isEmpty else { return reading.run(pool) }
              RowPass.run(reading, weights, named, sums, pool)
            }
          }
        }
      }
    }
    if x.rows == 0 {
      read(nil)
      products = Matrix(rows: 0, columns: rows)
    } else {
      products = Matrix(rows: x.rows, columns: rows) { read($0) }
    }
    self.norms = wantsNorms ? norms : nil
    self.sums = sums
  }

  /// Bytes of a block that one thread's second-level cache keeps beside the sums.
  private static let blockBytes = 5 << 18

  /// Precondition: the sums are zeros, and some row is named.
  private static func run(
    _ reading: RowReading, _ weights: RowWeights, _ named: [Int32], _ sums: UnsafeMutablePointer<Float>,
    _ pool: ThreadPool
  ) {
    // As many rows as the caches have room for, and as hold a block's share of those that are named, or a ladder's blocks.
    let most = max(1, blockBytes / (16 * max(1, reading.rowBytes))) * pool.threads
    let panels =
      weights.ladders.isEmpty
      ? min(most, max(1, BlockWalk.size * reading.n / (16 * named.count))) : LadderRows.rowsPerBlock / 16
    let together = max(1, most / panels) * panels
    let walk = BlockWalk(weights, named: named, rowsPerGroup: 16 * together)
    let adding = SharedRowSums(walk: walk, weights, base: reading.base, type: reading.type, columns: reading.k)
    defer { adding.deallocate() }
    let packing = reading.packedLeft()
    defer { packing.deallocate() }
    for group in 0..<walk.groups.count - 1 {
      reading.read(group * together..<min((group + 1) * together, reading.panels), packing, pool)
      adding.add(walk.groups[group]..<walk.groups[group + 1], pool)
    }
    adding.finish(into: sums, pool)
  }
}
