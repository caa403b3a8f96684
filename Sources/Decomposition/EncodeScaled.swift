internal import SparseAutoencoders

extension EncodedVectors {
  /// `encode-scaled`: f(s v) / s with s = median norm / norm, decoded with b_dec / s. The zero vector is not scaled:
  /// f(0).
  func encodeScaled(
    _ row: Int, norm: Float, medianNorm: Float, convention: SparseAutoencoder.InputConvention
  ) -> WholeCode {
    let ratio = medianNorm / norm
    let s = norm > 0 && ratio.isFinite && ratio > 0 ? ratio : 1
    let activations = code(row, coefficient: s, convention: convention)
    var scale = encoding.outputScale(row, coefficient: s)
    scale.shift /= s
    return WholeCode(
      code: SignedCode(
        width: activations.width, indices: activations.indices, values: activations.values.map { $0 / s }),
      bias: 1 / s, scale: scale,
      activations: .init(code: activations, amplitude: encoding.amplitude(row, coefficient: s)))
  }
}
