internal import SparseAutoencoders

extension WholeCode {
  /// A code that counts unit-norm decoder rows (pursuits), decoded without what an SAE's own output goes through.
  static func ofUnitRows(_ code: SignedCode, norms: [Float]) -> WholeCode {
    WholeCode(
      code: code,
      decoded: zip(code.indices, code.values).map { index, value in
        let norm = norms[Int(index)]
        return norm > 0 ? value / norm : 0
      }, scale: .init(factor: 1, shift: 0))
  }

  /// `projection`: d_j . v / ||d_j|| of all features.
  static func projection(_ projections: [Float], norms: [Float]) -> WholeCode {
    ofUnitRows(SignedCode(dense: projections), norms: norms)
  }
}
