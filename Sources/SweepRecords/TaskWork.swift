internal import Foundation

/// The version of the arithmetic: raised by whatever changes the bits of a result (protocol.md). Part of every task's
/// key.
package let numericsVersion = 1

/// Where an input of a task comes from.
package enum InputReference: Codable, Hashable, Sendable {
  /// A large file, by digest; its locator is in `TaskDefinition.files`.
  case file(Digest)
  /// A small input stored with the sweep, by content.
  case artifact(Digest)
  /// What another task made, under a name.
  case output(task: Digest, name: String)
}

/// What a task computes, complete and pure: two equal values give the same bits anywhere.
package enum TaskWork: Codable, Hashable, Sendable {
  case harvest(HarvestWork)
  case statistics(StatisticsWork)
  case extract(ExtractWork)
  case vectors(VectorsWork)
  case trainSAE(TrainSAEWork)
  case decompose(DecomposeWork)
  case evaluate(EvaluateWork)
  case sideEffects(SideEffectsWork)
  case score(ScoreWork)

  /// The kind under which the task is counted.
  package var kind: TaskKind {
    switch self {
    case .harvest: .harvest
    case .statistics: .statistics
    case .extract: .extract
    case .vectors: .vectors
    case .trainSAE: .trainSAE
    case .decompose: .decompose
    case .evaluate: .evaluate
    case .sideEffects: .sideEffects
    case .score: .score
    }
  }

  /// The canonical JSON: keys sorted, no white space.
  package func canonicalJSON() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }

  /// Reads what `canonicalJSON` wrote.
  package init(canonicalJSON text: String) throws {
    self = try JSONDecoder().decode(TaskWork.self, from: Data(text.utf8))
  }

  /// The task's identity: the digest of kind, inputs, parameters and numerics version.
  package static func key(ofCanonicalJSON json: String) -> Digest {
    Digest(of: "steerscope task \(numericsVersion)\n\(json)")
  }
}

/// The model that a task runs, and how prompts are put to it.
package struct ModelReference: Codable, Hashable, Sendable {
  /// The digest over all files of the model (weights, configuration, tokenizer), each in `TaskDefinition.files`.
  package var digest: Digest
  /// `as-stored`, `float32` or `bfloat16`.
  package var weights: String
  /// The prompt template as text (`raw`, `chatml` ... or the content of a file).
  package var template: String

  package init(digest: Digest, weights: String, template: String) {
    self.digest = digest
    self.weights = weights
    self.template = template
  }
}

/// A slice of text, read or sampled, run through the model. Output `activations`: `layer.L` [tokens, d], first tokens
/// left out. Of text that the model is yet to write, output `tokens` instead: `tokens` [total], `lengths` and `skipped`
/// [sequences], where `skipped` tokens of a sequence were given rather than written; `layers` is empty then, so that
/// the text does not depend on which layers are looked at.
package struct HarvestWork: Codable, Hashable, Sendable {
  /// Where the text comes from.
  package enum Source: Codable, Hashable, Sendable {
    /// Tokens `from..<to` of the text artifact's token stream, cut into contexts of `context` tokens.
    case text(InputReference, from: Int, to: Int, context: Int)
    /// Sequences `from..<to` of those that the model writes itself: `length` tokens each at `temperature`, even ones
    /// from the end-of-text token, odd ones as conversations; sequence i draws from stream i of the seed.
    case sample(seed: UInt64, from: Int, to: Int, length: Int, temperature: Double)
    /// The `tokens` of a harvest that sampled them.
    case sampled(InputReference)
  }
  package var model: ModelReference
  package var layers: [Int]
  package var source: Source

  package init(model: ModelReference, layers: [Int], source: Source) {
    self.model = model
    self.layers = layers
    self.source = source
  }
}

