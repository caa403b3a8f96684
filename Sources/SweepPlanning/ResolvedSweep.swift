internal import Foundation
package import SweepRecords

/// A sweep with every name looked up: files by digest, patterns expanded, layers counted. Its digest is the sweep's identity,
/// and `SweepPlan` makes the same tasks of it anywhere.
package struct ResolvedSweep: Codable, Sendable, Equatable {
  /// The model and what the cost of running it depends on.
  package struct Model: Codable, Sendable, Equatable {
    package var reference: ModelReference
    package var locator: String
    package var layers: Int
    /// d_model.
    package var dimension: Int
    package var vocabulary: Int
    /// Weights of all blocks, without the embedding.
    package var blockParameters: Int
    package var contextLength: Int
  }

  package enum Activations: Codable, Sendable, Equatable {
    case text(Digest, tokens: Int, context: Int)
    case sample(tokens: Int, length: Int)
  }

  package struct Behaviour: Codable, Sendable, Equatable {
    package var name: String
    /// The contrast set to extract from; nil when `vector` is given.
    package var contrast: Digest?
    package var vector: Digest?
    package var pairs: Int
    package var questions: Digest?
    package var questionCount: Int
    package var read: ReadPosition
    /// Estimated tokens of a pair and of a question: where slices are cut depends on them, results don't.
    package var pairTokens: TokenEstimate
    package var questionTokens: TokenEstimate
  }

  /// About how many tokens a prompt and one of its answers have.
  package struct TokenEstimate: Codable, Sendable, Equatable {
    package var prompt: Int
    package var answer: Int
  }

  package struct SAE: Codable, Sendable, Equatable {
    package enum Source: Codable, Sendable, Equatable {
      case file(FileReference)
      case train(TrainingPlan)
    }
    package var source: Source
    package var layer: Int
    package var width: Int
    package var name: String
  }

  package struct Controls: Codable, Sendable, Equatable {
    package var zeroVector: Bool
    package var random: Int
    package var shuffled: Bool
    package var untrainedDictionary: Bool
    package var pairDifferenceError: Bool
  }

  package struct SideEffects: Codable, Sendable, Equatable {
    package var text: Digest
    package var tokens: Int
    package var context: Int
  }

  package var name: String
  package var seed: UInt64
  package var numericsVersion: Int
  package var model: Model
  package var activations: Activations
  package var behaviours: [Behaviour]
  package var layers: [Int]
  package var saes: [SAE]
  package var methods: [String]
  package var sparsities: [Sparsity]
  package var settings: SteeringSettings
  package var steeredSparsities: [Sparsity]
  package var norms: [SteeringVariant.Norm]
  package var controls: Controls
  package var sideEffects: SideEffects?
  package var keepQuestions: Bool

  /// The canonical JSON: keys sorted, no white space.
  package func canonicalJSON() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }

  /// Reads what `canonicalJSON` wrote.
  package init(canonicalJSON text: String) throws {
    self = try JSONDecoder().decode(ResolvedSweep.self, from: Data(text.utf8))
  }
}

extension ResolvedSweep {
  init(specification: SweepSpecification, model: Model, activations: Activations, layers: [Int]) {
    name = specification.name
    seed = specification.seed
    numericsVersion = SweepRecords.numericsVersion
    self.model = model
    self.activations = activations
    behaviours = []
    self.layers = layers
    saes = []
    methods = specification.methods
    sparsities = specification.sparsities
    let steer = specification.steer
    settings = SteeringSettings(
      coefficients: steer.coefficients, unit: steer.unit, positions: steer.positions, score: steer.score)
    steeredSparsities = steer.sparsities
    norms = steer.norms
    controls = Controls(
      zeroVector: steer.controls.zeroVector, random: steer.controls.random, shuffled: steer.controls.shuffled,
      untrainedDictionary: steer.controls.untrainedDictionary,
      pairDifferenceError: steer.controls.pairDifferenceError)
    keepQuestions = specification.keepQuestions
  }
}
