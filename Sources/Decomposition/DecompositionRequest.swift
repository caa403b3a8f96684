internal import Diagnostics
internal import Kernels
package import SparseAutoencoders
package import SweepRecords

/// What is known of a layer's activations.
package struct ActivationReference: Sendable {
  /// The median of ||h||.
  package let medianNorm: Float?
  /// The mean activation mu, `[d]`.
  package let mean: [Float]?
  /// ||h|| of all activations, rising; empty where only the median is known.
  package let norms: [Float]

  /// - Parameter norms: rising; the median of an even number is the mean of the two in the middle.
  package init(norms: [Float], mean: [Float]?) {
    self.norms = norms
    self.mean = mean
    let middle = norms.count / 2
    if norms.isEmpty {
      medianNorm = nil
    } else {
      medianNorm = norms.count % 2 == 1 ? norms[middle] : (norms[middle - 1] + norms[middle]) / 2
    }
  }

  package init(medianNorm: Float?, mean: [Float]?) {
    norms = []
    self.medianNorm = medianNorm
    self.mean = mean
  }
}

/// What is to be decomposed, how, and what the methods need for it.
package struct DecompositionRequest: Sendable {
  /// A vector under the name of its behaviour.
  package struct Subject: Sendable, Equatable {
    package var behaviour: String
    /// `[d]`.
    package var vector: [Float]
    /// The activations that it was made of; nil for a vector that was given.
    package var pairs: PairActivations?

    package init(behaviour: String, vector: [Float], pairs: PairActivations? = nil) {
      self.behaviour = behaviour
      self.vector = vector
      self.pairs = pairs
    }
  }

  package var subjects: [Subject]
  package var methods: [DecompositionMethod]
  package var sparsities: [Sparsity]
  /// The ladder of `encode`; 1 is always done.
  package var coefficients: [Double]
  /// Whether the ladder is cut to every sparsity, or only to the fullest.
  package var cutsLadder: Bool
  /// Of the layer: `encode-scaled` needs the median norm, `encode-anchored` the mean.
  package var activations: ActivationReference?
  /// a of `encode-anchored`.
  package var amplitude: Double
  /// Conventions of b_dec on the encoder's input; all methods work in the SAE's own.
  package var inputConventions: [SparseAutoencoder.InputConvention]
  /// Of the random directions; nil for none.
  package var seed: UInt64?
  /// Whether `encode` also gives L0 and overlap over the whole axis of coefficients.
  package var wantsCoefficientAxis: Bool

  package init(
    subjects: [Subject], methods: [DecompositionMethod], sparsities: [Sparsity], coefficients: [Double] = [1],
    cutsLadder: Bool = false, activations: ActivationReference? = nil, amplitude: Double = 1,
    inputConventions: [SparseAutoencoder.InputConvention] = SparseAutoencoder.InputConvention.allCases,
    seed: UInt64? = nil, wantsCoefficientAxis: Bool = false
  ) {
    self.subjects = subjects
    self.methods = methods
    self.sparsities = sparsities
    self.coefficients = coefficients
    self.cutsLadder = cutsLadder
    self.activations = activations
    self.amplitude = amplitude
    self.inputConventions = inputConventions
    self.seed = seed
    self.wantsCoefficientAxis = wantsCoefficientAxis
  }

  /// Refuses what can't be decomposed through this SAE.
  func check(against autoencoder: SparseAutoencoder) throws(InputError) {
    for subject in subjects {
      try check(subject.vector, "vector \(subject.behaviour)", autoencoder)
      guard let pairs = subject.pairs else { continue }
      try check(pairs.positive.rows, "positive activations of \(subject.behaviour)", autoencoder)
      try check(pairs.negative.rows, "negative activations of \(subject.behaviour)", autoencoder)
    }
    for coefficient in coefficients where !Float(coefficient).isFinite {
      throw InputError("coefficient", expected: "a finite number", found: "\(coefficient)")
    }
    for case .atoms(let k) in sparsities where k < 1 {
      throw InputError("sparsity", expected: "a whole number above 0, or all", found: "\(k)")
    }
    if let mean = activations?.mean { try check(mean, "mean activation", autoencoder) }
    try checkNeeds()
  }

  private func checkNeeds() throws(InputError) {
    if methods.contains(.encodeScaled) {
      guard let median = activations?.medianNorm, median.isFinite, median > 0 else {
        throw InputError(
          "encode-scaled", expected: "the median norm of the layer's activations, above 0",
          found: activations?.medianNorm.map { "\($0)" } ?? "none", remedy: "give --activation-norm")
      }
    }
    if methods.contains(.encodeAnchored) {
      guard activations?.mean != nil else {
        throw InputError(
          "encode-anchored", expected: "the layer's mean activation", found: "none", remedy: "give --mean-activation")
      }
      guard Float(amplitude).isFinite, Float(amplitude) != 0 else {
        throw InputError("amplitude", expected: "a finite number that is not 0", found: "\(amplitude)")
      }
    }
    if methods.contains(where: \.isPursuit), !sparsities.contains(where: { $0 != .all }) {
      throw InputError(
        "sparsity", expected: "at least one number of atoms, for a pursuit", found: "all", remedy: "give --sparsity")
    }
  }

  private func check(_ values: [Float], _ subject: String, _ autoencoder: SparseAutoencoder) throws(InputError) {
    try autoencoder.require(dimension: values.count, of: subject)
    // A norm that overflows would turn into NaN further on.
    guard Float(dotInDouble(values, values)).isFinite else {
      throw InputError(subject, expected: "finite numbers of a norm below 1e19", found: "others")
    }
  }

  private func check(_ rows: Matrix, _ subject: String, _ autoencoder: SparseAutoencoder) throws(InputError) {
    try autoencoder.require(dimension: rows.columns, of: subject)
    guard rows.rows > 0 else { throw InputError(subject, expected: "at least one activation", found: "none") }
    for row in 0..<rows.rows { try check(rows.row(row), "\(subject), row \(row)", autoencoder) }
  }
}
