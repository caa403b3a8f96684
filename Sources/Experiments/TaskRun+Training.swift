internal import Diagnostics
internal import Kernels
internal import SparseAutoencoders
internal import SweepRecords

/// Training an SAE in slices of steps, and the SAEs that decompositions go through.
extension TaskRun {
  func train(_ work: TrainSAEWork) throws -> TaskResult {
    let activations = try stacked("layer.\(work.layer)", slices: work.slices)
    let plan = work.plan
    let settings = SAETrainingSettings(
      kind: plan.architecture == .topK ? .topK : .batchTopK, width: plan.width, sparsity: plan.sparsity,
      steps: plan.steps, batch: plan.batch, learningRate: plan.learningRate, seed: plan.seed)
    let training = try SAETraining(settings: settings, activations: activations, pool: pool)
    var state =
      try work.checkpoint.map {
        try TrainingState(serialized: try bytes($0), named: "checkpoint", settings: settings)
      } ?? training.initialState(pool: pool)
    try training.train(&state, until: work.to, pool: pool) { progress in
      guard advance(Double(progress.step - work.from) / Double(work.to - work.from)) else { throw CancellationError() }
    }
    let effort = TaskEffort(features: plan.width * plan.batch * (work.to - work.from))
    guard work.to == plan.steps else {
      return TaskResult(artifacts: [Artifact(name: "checkpoint", bytes: try state.serialized())], effort: effort)
    }
    let trained = try training.finish(
      state,
      metadata: .init(source: "trained", hookName: "blocks.\(work.layer).hook_resid_post", layer: work.layer),
      pool: pool)
    return TaskResult(
      artifacts: [Artifact(name: "sae", bytes: try trained.autoencoder.serialized())],
      rows: [
        trained.autoencoder.row(
          name: "trained-\(plan.width)", layer: work.layer, source: "trained", statistics: trained.heldOut,
          steps: plan.steps)
      ], effort: effort)
  }

  /// The SAE of a decomposition: a file, a trained one, or the untrained control of its shape.
  func autoencoder(_ work: DecomposeWork) throws -> SparseAutoencoder {
    let reference = work.sae
    guard let seed = reference.untrainedSeed else { return try trained(reference) }
    return try executor.untrained(reference, sample: work.sample) {
      let (model, sample) = (try trained(reference), try sample(of: work))
      return try SparseAutoencoder.untrained(
        width: model.width, l0: model.statistics(on: sample, pool: pool).l0, seed: seed, activations: sample,
        metadata: model.metadata, pool: pool)
    }
  }

  private func trained(_ reference: SAEReference) throws -> SparseAutoencoder {
    try executor.sae(reference.source) {
      switch reference.source {
      case .file(let digest):
        guard let path = inputs.paths[digest] else {
          throw TaskFault(.worker, "the SAE \(digest.short) is not on this machine", input: digest)
        }
        return try SparseAutoencoder(contentsOf: path)
      case .trained(let output): return try SparseAutoencoder(safetensors: try bytes(output), named: reference.name)
      }
    }
  }

  /// The SAE's row, measured on the sample; none for a trained one, whose training left it.
  func descriptions(of autoencoder: SparseAutoencoder, _ work: DecomposeWork) throws -> [TableRow] {
    var digest: Digest?
    if work.sae.untrainedSeed == nil {
      guard case .file(let file) = work.sae.source else { return [] }
      digest = file
    }
    return [
      autoencoder.row(
        name: work.sae.name, layer: work.sae.layer, source: digest == nil ? "untrained" : "file", digest: digest,
        statistics: autoencoder.statistics(on: try sample(of: work), pool: pool))
    ]
  }
}

extension SparseAutoencoder {
  /// The `sae` row.
  func row(
    name: String, layer: Int, source: String, digest: Digest? = nil, statistics: SAEStatistics?,
    steps: Int? = nil
  ) -> TableRow {
    let thresholds = self.thresholds ?? []
    return TableRow(
      .sae,
      [
        "name": .text(name), "layer": .integer(layer), "width": .integer(width),
        "architecture": .text(architecture.name),
        "source": .text(source), "digest": Cell(digest?.hex), "l0": Cell(statistics?.l0),
        "explained_variance": Cell(statistics?.explainedVariance), "dead_share": Cell(statistics?.deadShare),
        "tokens": Cell(statistics?.tokens), "steps": Cell(steps),
        "threshold": thresholds.isEmpty
          ? .null : Cell(thresholds.reduce(0.0) { $0 + Double($1) } / Double(thresholds.count)),
      ])
  }
}
