internal import SparseAutoencoders

extension EncodedVectors {
  /// `encode-minus-zero`: f(v) - f(0).
  func encodeMinusZero(_ row: Int, convention: SparseAutoencoder.InputConvention) -> WholeCode {
    WholeCode(
      code: code(row, coefficient: 1, convention: convention) - zeroCode(convention).code,
      scale: encoding.outputScale(row, coefficient: 1).withoutShift)
  }
}

/// Feature by feature.
func - (minuend: SignedCode, subtrahend: SignedCode) -> SignedCode {
  var difference = minuend.dense
  for (index, value) in zip(subtrahend.indices, subtrahend.values) { difference[Int(index)] -= value }
  return SignedCode(dense: difference)
}
