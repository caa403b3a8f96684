internal import Kernels

extension SAETraining {
  /// Gives features that have not been active for a whole interval another start: the direction of an error.
  ///
  /// Chosen over an auxiliary loss (Gao et al. 2024) because it costs nothing while no feature is dead. Every dead feature takes
  /// one token of the batch, drawn without replacement with probability by squared error (as Bricken et al. 2023 resample), and
  /// starts as the unit vector of what was missing there, in decoder and encoder, with bias and moments at zero.
  func reviveDeadFeatures(in state: inout TrainingState, residuals: Matrix) {
    let interval = settings.revivalInterval
    guard state.step.isMultiple(of: interval), Double(state.step) <= Double(settings.steps) * settings.revivalShare
    else { return }
    let dead = state.idleSteps.indices.filter { state.idleSteps[$0] >= interval }
    guard !dead.isEmpty else { return }
    for (feature, token) in zip(dead, drawTokens(dead.count, residuals: residuals, step: state.step)) {
      let error = residuals.row(token)
      let length = norm(error)
      guard length > 0 else { continue }
      let direction = error.map { -$0 / length }
      let zeros = [Float](repeating: 0, count: direction.count)
      state.parameters.encoder.setRow(feature, direction)
      state.parameters.decoder.setRow(feature, direction)
      state.parameters.encoderBias[feature] = 0
      for moments in [\TrainingState.firstMoments, \.secondMoments] {
        state[keyPath: moments].encoder.setRow(feature, zeros)
        state[keyPath: moments].decoder.setRow(feature, zeros)
        state[keyPath: moments].encoderBias[feature] = 0
      }
      state.idleSteps[feature] = 0
    }
  }

  /// Up to `count` tokens, weighted by squared error: those with the largest log(u) / weight (Efraimidis and Spirakis 2006).
  private func drawTokens(_ count: Int, residuals: Matrix, step: Int) -> [Int] {
    // Streams below 2^33 initialise and shuffle.
    var generator = CounterGenerator(seed: settings.seed, stream: 1 << 33 + UInt64(step))
    let keys = (0..<residuals.rows).map { token -> (key: Double, token: Int) in
      let error = residuals.row(token)
      let weight = dotInDouble(error, error)
      let uniform = max(generator.uniform(), .leastNormalMagnitude)
      return (weight > 0 ? Elementary.log(uniform) / weight : -.infinity, token)
    }
    let ordered = keys.sorted { ($1.key, $0.token) < ($0.key, $1.token) }
    return ordered.prefix(count).filter { $0.key > -.infinity }.map(\.token)
  }
}
