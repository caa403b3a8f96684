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
      let threshold = commonThreshold(
        of: try autoencoder(.standard, nil), on: activations, l0: Double(settings.sparsity), pool: pool)
      let made = try autoencoder(.jumpReLU, Array(repeating: threshold, count: settings.width))
      return TrainedSAE(autoencoder: made, heldOut: made.statistics(on: activations, pool: pool), threshold: threshold)
    }
  }
}

/// The one threshold above which activations `[tokens, d]` have `l0` active features on average in an SAE without any; 0 where
/// they have fewer anyway.
func commonThreshold(
  of autoencoder: SparseAutoencoder, on activations: Matrix, l0: Double, pool: ThreadPool
) -> Float {
  let wanted = Int((l0 * Double(activations.rows)).rounded())
  // About half of all features are positive for every token: only the largest are kept on the way.
  var largest: [Float] = []
  for start in stride(from: 0, to: activations.rows, by: 1024) {
    let block = activations.rows(start..<min(start + 1024, activations.rows))
    largest.append(contentsOf: autoencoder.encode(block, pool: pool).values)
    guard largest.count > 2 * (wanted + 1) else { continue }
    largest.sort(by: >)
    largest.removeLast(largest.count - (wanted + 1))
  }
  largest.sort(by: >)
  guard wanted < largest.count else { return 0 }
  guard wanted > 0 else { return largest[0] }
  // Active is what is strictly above: halfway between the last to be kept and the first to be dropped.
  let middle = largest[wanted - 1] / 2 + largest[wanted] / 2
  return middle < largest[wanted - 1] ? middle : largest[wanted]
}
