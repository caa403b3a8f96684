internal import SparseAutoencoders

extension EncodedVectors {
  /// `encode`: f(c v).
  /// - Parameter ladder: the vector's.
  func encode(_ row: Int, coefficient: Float, on ladder: CoefficientLadder) -> WholeCode {
    let code = ladder.code(at: coefficient)
    return WholeCode(
      code: code, bias: 1, scale: encoding.outputScale(row, coefficient: coefficient),
      activations: .init(code: code, amplitude: encoding.amplitude(row, coefficient: coefficient)),
      rung: ladder.hasIntervals ? .init(ladder: ladder, coefficient: coefficient) : nil)
  }
}
