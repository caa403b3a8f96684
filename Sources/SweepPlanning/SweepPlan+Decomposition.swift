internal import SweepRecords

/// The SAEs: their training, what they are by themselves, and the vectors taken apart through them.
extension SweepPlan {
  /// The training of an SAE in slices of steps, each from the checkpoint before it; empty for one that lies on disk.
  func training(of sae: ResolvedSweep.SAE) throws -> [TaskDefinition] {
    guard case .train(let plan) = sae.source else { return [] }
    let harvest = try self.harvest(layer: sae.layer).slices
    let slices = harvest.map { InputReference.output(task: $0, name: "activations") }
    let seconds = cost.trainingStep(batch: plan.batch, width: plan.width)
    var tasks: [TaskDefinition] = []
    for steps in plan.steps.slices(of: TaskCost.slice(unit: seconds, in: 10...2000)) {
      let work = TrainSAEWork(
        layer: sae.layer, plan: plan, slices: slices, from: steps.lowerBound, to: steps.upperBound,
        checkpoint: tasks.last?.output("checkpoint"))
      tasks.append(
        try TaskDefinition(
          .trainSAE(work), dependencies: harvest + (tasks.last.map { [$0.key] } ?? []), layer: sae.layer,
          title:
            "train \(plan.width) features, layer \(sae.layer), steps \(steps.lowerBound)-\(steps.upperBound - 1)",
          estimate: seconds * Double(steps.count)))
    }
    return tasks
  }

  /// The SAE by itself, and its untrained control: their rows and zero vectors, once, whatever goes through them.
  func inspections(of sae: ResolvedSweep.SAE) throws -> [TaskDefinition] {
    guard !sweep.methods.isEmpty else { return [] }
    let untrained = sweep.controls.untrainedDictionary ? [try inspection(of: sae, untrained: true)] : []
    return [try inspection(of: sae, untrained: false)] + untrained
  }

  func inspection(of sae: ResolvedSweep.SAE, untrained: Bool) throws -> TaskDefinition {
    let reference = untrained ? "untrained-\(sae.name)" : sae.name
    return try decomposition(
      of: sae, untrained: untrained, vectors: [], methods: [], dependencies: [],
      title: "inspect \(reference), layer \(sae.layer)", estimate: cost.encoding(tokens: 4096, width: sae.width))
  }

  /// One behaviour's vector through one SAE by one method: every sparsity and the whole coefficient axis.
  func decomposition(
    of sae: ResolvedSweep.SAE, untrained: Bool, method: String, stage: VectorStage, behaviour: ResolvedSweep.Behaviour
  ) throws -> TaskDefinition {
    let reference = untrained ? "untrained-\(sae.name)" : sae.name
    let largest = sweep.sparsities.map { if case .atoms(let count) = $0 { count } else { 0 } }.max() ?? 0
    let steps = DecompositionNaming.isPursuit(method) ? largest : sweep.settings.coefficients.count
    return try decomposition(
      of: sae, untrained: untrained, vectors: [stage.original(withPairs: true)], methods: [method],
      dependencies: [stage.vectors.key] + stage.extract.map(\.key),
      title: "decompose \(behaviour.name) through \(reference), layer \(sae.layer), by \(method)",
      estimate: cost.encoding(tokens: 2 * behaviour.pairs + steps + 16, width: sae.width))
  }

  private func decomposition(
    of sae: ResolvedSweep.SAE, untrained: Bool, vectors: [VectorReference], methods: [String], dependencies: [Digest],
    title: String, estimate: Double
  ) throws -> TaskDefinition {
    var dependencies = dependencies
    var files = [sweep.model.file]
    let source: SAEReference.Source
    switch sae.source {
    case .file(let file):
      source = .file(file.digest)
      files.append(file)
    case .train:
      let last = try memory.trained(sae) {
        guard let last = try training(of: sae).last else {
          preconditionFailure("an SAE is trained for a step at least")
        }
        return last.key
      }
      source = .trained(.output(task: last, name: "sae"))
      dependencies.append(last)
    }
    let harvest = try self.harvest(layer: sae.layer)
    let sample = vectors.isEmpty || untrained ? harvest.slices[harvest.slices.count - 1] : nil
    dependencies += [harvest.statistics] + (sample.map { [$0] } ?? [])
    let work = DecomposeWork(
      sae: SAEReference(
        source: source, layer: sae.layer, width: sae.width, name: untrained ? "untrained-\(sae.name)" : sae.name,
        untrainedSeed: untrained ? sweep.seed : nil),
      model: sweep.model.reference, vectors: vectors, methods: methods, sparsities: sweep.sparsities,
      statistics: .output(task: harvest.statistics, name: "statistics"),
      sample: sample.map { .output(task: $0, name: "activations") },
      coefficients: sweep.settings.coefficients, seed: sweep.seed)
    return try TaskDefinition(
      .decompose(work), dependencies: dependencies, files: files, layer: sae.layer,
      title: title, estimate: estimate)
  }
}
