package import SweepRecords

/// A sweep file as it is written (interface.md, "The sweep file"): names and patterns, nothing looked up yet.
package struct SweepSpecification: Sendable, Equatable {
  package struct Model: Sendable, Equatable {
    package var path: String
    /// A template's name or file; nil means the model's own.
    package var prompt: String?
    /// `as-stored`, `float32` or `bfloat16`.
    package var weights: String
    var line: Int
  }

  /// Text whose activations train SAEs and give the layer's statistics.
  package enum Activations: Sendable, Equatable {
    case text(path: String, tokens: Int, line: Int)
    case sample(tokens: Int)
  }

  package struct Behaviour: Sendable, Equatable {
    package var name: String
    /// The contrast set to extract from, or a finished vector.
    package var source: Source
    package var evaluate: String?
    /// At most so many pairs, from the front.
    package var limit: Int?
    /// At most so many questions, from the front.
    package var questions: Int?
    package var read: ReadPosition?
    var line: Int

    package enum Source: Sendable, Equatable {
      case extract(String)
      case vector(String)
    }
  }

  package struct SAE: Sendable, Equatable {
    package enum Source: Sendable, Equatable {
      case path(String, widths: [String], l0: [String]?)
      case train(Training)
    }
    package var source: Source
    var line: Int
  }

  package struct Training: Sendable, Equatable {
    package var widths: [Int]
    package var sparsity: Int
    package var steps: Int
    package var batch: Int
    package var learningRate: Double
    package var architecture: TrainingPlan.Architecture
  }

  package struct Steer: Sendable, Equatable {
    package var coefficients: [Double]
    package var unit: CoefficientUnit
    package var positions: SteeredPositions
    package var score: AnswerScore
    package var norms: [SteeringVariant.Norm]
    package var controls: Controls
    /// Which of `sparsity` are steered with; for pursuits `all` is their largest k.
    package var sparsities: [Sparsity]
  }

  package struct Controls: Sendable, Equatable {
    package var zeroVector = false
    package var random = 0
    package var shuffled = false
    package var untrainedDictionary = false
    package var pairDifferenceError = false
  }

  package struct SideEffects: Sendable, Equatable {
    package var text: String
    package var tokens: Int
    var line: Int
  }

  package var name: String
  package var model: Model
  package var activations: Activations
  package var behaviours: [Behaviour]
  /// Layers as written: `12,15`, `0-25`, `all`.
  package var layers: String
  var layersLine: Int
  package var saes: [SAE]
  package var methods: [String]
  package var sparsities: [Sparsity]
  package var steer: Steer
  package var sideEffects: SideEffects?
  package var keepQuestions: Bool
  package var priority: SweepPriority
  package var seed: UInt64

  /// The decomposition methods that a sweep may name.
  package static let methods = SweepKeys.Method.allCases.map(\.rawValue)
}

extension SweepSpecification {
  /// The specification of nothing but the training of one SAE, as `sae train` asks for.
  package init(
    training: Training, model: String, prompt: String?, activations: Activations, layer: Int, seed: UInt64
  ) {
    name = "sae train"
    self.model = Model(path: model, prompt: prompt, weights: "as-stored", line: 0)
    self.activations = activations
    behaviours = []
    layers = "\(layer)"
    layersLine = 0
    saes = [SAE(source: .train(training), line: 0)]
    methods = []
    sparsities = []
    steer = Steer(
      coefficients: [0, 1], unit: .vector, positions: .scored, score: .perToken, norms: [], controls: Controls(),
      sparsities: [])
    sideEffects = nil
    keepQuestions = false
    priority = .normal
    self.seed = seed
  }
}

extension SweepSpecification.Training {
  package init(
    widths: [Int], sparsity: Int, steps: Int, batch: Int, learningRate: Double,
    plan architecture: TrainingPlan.Architecture
  ) {
    self.widths = widths
    self.sparsity = sparsity
    self.steps = steps
    self.batch = batch
    self.learningRate = learningRate
    self.architecture = architecture
  }
}
