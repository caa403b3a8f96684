package import Diagnostics
package import Kernels

extension SparseAutoencoder {
  /// The control that has learned nothing (methods.md, section 5): random unit decoder rows, the encoder their transpose, b_dec
  /// the mean activation, also taken from the input, and one threshold at which the activations have `l0` active features.
  ///
  /// - Parameters:
  ///   - l0: that of the SAE it stands beside.
  ///   - activations: `[tokens, d]`; those above six median norms are left out.
  ///   - metadata: the trained SAE's, whose place it takes.
  package static func untrained(
    width: Int, l0: Double, seed: UInt64, activations: Matrix, metadata: Metadata, pool: ThreadPool
  ) throws(InputError) -> SparseAutoencoder {
    guard width >= 1, width <= 1 << 22, activations.rows >= 1, activations.columns >= 1 else {
      throw InputError(
        "untrained dictionary", expected: "a width of 1 to \(1 << 22) and activations",
        found: "width \(width) and \(activations.rows) activations")
    }
    guard l0 > 0, l0 <= Double(width) / 2 else {
      throw InputError(
        "untrained dictionary: L0", expected: "above 0, at most half of the width \(width)", found: "\(l0)",
        remedy: "half of all random directions have a positive product with anything")
    }
    let norms = rowNorms(activations, pool: pool)
    let calibration = activations.gathering(rows: SAETraining.withoutOutliers(norms))
    let decoder = randomUnitRows(width, activations.columns, seed: seed, pool: pool)
    let mean = columnMeans(calibration).map(Float.init)
    let inner = multiply(Matrix(rows: 1, columns: mean.count, elements: mean), transposed: decoder, pool: pool)
    func autoencoder(_ thresholds: [Float]?) throws(InputError) -> SparseAutoencoder {
      try SparseAutoencoder(
        architecture: thresholds == nil ? .standard : .jumpReLU, convention: .kept, metadata: metadata,
        encoder: decoder.transposed(), decoder: decoder, encoderBias: inner.elements.map { -$0 }, decoderBias: mean,
        thresholds: thresholds)
    }
    let threshold = commonThreshold(of: try autoencoder(nil), on: calibration, l0: l0, pool: pool)
    return try autoencoder(Array(repeating: threshold, count: width))
  }
}
