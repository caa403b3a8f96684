internal import SweepRecords

/// The keys of a sweep file and the words they take: what the reader accepts and `schemas/sweep.schema.json` describes.
package enum SweepKeys {
  static let root = [
    "name", "model", "activations", "behaviours", "layers", "saes", "decompose", "steer", "side_effects", "keep",
    "priority", "seed",
  ]
  static let model = ["path", "prompt", "dtype"]
  static let activations = ["text", "tokens", "sample"]
  static let behaviour = ["name", "extract", "vector", "evaluate", "limit", "questions", "read"]
  static let sae = ["path", "widths", "l0", "train"]
  static let train = ["widths", "sparsity", "steps", "batch", "learning_rate", "architecture"]
  static let decompose = ["methods", "sparsity"]
  static let steer = ["coefficients", "unit", "positions", "score", "norms", "controls", "sparsity"]
  static let sideEffects = ["text", "tokens"]

  /// The keys of every mapping, by the name that the schema gives it; the file itself under "".
  package static let sections: [String: [String]] = [
    "": root, "model": model, "activations": activations, "behaviour": behaviour, "sae": sae, "train": train,
    "decompose": decompose, "steer": steer, "side_effects": sideEffects,
  ]

  enum Keep: String, CaseIterable { case summary, questions }

  enum Weights: String, CaseIterable {
    case asStored = "as-stored"
    case float32, bfloat16
  }

  /// The decomposition methods that a sweep may name (methods.md, section 3).
  enum Method: String, CaseIterable {
    case encode
    case encodeScaled = "encode-scaled"
    case encodeMinusZero = "encode-minus-zero"
    case encodeAnchored = "encode-anchored"
    case pairDifference = "pair-difference"
    case gradientPursuit = "gradient-pursuit"
    case gradientPursuitSigned = "gradient-pursuit-signed"
    case matchingPursuit = "matching-pursuit"
    case matchingPursuitSigned = "matching-pursuit-signed"
  }

  enum Control: String, CaseIterable {
    case zeroVector = "zero-vector"
    case random, shuffled
    case untrainedDictionary = "untrained-dictionary"
    case pairDifferenceError = "pair-difference-error"
  }

  /// The words that a key takes, by section and key.
  package static let words: [String: [String]] = [
    "keep": words(Keep.self), "priority": words(SweepPriority.self), "model.dtype": words(Weights.self),
    "behaviour.read": words(ReadPosition.self), "train.architecture": words(TrainingPlan.Architecture.self),
    "decompose.methods": words(Method.self), "steer.unit": words(CoefficientUnit.self),
    "steer.positions": words(SteeredPositions.self), "steer.score": words(AnswerScore.self),
    "steer.norms": words(SteeringVariant.Norm.self), "steer.controls": words(Control.self),
  ]

  private static func words<Word: RawRepresentable & CaseIterable>(_ type: Word.Type) -> [String]
  where Word.RawValue == String { type.allCases.map(\.rawValue) }
}
