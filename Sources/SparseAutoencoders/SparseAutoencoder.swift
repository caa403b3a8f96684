package import Diagnostics
package import Kernels
internal import Synchronization

/// A dictionary of directions and the encoder that reads activations through it (methods.md, section 2).
///
/// Large weights stay mapped in their file in the stored type. Every architecture and normalisation comes down to one line a
/// feature before the non-linearity, `pre(c) = fma(a(c), slope, intercept)`; see `Encoding`.
package final class SparseAutoencoder: Sendable {
  /// What makes a code of pre-activations.
  package enum Architecture: Sendable, Hashable {
    /// ReLU.
    case standard
    /// What lies strictly above a threshold of its own, then ReLU.
    case jumpReLU
    /// The k largest, then ReLU; ties go to the lower index.
    case topK(Int, rescalesByDecoderNorm: Bool)
    /// A gate that opens strictly above 0, times a magnitude with its own scale and bias.
    case gated

    /// The name that SAELens and result rows use.
    package var name: String {
      switch self {
      case .standard: "standard"
      case .jumpReLU: "jumprelu"
      case .topK: "topk"
      case .gated: "gated"
      }
    }
  }

  /// What happens to an activation before the encoder, and is undone after the decoder (formats.md, section 2).
  package enum Normalization: Sendable, Hashable {
    case none
    /// One factor for all samples: sqrt(d) / mean norm.
    case expectedAverage(factor: Float)
    /// Every sample to norm sqrt(d).
    case constantNorm
    /// Every sample centred and divided by its standard deviation (n - 1) + 1e-5.
    case layerNorm
  }

  /// Whether b_dec is subtracted from the encoder's input.
  package enum InputConvention: String, Sendable, CaseIterable {
    case subtracted = "b_dec-subtracted"
    case kept = "b_dec-kept"
  }

  /// What the file or its path says about where the SAE belongs; nothing of it changes a number.
  package struct Metadata: Sendable, Hashable {
    /// The path or artifact it was read from, or how it was made.
    package var source: String
    package var modelName: String?
    package var hookName: String?
    package var layer: Int?
    /// The mean number of active features that the path claims.
    package var claimedL0: Double?
    /// The number of features that the path claims.
    package var claimedWidth: Int?
    package var contextSize: Int?
    package var prependsBOS: Bool?

    package init(
      source: String, modelName: String? = nil, hookName: String? = nil, layer: Int? = nil, claimedL0: Double? = nil,
      claimedWidth: Int? = nil, contextSize: Int? = nil, prependsBOS: Bool? = nil
    ) {
      self.source = source
      self.modelName = modelName
      self.hookName = hookName
      self.layer = layer
      self.claimedL0 = claimedL0
      self.claimedWidth = claimedWidth
      self.contextSize = contextSize
      self.prependsBOS = prependsBOS
    }
  }

  /// The vectors beside the two matrices.
  struct Biases: Sendable, Equatable {
    /// b_enc, or b_gate of a gated SAE, `[F]`.
    var encoder: [Float]
    /// b_dec, `[d]`.
    var decoder: [Float]
    /// Thresholds of a jumprelu SAE, `[F]`.
    var thresholds: [Float]?
    /// r_mag and b_mag of a gated SAE, `[F]`.
    var magnitude: Magnitude?

    struct Magnitude: Sendable, Equatable {
      /// The logarithm of the scale; the scale multiplies the gate's encoder direction.
      var logScale: [Float]
      var bias: [Float]
    }
  }

  package let architecture: Architecture
  package let normalization: Normalization
  /// What the SAE's own file says about b_dec on the input.
  package let convention: InputConvention
  package let metadata: Metadata
  let encoder: StoredMatrix
  let decoder: StoredMatrix
  let biases: Biases
  private let decoderNormCache = Mutex<[Float]?>(nil)
  private let biasProjectionCache = Mutex<[Float]?>(nil)

  /// F, the number of features.
  package var width: Int { decoder.rows }
  /// d, the dimension of the activations.
  package var dimension: Int { decoder.columns }
  /// b_dec as stored, `[d]`.
  package var decoderBias: [Float] { biases.decoder }
  /// b_enc (b_gate of a gated SAE) as stored, `[F]`.
  package var encoderBias: [Float] { biases.encoder }
  /// Thresholds of a jumprelu SAE as stored, `[F]`; a feature is active above max(threshold, 0).
  package var thresholds: [Float]? { biases.thresholds }
  /// Whether the normalisation differs from sample to sample, so that a code depends on the coefficient through its sign only.
  package var normalizesEachSample: Bool { normalization == .constantNorm || normalization == .layerNorm }

  /// - Parameters:
  ///   - encoder: W_enc `[d, F]`.
  ///   - decoder: W_dec `[F, d]`.
  /// - Throws: `InputError` for shapes that do not agree, non-finite numbers and settings without sense.
  init(
    architecture: Architecture, normalization: Normalization, convention: InputConvention, metadata: Metadata,
    encoder: StoredMatrix, decoder: StoredMatrix, biases: Biases, checkingWeights: Bool
  ) throws(InputError) {
    self.architecture = architecture
    self.normalization = normalization
    self.convention = convention
    self.metadata = metadata
    self.encoder = encoder
    self.decoder = decoder
    self.biases = biases
    try checkShapes()
    try checkNumbers(ofWeights: checkingWeights)
  }

  /// An SAE in memory: a trained one, or a control.
  ///
  /// - Parameters:
  ///   - encoder: W_enc `[d, F]`.
  ///   - decoder: W_dec `[F, d]`.
  ///   - encoderBias: b_enc `[F]`.
  ///   - decoderBias: b_dec `[d]`.
  ///   - thresholds: `[F]`, for jumprelu and only there.
  /// - Throws: `InputError` for shapes that do not agree and non-finite numbers. Gated SAEs come from files only.
  package convenience init(
    architecture: Architecture, normalization: Normalization = .none, convention: InputConvention, metadata: Metadata,
    encoder: Matrix, decoder: Matrix, encoderBias: [Float], decoderBias: [Float], thresholds: [Float]? = nil
  ) throws(InputError) {
    try self.init(
      architecture: architecture, normalization: normalization, convention: convention, metadata: metadata,
      encoder: StoredMatrix(encoder), decoder: StoredMatrix(decoder),
      biases: Biases(encoder: encoderBias, decoder: decoderBias, thresholds: thresholds, magnitude: nil),
      checkingWeights: true)
  }

  /// Refuses a vector or activation of another dimension, calling it `subject`.
  package func require(dimension found: Int, of subject: String) throws(InputError) {
    guard found != dimension else { return }
    throw InputError(
      subject, expected: "dimension \(dimension), that of the SAE \(metadata.source)", found: "\(found)",
      remedy: "vector, SAE and model must belong together")
  }

  private func checkShapes() throws(InputError) {
    let name = metadata.source
    guard width > 0, dimension > 0, width <= Int(Int32.max) else {
      throw InputError("\(name): W_dec", expected: "shape [d_sae, d_in]", found: "[\(width), \(dimension)]")
    }
    guard encoder.rows == dimension, encoder.columns == width else {
      throw InputError(
        "\(name): W_enc", expected: "shape [d_in, d_sae] = [\(dimension), \(width)], as W_dec has it",
        found: "[\(encoder.rows), \(encoder.columns)]")
    }
    try check(biases.encoder, architecture == .gated ? "b_gate" : "b_enc", count: width)
    try check(biases.decoder, "b_dec", count: dimension)
    if let thresholds = biases.thresholds { try check(thresholds, "threshold", count: width) }
    if let magnitude = biases.magnitude {
      try check(magnitude.logScale, "r_mag", count: width)
      try check(magnitude.bias, "b_mag", count: width)
    }
    precondition((architecture == .jumpReLU) == (biases.thresholds != nil), "thresholds belong to jumprelu")
    precondition((architecture == .gated) == (biases.magnitude != nil), "a magnitude belongs to gated")
  }

  private func check(_ values: [Float], _ key: String, count: Int) throws(InputError) {
    guard values.count == count else {
      throw InputError("\(metadata.source): \(key)", expected: "\(count) numbers", found: "\(values.count)")
    }
    if let index = firstNonFinite(values.span) {
      throw InputError(
        "\(metadata.source): \(key)", expected: "finite numbers", found: "\(values[index]) at [\(index)]")
    }
  }

  private func checkNumbers(ofWeights: Bool) throws(InputError) {
    if case .topK(let k, _) = architecture, k < 1 || k > width {
      throw InputError("\(metadata.source): k", expected: "1 to \(width), the number of features", found: "\(k)")
    }
    if case .expectedAverage(let factor) = normalization, !(factor.isFinite && factor > 0) {
      throw InputError("\(metadata.source): scaling_factor", expected: "a finite number above 0", found: "\(factor)")
    }
    guard ofWeights else { return }
    try encoder.requireFinite("\(metadata.source): W_enc")
    try decoder.requireFinite("\(metadata.source): W_dec")
  }

  /// Norms of the decoder's rows as stored, `[F]`; a dead row has 0. Computed once.
  package func decoderNorms(pool: ThreadPool) -> [Float] {
    if let known = knownDecoderNorms { return known }
    // Not under the lock: two threads may both compute the same numbers, but neither holds the other up.
    let norms = decoder.rowNorms(pool: pool)
    remember(decoderNorms: norms)
    return norms
  }

  /// The decoder's norms where they are known already.
  var knownDecoderNorms: [Float]? { decoderNormCache.withLock { $0 } }

  func remember(decoderNorms: [Float]) { decoderNormCache.withLock { $0 = decoderNorms } }

  /// Refuses infinities and NaN in W_enc, which opening without a look at the weights left to be found.
  ///
  /// Costs nothing where the products with b_dec are known: a chain of multiply-adds that has met an infinity or a NaN ends as
  /// one of them (0 times either is NaN), so that only results that are not finite need a second look.
  /// - Throws: `InputError` that names the first such weight.
  package func requireFiniteEncoder(pool: ThreadPool) throws(InputError) {
    if firstNonFinite(biasProjection(pool: pool).span) != nil { try encoder.requireFinite("\(metadata.source): W_enc") }
  }

  /// As `requireFiniteEncoder`, for W_dec: free where its norms are known.
  /// - Throws: `InputError` that names the first such weight.
  package func requireFiniteDecoder(pool: ThreadPool) throws(InputError) {
    if firstNonFinite(decoderNorms(pool: pool).span) != nil { try decoder.requireFinite("\(metadata.source): W_dec") }
  }

  /// w_j . b_dec where it is known already.
  var knownBiasProjection: [Float]? { biasProjectionCache.withLock { $0 } }

  func remember(biasProjection: [Float]) { biasProjectionCache.withLock { $0 = biasProjection } }
}
