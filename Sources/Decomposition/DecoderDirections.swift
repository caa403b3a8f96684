internal import Kernels
internal import SparseAutoencoders

/// The directions of the decoder's rows, for products that are taken once: without a copy of the decoder.
struct DecoderDirections: Sendable {
  private let autoencoder: SparseAutoencoder
  /// ||d_j|| as stored, `[F]`; 0 for a dead row.
  private let stored: [Float]
  /// The norm of what one unit of each feature's code adds to a reconstruction, `[F]`.
  let norms: [Float]

  init(_ autoencoder: SparseAutoencoder, pool: ThreadPool) {
    self.autoencoder = autoencoder
    stored = autoencoder.decoderNorms(pool: pool)
    if case .topK(_, rescalesByDecoderNorm: true) = autoencoder.architecture {
      norms = stored.map { $0 > 0 ? 1 : 0 }
    } else {
      norms = stored
    }
  }

  /// d_j . x / ||d_j|| for vectors `[n, d]`: `[n, F]`; 0 for a dead row. Reads the decoder once.
  func projections(of vectors: Matrix, pool: ThreadPool) -> Matrix {
    divided(autoencoder.decoderProjections(vectors, pool: pool))
  }

  /// d_j . x / ||d_j|| from d_j . x, `[n, F]`; 0 for a dead row.
  func divided(_ products: Matrix) -> Matrix {
    var products = products
    for row in 0..<products.rows {
      products.setRow(row, zip(products.row(row), stored).map { $1 > 0 ? $0 / $1 : 0 })
    }
    return products
  }

  /// Cosines of the named features' decoder rows with all, `[features.count, F]`.
  func cosines(of features: [Int], pool: ThreadPool) -> Matrix {
    var rows = autoencoder.decoderRows(features)
    normaliseRows(&rows, pool: pool)
    return projections(of: rows, pool: pool)
  }
}
