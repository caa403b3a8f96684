internal import Diagnostics

/// How an SAE is trained: TopK or BatchTopK (Gao et al. 2024, arXiv 2406.04093; Bussmann et al. 2024, 2412.06410) with Adam.
package struct SAETrainingSettings: Sendable, Hashable, Codable {
  /// What keeps codes sparse.
  package enum Kind: String, Sendable, Codable, CaseIterable {
    /// The k largest of every token. Stored as a topk SAE.
    case topK = "topk"
    /// The k n largest of a batch of n tokens. Stored as a jumprelu SAE with one threshold.
    case batchTopK = "batchtopk"
  }
  package var kind: Kind
  /// F, the number of features.
  package var width: Int
  /// k, active features a token.
  package var sparsity: Int
  package var steps: Int
  /// Tokens a step.
  package var batch: Int
  /// Adam's rate between warm-up and decay, for activations scaled to mean norm sqrt(d).
  package var learningRate: Double
  package var seed: UInt64
  /// The share of the steps over which the rate rises from 0, linearly.
  package var warmUpShare = 0.05
  /// The share of the steps over which it falls to 0 in the end, linearly.
  package var decayShare = 0.25
  /// Steps between revivals of dead features.
  package var revivalInterval = 50
  /// The share of the steps after which nothing is revived any more, so that what was has time to learn.
  package var revivalShare = 0.7
  /// The share of the tokens, from the end, that training does not see; at most 8,192 of them.
  package var heldOutShare = 0.1

  package init(
    kind: Kind, width: Int, sparsity: Int, steps: Int, batch: Int, learningRate: Double, seed: UInt64
  ) {
    self.kind = kind
    self.width = width
    self.sparsity = sparsity
    self.steps = steps
    self.batch = batch
    self.learningRate = learningRate
    self.seed = seed
  }

  /// Refuses settings that make no sense, by name.
  func check() throws(InputError) {
    func require(_ key: String, _ holds: Bool, _ expected: String, _ found: String) throws(InputError) {
      if !holds { throw InputError("training: \(key)", expected: expected, found: found) }
    }
    try require("width", width >= 1 && width <= 1 << 22, "1 to \(1 << 22) features", "\(width)")
    try require("sparsity", sparsity >= 1 && sparsity <= width, "1 to the width, \(width)", "\(sparsity)")
    try require("steps", steps >= 1 && steps <= 1 << 30, "1 step or more", "\(steps)")
    try require("batch", batch >= 1 && batch <= 1 << 20, "1 to \(1 << 20) tokens", "\(batch)")
    try require(
      "learning rate", learningRate.isFinite && learningRate > 0 && learningRate <= 1, "above 0, at most 1",
      "\(learningRate)")
    for (key, share) in [
      ("warm-up", warmUpShare), ("decay", decayShare), ("revival", revivalShare), ("held-out", heldOutShare),
    ] {
      try require(key, share >= 0 && share <= 1, "a share between 0 and 1", "\(share)")
    }
    try require("revival interval", revivalInterval >= 1, "1 step or more", "\(revivalInterval)")
  }

  /// Adam's rate at a step, counted from 0.
  func rate(at step: Int) -> Float {
    let (warmUp, decay) = (Double(steps) * warmUpShare, Double(steps) * decayShare)
    let rising = warmUp > 0 ? min(1, Double(step + 1) / warmUp) : 1
    let falling = decay > 0 ? min(1, Double(steps - step) / decay) : 1
    return Float(learningRate * rising * falling)
  }
}
