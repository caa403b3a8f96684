internal import SparseAutoencoders

extension EncodedVectors {
  /// `encode-anchored`: (f(mu + a v) - f(mu)) / a; with a normalisation of each sample the difference of what the two
  /// decode to.
  func encodeAnchored(
    _ row: Int, convention: SparseAutoencoder.InputConvention, anchor: Anchor
  ) -> WholeCode {
    let a = anchor.amplitude
    let point = code(anchoredRow(row), coefficient: 1, convention: convention)
    let mean = code(meanRow, coefficient: 1, convention: convention)
    let code = (point - mean).scaled(by: 1 / a)
    guard autoencoder.normalizesEachSample else { return WholeCode(code: code, scale: autoencoder.unitScale) }
    let pointScale = encoding.outputScale(anchoredRow(row), coefficient: 1)
    let meanScale = encoding.outputScale(meanRow, coefficient: 1)
    let difference = (point.scaled(by: pointScale.factor).dense, mean.scaled(by: meanScale.factor).dense)
    return WholeCode(
      code: code,
      decoded: code.indices.map { (difference.0[Int($0)] - difference.1[Int($0)]) / a },
      fixedBias: (pointScale.factor - meanScale.factor) / a,
      scale: .init(factor: 1, shift: (pointScale.shift - meanScale.shift) / a))
  }
}
