package import Diagnostics
package import Kernels

/// A finished training: the SAE, in the units of the activations, and how it does on the held-out tokens.
package struct TrainedSAE: Sendable {
  package var autoencoder: SparseAutoencoder
  package var heldOut: SAEStatistics
  /// The threshold of all features where the SAE has one.
  package var threshold: Float?
}

extension SAETraining {
  /// The SAE of a state: scale and input bias folded in, so that b_dec is kept on the input and codes are in the units of the
  /// activations.
  ///
  /// f(s x) / s is the code of x (top-k and one threshold for all are homogeneous), so W stays as it is and biases and threshold
  /// are divided by s; then b_enc takes -W_enc^T b_dec. A BatchTopK training becomes jumprelu with the one threshold at which the
  /// held-out tokens have k active features on average.
  package func finish(
    _ state: TrainingState, metadata: SparseAutoencoder.Metadata, pool: ThreadPool
  ) throws(InputError) -> TrainedSAE {
    try require(state)
    let parameters = state.parameters
    let decoderBias = parameters.decoderBias.map { $0 / scale }
    let inner = multiply(
      Matrix(rows: 1, columns: decoderBias.count, elements: decoderBias), transposed: parameters.encoder, pool: pool)
    let encoderBias = zip(parameters.encoderBias, inner.elements).map { $0 / scale - $1 }
    var activations = heldOut
    Kernels.scale(&activations, by: 1 / scale, pool: pool)
    func autoencoder(
      _ architecture: SparseAutoencoder.Architecture, _ thresholds: [Float]?
    ) throws(InputError) -> SparseAutoencoder {
      try SparseAutoencoder(
        architecture: architecture, convention: .kept, metadata: metadata, encoder: parameters.encoder.transposed(),
        decoder: parameters.decoder, encoderBias: encoderBias, decoderBias: decoderBias, thresholds: thresholds)
    }
    switch settings.kind {
    case .topK:
      let made = try autoencoder(.topK(settings.sparsity, rescalesByDecoderNorm: false), nil)
      return TrainedSAE(autoencoder: made, heldOut: made.statistics(on: activations, pool: pool), threshold: nil)
    case .batchTopK:
      let codes = try autoencoder(.standard, nil).encode(activations, pool: pool)
      let threshold = commonThreshold(of: codes, l0: Double(settings.sparsity))
      let made = try autoencoder(.jumpReLU, Array(repeating: threshold, count: settings.width))
      return TrainedSAE(autoencoder: made, heldOut: made.statistics(on: activations, pool: pool), threshold: threshold)
    }
  }
}

/// The threshold above which `l0` entries a row are left on average; 0 where there are not that many.
func commonThreshold(of codes: SparseRows, l0: Double) -> Float {
  let values = codes.values.sorted(by: >)
  let wanted = Int((l0 * Double(codes.rows)).rounded())
  guard wanted < values.count else { return 0 }
  guard wanted > 0 else { return values.first ?? 0 }
  // Active is what is strictly above: halfway between the last to be kept and the first to be dropped.
  let middle = values[wanted - 1] / 2 + values[wanted] / 2
  return middle < values[wanted - 1] ? middle : values[wanted]
}
