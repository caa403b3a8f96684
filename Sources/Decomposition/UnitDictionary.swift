internal import Kernels
internal import SparseAutoencoders

/// The decoder's rows scaled to unit norm: D of the pursuits, which multiply by it once a step. A dead row stays zero
/// and so is never chosen.
///
/// Products have the same bits whether the rows are kept packed or, where that would take too much memory, made again
/// each time.
struct UnitDictionary: Sendable {
  private let autoencoder: SparseAutoencoder
  private let packed: PackedMatrix?
  /// Rows that are made at once where they are not kept.
  private let rowsAtOnce: Int

  /// - Parameter memory: the most bytes that keeping the rows may take.
  init(_ autoencoder: SparseAutoencoder, memory: Int = 1 << 30, pool: ThreadPool) {
    self.autoencoder = autoencoder
    let (width, dimension) = (autoencoder.width, autoencoder.dimension)
    rowsAtOnce = max(16, (1 << 22) / dimension)
    guard width <= memory / 4 / dimension else {
      packed = nil
      return
    }
    packed = autoencoder.packedUnitRows(pool: pool)
  }

  var width: Int { autoencoder.width }
  var dimension: Int { autoencoder.dimension }

  /// D x for vectors `[n, d]`, each element one chain over the dimension.
  /// - Parameter result: `[n, F]`; what it held does not matter, and it is replaced where its shape is another.
  func project(_ vectors: Matrix, into result: inout Matrix, pool: ThreadPool) {
    if result.rows != vectors.rows { result = Matrix(rows: vectors.rows, columns: width) }
    if let packed { return multiply(vectors, packed, into: &result, pool: pool) }
    for start in stride(from: 0, to: width, by: rowsAtOnce) {
      let range = start..<min(start + rowsAtOnce, width)
      var rows = autoencoder.decoderRows(range)
      normaliseRows(&rows, pool: pool)
      let block = multiply(vectors, transposed: rows, pool: pool)
      for row in 0..<vectors.rows {
        let place = row * width + range.lowerBound..<row * width + range.upperBound
        result.elements.replaceSubrange(place, with: block.row(row))
      }
    }
  }

  /// One row, `[d]`.
  func row(_ index: Int, pool: ThreadPool) -> [Float] {
    var row = autoencoder.decoderRows([index])
    normaliseRows(&row, pool: pool)
    return row.elements
  }
}
