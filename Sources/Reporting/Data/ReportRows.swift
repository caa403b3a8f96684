/// A steered direction, as result rows name it.
package struct Variant: Hashable, Sendable {
  /// `original`, `reconstruction`, `zero-vector`, `untrained-dictionary`, `random-0` ...
  package var name: String
  package var sae: String?
  package var method: String?
  /// A number, or `all`.
  package var sparsity: String?
  /// `with-bias` or `without-bias`.
  package var convention: String?
  /// `raw` or `matched`.
  package var norm: String

  package init(
    _ name: String, sae: String? = nil, method: String? = nil, sparsity: String? = nil, convention: String? = nil,
    norm: String = "raw"
  ) {
    self.name = name
    self.sae = sae
    self.method = method
    self.sparsity = sparsity
    self.convention = convention
    self.norm = norm
  }
}

/// A behaviour at a layer: what a verdict is about.
struct CaseKey: Hashable, Sendable {
  var behaviour: String
  var layer: Int
}

/// A variant at a coefficient.
struct CurvePoint: Sendable {
  var variant: Variant
  var coefficient: Double
  /// Mean over questions, in nats; nil where it is undefined.
  var propensity: Double?
  /// Standard error of `propensity`.
  var error: Double?
  var questions: Int?
  /// Mean change of the cross-entropy on neutral text, nats a token; nil where it was not measured.
  var crossEntropyChange: Double?
}

/// How strongly a variant steers.
struct Slope: Sendable {
  var variant: Variant
  /// Nats a unit of the coefficient, mean over questions.
  var slope: Double?
  /// Its standard error; nil with one question.
  var error: Double?
  var questions: Int?
  var antiSteerableShare: Double?
  var spearman: Double?
  var slopeLetterA: Double?
  var slopeLetterB: Double?
  /// The slope / the original's; nil where the original's is not different from 0.
  var share: Double?
}

/// A vector taken apart at coefficient 1.
struct DecompositionRow: Sendable {
  var sae: String
  var width: Int?
  var method: String
  var sparsity: String
  var convention: String
  var inputConvention: String
  /// Whether the input convention is what the SAE's own file says.
  var isConfigured: Bool
  var vectorNorm: Double?
  var normPercentile: Double?
  var l0: Int?
  var cosine: Double?
  var relativeError: Double?
  var normRatio: Double?
  var negativeShare: Double?
  /// Share of the active features that are active for the zero vector too.
  var zeroOverlap: Double?
}

/// The bias speaking: what `encode` shares with the zero vector's code (view `bias_dominance`).
struct BiasDominance: Sendable {
  var sae: String
  var normPercentile: Double?
  var l0: Int?
  var zeroL0: Int?
  var overlap: Double?
  var jaccard: Double?
  var massShare: Double?
  var cosine: Double?
  var biasShare: Double?
  var top10Overlap: Double?
}

/// What an encoder can't say (view `negative_projections`).
struct NegativeProjections: Sendable {
  var sae: String
  var negativeTop100: Int?
  var negativeProjectionTop100: Int?
  var randomNegativeTop100: Double?
  var negativeEnergy: Double?
  var energyMethod: String?
  var energySparsity: String?
  var spuriousFeatures: Int?
  var worstFeature: Int?
  var worstPartner: Int?
  var worstCosine: Double?
}

/// A feature of a decomposition.
struct FeatureRow: Sendable {
  var sae: String
  var method: String
  var sparsity: String
  var convention: String
  var rank: Int
  var feature: Int
  var coefficient: Double?
  var projection: Double?
  var isInZeroVector: Bool?
  var promotedTokens: [String]
}

/// A steering vector or control.
struct VectorRow: Sendable {
  var name: String
  var norm: Double?
  var pairs: Int?
  var cosineWithOriginal: Double?
}

/// A sparse autoencoder as measured.
struct SAERow: Sendable {
  var name: String
  var layer: Int
  var width: Int?
  var architecture: String?
  var source: String?
  var digest: String?
  var l0: Double?
  var explainedVariance: Double?
  var deadShare: Double?
  var tokens: Int?
  var steps: Int?

  /// Whether it is the control that never learned anything.
  var isUntrained: Bool { source == "untrained" || name.hasPrefix(untrainedPrefix) }
}

/// What untrained dictionaries' names begin with.
let untrainedPrefix = "untrained-"

/// Activation norms of a layer.
struct ActivationNorms: Sendable {
  var layer: Int
  var tokens: Int?
  var excluded: Int?
  var minimum: Double?
  var percentile1: Double?
  var percentile5: Double?
  var median: Double?
  var percentile95: Double?
  var percentile99: Double?
  var maximum: Double?
  var histogram: NormHistogram?
}

/// Counts between edges; one edge more than counts, strictly rising.
struct NormHistogram: Sendable, Equatable {
  var edges: [Double]
  var counts: [Double]
}

/// Tasks of one kind, and what the clock said.
struct StageTimes: Sendable {
  var kind: String
  var tasks: Int
  /// Seconds of successful attempts, summed over workers.
  var seconds: Double
  var longest: Double
  /// Of the first start and the last end, seconds since 1970.
  var from: Double
  var to: Double
}

/// A program that computed some of the sweep.
struct ComputingProgram: Sendable {
  var version: String
  var numericsVersion: Int?
  var cpu: String
  var threads: Int?
  var tasks: Int
}
