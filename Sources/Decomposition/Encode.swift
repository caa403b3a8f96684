internal import SparseAutoencoders

extension EncodedVectors {
  /// `encode`: f(c v), as a code that is already there (the ladder's).
  func encode(_ row: Int, coefficient: Float, code: SignedCode) -> WholeCode {
    WholeCode(
      code: code, bias: 1, scale: encoding.outputScale(row, coefficient: coefficient),
      activations: .init(code: code, amplitude: encoding.amplitude(row, coefficient: coefficient)))
  }

  /// `encode`: f(c v).
  func encode(_ row: Int, coefficient: Float, convention: SparseAutoencoder.InputConvention) -> WholeCode {
    encode(row, coefficient: coefficient, code: code(row, coefficient: coefficient, convention: convention))
  }
}
