internal import Kernels
internal import SparseAutoencoders

/// The vectors of one call as the encoder sees them: one pass over W_enc gives the lines of all methods, conventions
/// and coefficients.
struct EncodedVectors: Sendable {
  let autoencoder: SparseAutoencoder
  let encoding: Encoding
  /// f(0) by convention.
  let zero: [SparseAutoencoder.InputConvention: ZeroCode]
  /// Rows of mu + a v in the encoding, one a vector, then that of mu; empty without anchor.
  private let anchoredRows: Range<Int>
  let anchor: Anchor?

  /// What `encode-anchored` needs: the mean activation and the amplitude.
  struct Anchor: Sendable {
    var mean: [Float]
    var amplitude: Float
  }

  init(_ vectors: [[Float]], anchor: Anchor?, of autoencoder: SparseAutoencoder, pool: ThreadPool) {
    var rows = vectors
    if let anchor {
      rows += vectors.map { vector in
        var point = anchor.mean
        add(anchor.amplitude, vector, to: &point)
        return point
      }
      rows.append(anchor.mean)
    }
    self.autoencoder = autoencoder
    self.anchor = anchor
    anchoredRows = vectors.count..<rows.count
    let encoding = autoencoder.encoding(of: Matrix(rows, columns: autoencoder.dimension), pool: pool)
    self.encoding = encoding
    zero = Dictionary(
      uniqueKeysWithValues: SparseAutoencoder.InputConvention.allCases.map {
        ($0, ZeroCode(SignedCode(dense: encoding.zeroCode($0))))
      })
  }

  func zeroCode(_ convention: SparseAutoencoder.InputConvention) -> ZeroCode {
    zero[convention] ?? ZeroCode(SignedCode(dense: encoding.zeroCode(convention)))
  }

  /// The code of a vector times a coefficient.
  func code(_ row: Int, coefficient: Float, convention: SparseAutoencoder.InputConvention) -> SignedCode {
    SignedCode(dense: encoding.code(row, coefficient: coefficient, convention: convention))
  }

  /// The row of mu + a v.
  func anchoredRow(_ row: Int) -> Int { anchoredRows.lowerBound + row }

  /// The row of mu.
  var meanRow: Int { anchoredRows.upperBound - 1 }
}