/// Reduces harvest slices, in order. Output `statistics`: `mean.L` [d], `norms.L` [tokens] sorted rising, outliers
/// left out.
/// Rows: `activation_statistics`.
package struct StatisticsWork: Codable, Hashable, Sendable {
  package var layers: [Int]
  /// `activations` of the harvest tasks, in slice order.
  package var slices: [InputReference]

  package init(layers: [Int], slices: [InputReference]) {
    self.layers = layers
    self.slices = slices
  }
}

/// Where in a completion an extraction reads the residual stream (methods.md, section 1).
package enum ReadPosition: String, Codable, Hashable, Sendable, CaseIterable {
  case firstDifference = "first-difference"
  case answerMean = "answer-mean"
}

/// A slice of contrast pairs. Output `activations`: `positive.L`, `negative.L` [pairs, d].
package struct ExtractWork: Codable, Hashable, Sendable {
  package var model: ModelReference
  package var layers: [Int]
  /// The contrast set's bytes.
  package var contrast: InputReference
  package var from: Int
  package var to: Int
  package var read: ReadPosition

  package init(model: ModelReference, layers: [Int], contrast: InputReference, from: Int, to: Int, read: ReadPosition) {
    self.model = model
    self.layers = layers
    self.contrast = contrast
    self.from = from
    self.to = to
    self.read = read
  }
}

/// Reduces extraction slices to steering vectors. Output `vectors`: `original.L` and, of extracted ones, `pca.L` [d].
/// With `controls`, makes these of the originals instead. Output `controls`: `shuffled-0.L`, `random-I.L` [d], of the
/// original's norm. Rows: `steering_vector`.
package struct VectorsWork: Codable, Hashable, Sendable {
  /// Vectors that should not steer, to compare with; a task of their own, so that another control changes no vector.
  package struct Controls: Codable, Hashable, Sendable {
    package var random: Int
    package var shuffled: Bool
    package var seed: UInt64

    package init(random: Int, shuffled: Bool, seed: UInt64) {
      self.random = random
      self.shuffled = shuffled
      self.seed = seed
    }
  }
  package var behaviour: String
  package var layers: [Int]
  /// `activations` of the extract tasks, in slice order; empty when `given` is set.
  package var slices: [InputReference]
  /// A vector file's bytes, for a behaviour whose vector is given.
  package var given: InputReference?
  package var controls: Controls?

  package init(
    behaviour: String, layers: [Int], slices: [InputReference], given: InputReference?, controls: Controls? = nil
  ) {
    self.behaviour = behaviour
    self.layers = layers
    self.slices = slices
    self.given = given
    self.controls = controls
  }
}

/// How an SAE is trained (methods.md and issue: TopK or BatchTopK with Adam).
package struct TrainingPlan: Codable, Hashable, Sendable {
  package enum Architecture: String, Codable, Hashable, Sendable, CaseIterable {
    case topK = "topk"
    case batchTopK = "batchtopk"
  }
  package var architecture: Architecture
  package var width: Int
  /// k: active features per token.
  package var sparsity: Int
  package var steps: Int
  /// Tokens per step.
  package var batch: Int
  package var learningRate: Double
  package var seed: UInt64

  package init(
    architecture: Architecture, width: Int, sparsity: Int, steps: Int, batch: Int, learningRate: Double, seed: UInt64
  ) {
    self.architecture = architecture
    self.width = width
    self.sparsity = sparsity
    self.steps = steps
    self.batch = batch
    self.learningRate = learningRate
    self.seed = seed
  }
}

/// Steps `from..<to` of one SAE's training. Output `checkpoint` (before the last step) or `sae` (the finished SAE as a
/// SAELens
/// safetensors file with its configuration in the metadata). Rows: `sae` when finished.
package struct TrainSAEWork: Codable, Hashable, Sendable {
  package var layer: Int
  package var plan: TrainingPlan
  /// `activations` of the harvest tasks, in slice order.
  package var slices: [InputReference]
  package var from: Int
  package var to: Int
  /// The `checkpoint` to go on from; nil at step 0.
  package var checkpoint: InputReference?

  package init(
    layer: Int, plan: TrainingPlan, slices: [InputReference], from: Int, to: Int, checkpoint: InputReference?
  ) {
    self.layer = layer
    self.plan = plan
    self.slices = slices
    self.from = from
    self.to = to
    self.checkpoint = checkpoint
  }
}

