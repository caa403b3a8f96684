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
