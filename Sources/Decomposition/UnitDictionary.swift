internal import Kernels
internal import SparseAutoencoders

/// The decoder's rows scaled to unit norm: D of the pursuits. A dead row stays zero and so is never chosen.
///
/// Products have the same bits whether the rows are kept packed or made again for every product.
struct UnitDictionary: Sendable {
  let autoencoder: SparseAutoencoder
  private let packed: PackedMatrix?
  /// Rows that are made at once where they are not kept.
  private let rowsAtOnce: Int

  /// - Parameter memory: the most bytes that keeping the rows may take; 0 for a dictionary that is used once.
  init(_ autoencoder: SparseAutoencoder, memory: Int = 1 << 30, pool: ThreadPool) {
    self.autoencoder = autoencoder
    let (width, dimension) = (autoencoder.width, autoencoder.dimension)
    rowsAtOnce = max(16, (1 << 22) / dimension)
    guard width <= memory / 4 / dimension else {
      packed = nil
      return
    }
    packed = PackedMatrix(outputs: width, inputs: dimension, storage: .float32, pool: pool) { rows, target in
      let values = UnitDictionary.unit(autoencoder.decoderRows(rows)).elements
      for index in values.indices { target[index] = values[index] }
    }
  }

  var width: Int { autoencoder.width }
  var dimension: Int { autoencoder.dimension }

  /// D x for vectors `[n, d]`: `[n, F]`, each element one chain over the dimension.
  func projections(of vectors: Matrix, pool: ThreadPool) -> Matrix {
    if let packed { return multiply(vectors, packed, pool: pool) }
    var result = Matrix(rows: vectors.rows, columns: width)
    for start in stride(from: 0, to: width, by: rowsAtOnce) {
      let range = start..<min(start + rowsAtOnce, width)
      let block = multiply(vectors, transposed: rows(range), pool: pool)
      for row in 0..<vectors.rows {
        result.elements.replaceSubrange(
          row * width + range.lowerBound..<row * width + range.upperBound, with: block.row(row))
      }
    }
    return result
  }

  /// The norms of the rows before they were scaled, `[F]`; a dead row has 0.
  func norms(pool: ThreadPool) -> [Float] {
    let stored = autoencoder.decoderNorms(pool: pool)
    guard case .topK(_, rescalesByDecoderNorm: true) = autoencoder.architecture else { return stored }
    return stored.map { $0 > 0 ? 1 : 0 }
  }

  /// The named rows, `[indices.count, d]`.
  func rows(_ indices: [Int]) -> Matrix { UnitDictionary.unit(autoencoder.decoderRows(indices)) }

  private func rows(_ range: Range<Int>) -> Matrix { UnitDictionary.unit(autoencoder.decoderRows(range)) }

  private static func unit(_ rows: Matrix) -> Matrix {
    var unit: [Float] = []
    unit.reserveCapacity(rows.elements.count)
    for index in 0..<rows.rows {
      let row = rows.row(index)
      let length = norm(row)
      unit.append(contentsOf: length > 0 ? row.map { $0 / length } : row.map { _ in 0 })
    }
    return Matrix(rows: rows.rows, columns: rows.columns, elements: unit)
  }
}