/// Which SAE a decomposition goes through.
package struct SAEReference: Codable, Hashable, Sendable {
  package enum Source: Codable, Hashable, Sendable {
    /// A file or directory on disk (digest over all its files).
    case file(Digest)
    /// The `sae` output of a train-sae task.
    case trained(InputReference)
  }
  package var source: Source
  package var layer: Int
  /// The number of features, as far as the plan knows it.
  package var width: Int
  /// A name in rows: `16k/l0-83`, `trained-2048`, `untrained-2048`.
  package var name: String
  /// Not nil: the untrained control of the same shape (random unit decoder rows, tied encoder, threshold calibrated to
  /// the
  /// trained one's L0), drawn from this seed.
  package var untrainedSeed: UInt64?

  package init(source: Source, layer: Int, width: Int, name: String, untrainedSeed: UInt64? = nil) {
    self.source = source
    self.layer = layer
    self.width = width
    self.name = name
    self.untrainedSeed = untrainedSeed
  }
}

/// A steering vector among the outputs of a vectors task.
package struct VectorReference: Codable, Hashable, Sendable {
  package var behaviour: String
  /// The safetensors that holds it.
  package var source: InputReference
  /// Its tensor: `original.14`.
  package var tensor: String
  /// `activations` of the behaviour's extract tasks, for `pair-difference`; empty when the vector was given.
  package var pairs: [InputReference]

  package init(behaviour: String, source: InputReference, tensor: String, pairs: [InputReference]) {
    self.behaviour = behaviour
    self.source = source
    self.tensor = tensor
    self.pairs = pairs
  }
}

/// A sparsity to which codes are cut.
package enum Sparsity: Codable, Hashable, Sendable, CustomStringConvertible {
  case atoms(Int)
  /// The whole code.
  case all
  package var description: String {
    switch self {
    case .atoms(let k): "\(k)"
    case .all: "all"
    }
  }
}

/// One SAE, a slice of vectors: every method and sparsity. Output `reconstructions`: one [d] tensor a variant, named
/// `BEHAVIOUR/METHOD/SPARSITY/CONVENTION`, and `BEHAVIOUR/pair-difference-error` with that method. Rows:
/// `decomposition`, `decomposition_feature`. Without vectors: the SAE by itself, tensor `zero-vector` (its
/// reconstruction of the zero vector) and the row of `sae` where no training task leaves one.
package struct DecomposeWork: Codable, Hashable, Sendable {
  package var sae: SAEReference
  /// The model whose unembedding names the features by the tokens that their decoder rows promote.
  package var model: ModelReference
  package var vectors: [VectorReference]
  package var methods: [String]
  package var sparsities: [Sparsity]
  /// `statistics` of the layer.
  package var statistics: InputReference
  /// `activations` of a harvest slice, where they are needed: without vectors the SAE's own quality is measured on them, and
  /// the untrained control is calibrated.
  package var sample: InputReference?
  /// Coefficients of the ladder; rows carry the code at each (1 is always there).
  package var coefficients: [Double]
  package var seed: UInt64

  package init(
    sae: SAEReference, model: ModelReference, vectors: [VectorReference], methods: [String], sparsities: [Sparsity],
    statistics: InputReference, sample: InputReference?, coefficients: [Double], seed: UInt64
  ) {
    self.sae = sae
    self.model = model
    self.vectors = vectors
    self.methods = methods
    self.sparsities = sparsities
    self.statistics = statistics
    self.sample = sample
    self.coefficients = coefficients
    self.seed = seed
  }
}

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
