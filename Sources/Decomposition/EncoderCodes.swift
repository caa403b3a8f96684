internal import Kernels
internal import SparseAutoencoders

/// Makes those codes of a plan that come from the encoder's lines.
struct EncoderCodes: Sendable {
  private let encoded: EncodedVectors
  private let request: DecompositionRequest

  init(_ encoded: EncodedVectors, _ request: DecompositionRequest) {
    self.encoded = encoded
    self.request = request
  }

  /// Nil for methods that need more than the lines, or something that the request does not have.
  func whole(_ planned: PlannedCode) -> WholeCode? {
    let (row, convention) = (planned.row, planned.convention)
    switch planned.method {
    case .encode:
      return encoded.encode(row, coefficient: Float(planned.coefficient), convention: convention)
    case .encodeScaled:
      return request.activations?.medianNorm.map {
        encoded.encodeScaled(row, norm: norm(request.subjects[row].vector), medianNorm: $0, convention: convention)
      }
    case .encodeMinusZero: return encoded.encodeMinusZero(row, convention: convention)
    case .encodeAnchored:
      return encoded.anchor.map { encoded.encodeAnchored(row, convention: convention, anchor: $0) }
    case .pairDifference, .projection, .gradientPursuit, .gradientPursuitSigned, .matchingPursuit,
      .matchingPursuitSigned:
      return nil
    }
  }
}
