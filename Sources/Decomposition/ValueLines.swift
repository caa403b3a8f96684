internal import SparseAutoencoders

/// The lines in the coefficient that active features take their values from: the magnitude's for a gated SAE, else the
/// pre-activation's.
struct ValueLines: Sendable {
  let slopes: [Float]
  /// The values' pre-activations for the zero vector.
  let intercepts: [Float]

  init(slopes: [Float], intercepts: [Float]) { (self.slopes, self.intercepts) = (slopes, intercepts) }

  init(_ encoding: Encoding, row: Int, convention: SparseAutoencoder.InputConvention) {
    slopes = encoding.magnitudeSlopes(row) ?? encoding.slopes(row)
    intercepts = encoding.magnitudeIntercepts(convention) ?? encoding.intercepts(convention)
  }

  /// The mean over the code's features of |pre(0)| / (|pre(0)| + |a w . v|): how much of a feature's activation the
  /// bias speaks for. Nil for the empty code.
  func biasShare(of code: SignedCode, amplitude: Float) -> Double? {
    guard code.count > 0 else { return nil }
    var sum = 0.0
    for index in code.indices {
      let bias = abs(Double(intercepts[Int(index)]))
      let own = abs(Double(amplitude) * Double(slopes[Int(index)]))
      sum += bias == 0 ? 0 : bias / (bias + own)
    }
    return sum / Double(code.count)
  }
}
