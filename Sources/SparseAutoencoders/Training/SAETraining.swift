package import Diagnostics
package import Kernels

/// Where a training stands.
package struct TrainingProgress: Sendable, Hashable {
  /// Steps done.
  package var step: Int
  /// The last batch's squared error as a share of the activations' variance.
  package var unexplainedVariance: Double
}

/// Activations made ready for training: outliers left out, scaled, split.
///
/// A few tokens have a hundred times the usual norm; those above six medians are left out. The rest is scaled by one factor to
/// mean norm sqrt(d), which is folded back into the finished SAE. The last tokens are held out.
package struct SAETraining: Sendable {
  package let settings: SAETrainingSettings
  /// Scaled activations, `[tokens, d]`.
  let training: Matrix
  let heldOut: Matrix
  /// sqrt(d) / mean norm.
  package let scale: Float
  /// Tokens left out for their norm.
  package let outliers: Int
  /// The mean over training tokens of the squared distance from their mean, scaled.
  let variance: Double
  let mean: [Float]

  /// - Parameter activations: `[tokens, d]`, first tokens of texts left out already.
  /// - Throws: `InputError` for settings without sense, and for activations that are too few, not finite or all zero.
  package init(settings: SAETrainingSettings, activations: Matrix, pool: ThreadPool) throws(InputError) {
    try settings.check()
    if let index = firstNonFinite(activations.elements.span) {
      let (row, column) = index.quotientAndRemainder(dividingBy: activations.columns)
      throw InputError(
        "training: activations", expected: "finite numbers",
        found: "\(activations.elements[index]) at [\(row), \(column)]")
    }
    let norms = rowNorms(activations, pool: pool)
    let kept = Self.withoutOutliers(norms)
    outliers = norms.count - kept.count
    let heldOutCount = min(8192, Int(Double(kept.count) * settings.heldOutShare))
    let trainingCount = kept.count - heldOutCount
    guard trainingCount >= 2, heldOutCount >= 1, activations.columns > 0 else {
      throw InputError(
        "training: activations", expected: "tokens to train on and to hold out", found: "\(kept.count) tokens",
        remedy: "harvest more text")
    }
    var sum = 0.0
    for token in kept[..<trainingCount] { sum += Double(norms[token]) }
    let meanNorm = sum / Double(trainingCount)
    let scale = Float(Double(activations.columns).squareRoot() / meanNorm)
    guard meanNorm > 0, scale.isFinite else {
      throw InputError(
        "training: activations", expected: "vectors with a norm above 0", found: "a mean norm of \(meanNorm)")
    }
    self.settings = settings
    self.scale = scale
    var training = activations.gathering(rows: Array(kept[..<trainingCount]))
    var heldOut = activations.gathering(rows: Array(kept[trainingCount...]))
    Kernels.scale(&training, by: scale, pool: pool)
    Kernels.scale(&heldOut, by: scale, pool: pool)
    mean = columnMeans(training).map(Float.init)
    variance = SAEStatistics.variance(of: training) / Double(trainingCount)
    self.training = training
    self.heldOut = heldOut
  }

  /// The tokens whose norm is at most six medians, in order.
  static func withoutOutliers(_ norms: [Float]) -> [Int] {
    guard !norms.isEmpty else { return [] }
    let limit = 6 * norms.sorted()[norms.count / 2]
    return norms.indices.filter { norms[$0] <= limit }
  }

  /// The state before the first step; b_dec starts as the mean activation.
  package func initialState(pool: ThreadPool) -> TrainingState {
    TrainingState(settings: settings, dimension: training.columns, decoderBias: mean, pool: pool)
  }

  /// Refuses a state that is of another training.
  package func require(_ state: TrainingState) throws(InputError) {
    guard state.settings == settings, state.parameters.decoder.columns == training.columns else {
      throw InputError(
        "training: checkpoint", expected: "one of this training, dimension \(training.columns)",
        found: "one of another, dimension \(state.parameters.decoder.columns)")
    }
  }

  /// Takes the state to `end` steps done (at most those of the settings), reporting each step.
  ///
  /// The batches are a function of seed and step alone: stopping and going on changes nothing, nor do threads.
  /// - Throws: what `report` throws, with the state after the step it was told of.
  /// - Precondition: the state belongs to this training; see `require(_:)`.
  package func train<Failure: Error>(
    _ state: inout TrainingState, until end: Int, pool: ThreadPool,
    report: (TrainingProgress) throws(Failure) -> Void
  ) throws(Failure) {
    var order = TokenOrder(count: training.rows, seed: settings.seed)
    while state.step < min(end, settings.steps) {
      let tokens = (0..<settings.batch).map { order.token(at: state.step * settings.batch + $0) }
      let loss = advance(&state, on: training.gathering(rows: tokens), pool: pool)
      try report(TrainingProgress(step: state.step, unexplainedVariance: loss / variance))
    }
  }

  /// As above, without reports.
  package func train(_ state: inout TrainingState, until end: Int, pool: ThreadPool) {
    train(&state, until: end, pool: pool) { _ in }
  }

  /// One step; the loss before it.
  private func advance(_ state: inout TrainingState, on batch: Matrix, pool: ThreadPool) -> Double {
    var pass = TrainingGradient(
      of: state.parameters, kind: settings.kind, sparsity: settings.sparsity, on: batch, pool: pool)
    removeParallelComponents(of: &pass.gradient.decoder, along: state.parameters.decoder, pool: pool)
    state.descend(pass.gradient, Adam(rate: settings.rate(at: state.step)), pool: pool)
    normaliseRows(&state.parameters.decoder, pool: pool)
    for feature in state.idleSteps.indices { state.idleSteps[feature] += 1 }
    for feature in pass.codes.indices { state.idleSteps[Int(feature)] = 0 }
    state.step += 1
    reviveDeadFeatures(in: &state, residuals: pass.residuals)
    return pass.loss
  }
}

/// The order in which tokens are trained on: one seeded permutation after another, one an epoch.
private struct TokenOrder {
  let count: Int
  let seed: UInt64
  private var epoch = -1
  private var permutation: [Int] = []

  init(count: Int, seed: UInt64) {
    self.count = count
    self.seed = seed
  }

  mutating func token(at position: Int) -> Int {
    let (wanted, index) = position.quotientAndRemainder(dividingBy: count)
    if wanted != epoch {
      epoch = wanted
      // Streams below 2^32 initialise the features.
      var generator = CounterGenerator(seed: seed, stream: 1 << 32 + UInt64(wanted))
      permutation = Array(0..<count)
      permutation.shuffle(using: &generator)
    }
    return permutation[index]
  }
}
