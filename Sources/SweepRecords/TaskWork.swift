internal import Foundation

/// The version of the arithmetic: raised by whatever changes the bits of a result (protocol.md). Part of every task's
/// key.
package let numericsVersion = 2

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
