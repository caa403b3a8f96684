/// A vector that the model is steered with: the original, a control or a reconstruction.
package struct SteeringVariant: Codable, Hashable, Sendable {
  package enum Norm: String, Codable, Hashable, Sendable, CaseIterable {
    /// As it came out.
    case raw
    /// Rescaled to the original's norm.
    case matched
  }
  /// `original`, `zero-vector`, `random-0`, `shuffled-0`, `untrained-dictionary`, `reconstruction`,
  /// `pair-difference-error`.
  package var variant: String
  /// The SAE's name in rows; nil where no SAE is involved.
  package var sae: String?
  package var method: String?
  package var sparsity: Sparsity?
  /// Whether b_dec is part of the reconstruction: `with-bias`, `without-bias`; nil where there is no question.
  package var convention: String?
  package var norm: Norm
  /// The safetensors and its tensor that hold the direction.
  package var source: InputReference
  package var tensor: String

  package init(
    variant: String, sae: String?, method: String?, sparsity: Sparsity?, convention: String?, norm: Norm,
    source: InputReference, tensor: String
  ) {
    self.variant = variant
    self.sae = sae
    self.method = method
    self.sparsity = sparsity
    self.convention = convention
    self.norm = norm
    self.source = source
    self.tensor = tensor
  }
}

/// Which positions are steered (methods.md, section 5).
package enum SteeredPositions: String, Codable, Hashable, Sendable, CaseIterable { case scored, last, all }

/// How an answer's tokens make its score.
package enum AnswerScore: String, Codable, Hashable, Sendable, CaseIterable {
  case perToken = "per-token"
  case sum
}

/// What a coefficient of 1 is.
package enum CoefficientUnit: String, Codable, Hashable, Sendable, CaseIterable {
  case vector
  case activationNorm = "activation-norm"
}

/// How the model is steered and scored; shared by evaluate, side-effects and score.
package struct SteeringSettings: Codable, Hashable, Sendable {
  package var coefficients: [Double]
  package var unit: CoefficientUnit
  package var positions: SteeredPositions
  package var score: AnswerScore

  package init(coefficients: [Double], unit: CoefficientUnit, positions: SteeredPositions, score: AnswerScore) {
    self.coefficients = coefficients
    self.unit = unit
    self.positions = positions
    self.score = score
  }
}

/// One layer and behaviour, questions `from..<to`, a slice of variants: every coefficient. Output `propensity`:
/// `propensity`, `probability`, `accuracy` [variants, questions, coefficients]. Rows: `evaluation_question` when kept.
package struct EvaluateWork: Codable, Hashable, Sendable {
  package var model: ModelReference
  package var behaviour: String
  package var layer: Int
  package var questions: InputReference
  package var from: Int
  package var to: Int
  package var variants: [SteeringVariant]
  /// The original, whose norm `matched` refers to.
  package var original: VectorReference
  package var settings: SteeringSettings
  /// `statistics`, needed when coefficients are in units of the activation norm.
  package var statistics: InputReference?
  package var keepQuestions: Bool

  package init(
    model: ModelReference, behaviour: String, layer: Int, questions: InputReference, from: Int, to: Int,
    variants: [SteeringVariant], original: VectorReference, settings: SteeringSettings, statistics: InputReference?,
    keepQuestions: Bool
  ) {
    self.model = model
    self.behaviour = behaviour
    self.layer = layer
    self.questions = questions
    self.from = from
    self.to = to
    self.variants = variants
    self.original = original
    self.settings = settings
    self.statistics = statistics
    self.keepQuestions = keepQuestions
  }
}

/// One layer, tokens `from..<to` of neutral text, a slice of variants: every coefficient. Output `side-effects`:
/// `cross-entropy` [variants, coefficients] (sums over tokens) and `tokens` [1].
package struct SideEffectsWork: Codable, Hashable, Sendable {
  package var model: ModelReference
  package var behaviour: String
  package var layer: Int
  package var text: InputReference
  package var from: Int
  package var to: Int
  package var context: Int
  package var variants: [SteeringVariant]
  package var original: VectorReference
  package var settings: SteeringSettings
  package var statistics: InputReference?

  package init(
    model: ModelReference, behaviour: String, layer: Int, text: InputReference, from: Int, to: Int, context: Int,
    variants: [SteeringVariant], original: VectorReference, settings: SteeringSettings, statistics: InputReference?
  ) {
    self.model = model
    self.behaviour = behaviour
    self.layer = layer
    self.text = text
    self.from = from
    self.to = to
    self.context = context
    self.variants = variants
    self.original = original
    self.settings = settings
    self.statistics = statistics
  }
}

/// Reduces the evaluation slices of some variants of one layer and behaviour, in index order. Rows: `evaluation`, `steerability_score`.
package struct ScoreWork: Codable, Hashable, Sendable {
  /// One slice of an evaluation: whose `propensity` it is and what it covers.
  package struct Slice: Codable, Hashable, Sendable {
    package var source: InputReference
    package var from: Int
    package var to: Int
    /// The slice's variants in the order of its tensors: those of the score from this one on ...
    package var firstVariant: Int
    /// ... so many.
    package var variantCount: Int

    package init(source: InputReference, from: Int, to: Int, firstVariant: Int, variantCount: Int) {
      self.source = source
      self.from = from
      self.to = to
      self.firstVariant = firstVariant
      self.variantCount = variantCount
    }
  }
  package var behaviour: String
  package var layer: Int
  package var questions: InputReference
  package var variants: [SteeringVariant]
  package var slices: [Slice]
  /// `side-effects` slices: `from`, `to` are tokens.
  package var sideEffects: [Slice]
  package var settings: SteeringSettings

  package init(
    behaviour: String, layer: Int, questions: InputReference, variants: [SteeringVariant], slices: [Slice],
    sideEffects: [Slice], settings: SteeringSettings
  ) {
    self.behaviour = behaviour
    self.layer = layer
    self.questions = questions
    self.variants = variants
    self.slices = slices
    self.sideEffects = sideEffects
    self.settings = settings
  }
}
