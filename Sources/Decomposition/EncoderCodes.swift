internal import Kernels
internal import SparseAutoencoders

/// Makes those codes of a plan that come from the encoder's lines.
struct EncoderCodes {
  private let encoded: EncodedVectors
  private let request: DecompositionRequest
  /// The last one that was climbed: all its rungs follow each other.
  private var ladder: (row: Int, convention: SparseAutoencoder.InputConvention, ladder: CoefficientLadder)?

  init(_ encoded: EncodedVectors, _ request: DecompositionRequest) {
    self.encoded = encoded
    self.request = request
  }

  /// Nil for methods that need more than the lines, or something that the request does not have.
  mutating func whole(_ planned: PlannedCode) -> WholeCode? {
    let (row, convention) = (planned.row, planned.convention)
    switch planned.method {
    case .encode:
      return encoded.encode(row, coefficient: Float(planned.coefficient), on: ladder(row, convention))
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

  private mutating func ladder(_ row: Int, _ convention: SparseAutoencoder.InputConvention) -> CoefficientLadder {
    if let ladder, ladder.row == row, ladder.convention == convention { return ladder.ladder }
    let made = CoefficientLadder(encoded.encoding, row: row, convention: convention, of: encoded.autoencoder)
    ladder = (row, convention, made)
    return made
  }
}
