/// How an SAE is trained (methods.md and issue: TopK or BatchTopK with Adam).
package struct TrainingPlan: Codable, Hashable, Sendable {
  package enum Architecture: String, Codable, Hashable, Sendable, CaseIterable {
    case topK = "topk"
    case batchTopK = "batchtopk"
  }
  package var architecture: Architecture
  package var width: Int
  /// k: active features per token.
  package var sparsity: Int
  package var steps: Int
  /// Tokens per step.
  package var batch: Int
  package var learningRate: Double
  package var seed: UInt64

  package init(
    architecture: Architecture, width: Int, sparsity: Int, steps: Int, batch: Int, learningRate: Double, seed: UInt64
  ) {
    self.architecture = architecture
    self.width = width
    self.sparsity = sparsity
    self.steps = steps
    self.batch = batch
    self.learningRate = learningRate
    self.seed = seed
  }
}

/// Steps `from..<to` of one SAE's training. Output `checkpoint` (before the last step) or `sae` (the finished SAE as a
/// SAELens
/// safetensors file with its configuration in the metadata). Rows: `sae` when finished.
package struct TrainSAEWork: Codable, Hashable, Sendable {
  package var layer: Int
  package var plan: TrainingPlan
  /// `activations` of the harvest tasks, in slice order.
  package var slices: [InputReference]
  package var from: Int
  package var to: Int
  /// The `checkpoint` to go on from; nil at step 0.
  package var checkpoint: InputReference?

  package init(
    layer: Int, plan: TrainingPlan, slices: [InputReference], from: Int, to: Int, checkpoint: InputReference?
  ) {
    self.layer = layer
    self.plan = plan
    self.slices = slices
    self.from = from
    self.to = to
    self.checkpoint = checkpoint
  }
}
