package import Diagnostics

/// How a vector is turned into a code (methods.md, section 3); the raw values are the names in plans, rows and flags.
package enum DecompositionMethod: String, Sendable, CaseIterable {
  /// f(v): what the encoder says.
  case encode
  /// f(s v) / s, where s brings the vector to the median activation norm.
  case encodeScaled = "encode-scaled"
  /// f(v) - f(0).
  case encodeMinusZero = "encode-minus-zero"
  /// (f(mu + a v) - f(mu)) / a, around the mean activation.
  case encodeAnchored = "encode-anchored"
  /// mean f(h+) - mean f(h-), over the pairs that the vector was made of.
  case pairDifference = "pair-difference"
  case gradientPursuit = "gradient-pursuit"
  case gradientPursuitSigned = "gradient-pursuit-signed"
  case matchingPursuit = "matching-pursuit"
  case matchingPursuitSigned = "matching-pursuit-signed"
  /// d_j . v / ||d_j||, of all features.
  case projection

  /// The rule of the pursuit, where it is one.
  var pursuitRule: PursuitRule? {
    switch self {
    case .gradientPursuit: PursuitRule(isSigned: false, step: .gradient)
    case .gradientPursuitSigned: PursuitRule(isSigned: true, step: .gradient)
    case .matchingPursuit: PursuitRule(isSigned: false, step: .leastSquares)
    case .matchingPursuitSigned: PursuitRule(isSigned: true, step: .leastSquares)
    case .encode, .encodeScaled, .encodeMinusZero, .encodeAnchored, .pairDifference, .projection: nil
    }
  }

  package var isPursuit: Bool { pursuitRule != nil }

  /// Whether its codes can have negative coefficients.
  package var isSigned: Bool {
    switch self {
    case .encode, .encodeScaled: false
    case .encodeMinusZero, .encodeAnchored, .pairDifference, .projection: true
    case .gradientPursuit, .gradientPursuitSigned, .matchingPursuit, .matchingPursuitSigned:
      pursuitRule?.isSigned ?? false
    }
  }

  /// Whether the code comes out of the encoder at the vector, so that the convention of b_dec on the input matters.
  var dependsOnInputConvention: Bool {
    switch self {
    case .encode, .encodeScaled, .encodeMinusZero, .encodeAnchored: true
    case .pairDifference, .gradientPursuit, .gradientPursuitSigned, .matchingPursuit, .matchingPursuitSigned,
      .projection:
      false
    }
  }

  /// The method of this name.
  /// - Throws: `InputError` that lists the names.
  package static func named(_ name: String) throws(InputError) -> DecompositionMethod {
    if let method = DecompositionMethod(rawValue: name) { return method }
    throw InputError(
      "decomposition method", expected: "one of \(allCases.map(\.rawValue).joined(separator: ", "))",
      found: "\"\(name)\"")
  }
}
