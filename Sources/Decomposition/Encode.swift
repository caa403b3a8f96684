internal import SparseAutoencoders

extension EncodedVectors {
  /// `encode`: f(c v).
  func encode(_ row: Int, coefficient: Float, convention: SparseAutoencoder.InputConvention) -> WholeCode {
    let ladder = CoefficientLadder(encoding, row: row, convention: convention, of: autoencoder)
    let code = ladder.code(at: coefficient)
    return WholeCode(
      code: code, bias: 1, scale: encoding.outputScale(row, coefficient: coefficient),
      activations: .init(code: code, amplitude: encoding.amplitude(row, coefficient: coefficient)),
      rung: ladder.hasIntervals ? .init(ladder: ladder, coefficient: coefficient) : nil)
  }
}
