internal import SweepRecords

/// The text behind the statistics and trained SAEs: sampled or read in slices, harvested layer by layer.
struct TextStage: Sendable {
  /// Sequences (when sampled) or tokens (of a file) of each slice.
  let slices: [Range<Int>]
  private let sweep: ResolvedSweep
  private let cost: TaskCost

  /// Slices are cut by the cost of the whole model, so that they don't depend on the layers.
  init(_ sweep: ResolvedSweep, _ cost: TaskCost) {
    self.sweep = sweep
    self.cost = cost
    switch sweep.activations {
    case .sample(let tokens, let length):
      let sequence = cost.blocks(sweep.model.layers, tokens: Double(length)) + cost.unembedding(rows: Double(length))
      let size = TaskCost.slice(unit: sequence, in: 16...64) / 16 * 16
      slices = ((tokens + length - 1) / max(length, 1)).slices(of: size)
    case .text(_, let tokens, let context):
      let size = TaskCost.slice(unit: cost.blocks(sweep.model.layers, tokens: Double(context)), in: 4...256)
      slices = tokens.slices(of: size * context)
    }
  }

  /// The task that has the model write a slice of its text; nil where there is a file to read.
  func sampling(slice index: Int) throws -> TaskDefinition? {
    guard case .sample(_, let length) = sweep.activations else { return nil }
    let slice = slices[index]
    let tokens = Double(slice.count * length)
    let work = HarvestWork(
      model: sweep.model.reference, layers: [],
      source: .sample(
        seed: sweep.seed, from: slice.lowerBound, to: slice.upperBound, length: length, temperature: 1))
    return try TaskDefinition(
      .harvest(work), dependencies: [], files: [sweep.model.file],
      title: "sample sequences \(slice.lowerBound)-\(slice.upperBound - 1)",
      estimate: cost.blocks(sweep.model.layers, tokens: tokens) + cost.unembedding(rows: tokens))
  }

  /// The task that takes a layer's activations of a slice.
  func harvest(slice index: Int, layer: Int, sampling: TaskDefinition?) throws -> TaskDefinition {
    let slice = slices[index]
    let source: HarvestWork.Source
    let tokens: Int
    switch sweep.activations {
    case .sample(_, let length):
      guard let sampling else { preconditionFailure("sampled text is harvested from its tokens") }
      source = .sampled(sampling.output("tokens"))
      tokens = slice.count * length
    case .text(let text, _, let context):
      source = .text(.artifact(text), from: slice.lowerBound, to: slice.upperBound, context: context)
      tokens = slice.count
    }
    let what = sampling == nil ? "tokens" : "sequences"
    return try TaskDefinition(
      .harvest(HarvestWork(model: sweep.model.reference, layers: [layer], source: source)),
      dependencies: sampling.map { [$0.key] } ?? [], files: [sweep.model.file], layer: layer,
      title: "harvest layer \(layer), \(what) \(slice.lowerBound)-\(slice.upperBound - 1)",
      estimate: cost.blocks(layer + 1, tokens: Double(tokens)))
  }

  /// The layer's statistics over all slices, which are tasks of these keys.
  func statistics(layer: Int, slices: [Digest]) throws -> TaskDefinition {
    try TaskDefinition(
      .statistics(StatisticsWork(layers: [layer], slices: slices.map { .output(task: $0, name: "activations") })),
      dependencies: slices, layer: layer, title: "activation statistics of layer \(layer)", estimate: 1)
  }
}

extension SweepPlan {
  /// The keys of a layer's harvest. Its last slice serves as a sample for whoever needs no more.
  func harvest(layer: Int) throws -> PlanMemory.LayerHarvest {
    try memory.harvest(layer: layer) {
      let slices = try text.slices.indices.map { slice in
        try text.harvest(slice: slice, layer: layer, sampling: try text.sampling(slice: slice)).key
      }
      return .init(slices: slices, statistics: try text.statistics(layer: layer, slices: slices).key)
    }
  }
}
