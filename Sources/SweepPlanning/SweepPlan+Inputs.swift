internal import SweepRecords

/// The harvest's slices and their statistics.
struct HarvestUnit: Sendable {
  let tasks: [TaskDefinition]
  /// `activations` of each slice, in order.
  let slices: [InputReference]
  /// `statistics` of all layers.
  let statistics: InputReference
  let statisticsKey: Digest
  let sliceKeys: [Digest]

  init(_ sweep: ResolvedSweep, _ cost: TaskCost) throws {
    let model = sweep.model
    var harvest: [TaskDefinition] = []
    func add(_ source: HarvestWork.Source, _ title: String, tokens: Int, blocks: Int, sampled: Bool) throws {
      let work = HarvestWork(model: model.reference, layers: sweep.layers, source: source)
      let seconds =
        cost.blocks(blocks, tokens: Double(tokens)) + (sampled ? cost.unembedding(rows: Double(tokens)) : 0)
      harvest.append(
        try TaskDefinition(
          .harvest(work), dependencies: [], files: [model.file], title: "harvest \(title)", estimate: seconds))
    }
    switch sweep.activations {
    case .sample(let tokens, let length):
      let sequences = (tokens + length - 1) / length
      let seconds = cost.blocks(model.layers, tokens: Double(length)) + cost.unembedding(rows: Double(length))
      let size = TaskCost.slice(unit: seconds, in: 16...64) / 16 * 16
      for slice in sequences.slices(of: size) {
        try add(
          .sample(seed: sweep.seed, from: slice.lowerBound, to: slice.upperBound, length: length, temperature: 1),
          "sampled sequences \(slice.lowerBound)-\(slice.upperBound - 1)", tokens: slice.count * length,
          blocks: model.layers, sampled: true)
      }
    case .text(let text, let tokens, let context):
      let blocks = (sweep.layers.max() ?? 0) + 1
      let size = TaskCost.slice(unit: cost.blocks(blocks, tokens: Double(context)), in: 4...256) * context
      for slice in tokens.slices(of: size) {
        try add(
          .text(.artifact(text), from: slice.lowerBound, to: slice.upperBound, context: context),
          "tokens \(slice.lowerBound)-\(slice.upperBound - 1)", tokens: slice.count, blocks: blocks, sampled: false)
      }
    }
    slices = harvest.map { $0.output("activations") }
    sliceKeys = harvest.map(\.key)
    let reduce = try TaskDefinition(
      .statistics(StatisticsWork(layers: sweep.layers, slices: slices)), dependencies: sliceKeys,
      title: "activation statistics", estimate: 1)
    statistics = reduce.output("statistics")
    statisticsKey = reduce.key
    tasks = harvest + [reduce]
  }
}

/// A behaviour's extraction slices and its vectors.
struct VectorsUnit: Sendable {
  let behaviour: ResolvedSweep.Behaviour
  let tasks: [TaskDefinition]
  let vectorsKey: Digest
  let vectors: InputReference
  /// `activations` of the extraction slices; empty for a given vector.
  let pairs: [InputReference]
  let pairKeys: [Digest]

  init(_ behaviour: ResolvedSweep.Behaviour, _ sweep: ResolvedSweep, _ cost: TaskCost) throws {
    self.behaviour = behaviour
    var extract: [TaskDefinition] = []
    if let contrast = behaviour.contrast {
      let blocks = (sweep.layers.max() ?? 0) + 1
      // A pair is about 90 tokens: one prompt of 50, two answers of 20.
      let seconds = cost.blocks(blocks, tokens: 90)
      for slice in behaviour.pairs.slices(of: TaskCost.slice(unit: seconds, in: 1...256)) {
        let work = ExtractWork(
          model: sweep.model.reference, layers: sweep.layers, contrast: .artifact(contrast), from: slice.lowerBound,
          to: slice.upperBound, read: behaviour.read)
        extract.append(
          try TaskDefinition(
            .extract(work), dependencies: [], files: [sweep.model.file],
            title: "extract \(behaviour.name), pairs \(slice.lowerBound)-\(slice.upperBound - 1)",
            estimate: seconds * Double(slice.count)))
      }
    }
    pairs = extract.map { $0.output("activations") }
    pairKeys = extract.map(\.key)
    let work = VectorsWork(
      behaviour: behaviour.name, layers: sweep.layers, slices: pairs, given: behaviour.vector.map { .artifact($0) },
      randomControls: sweep.controls.random, shuffledControl: sweep.controls.shuffled && behaviour.contrast != nil,
      seed: sweep.seed)
    let reduce = try TaskDefinition(
      .vectors(work), dependencies: pairKeys, title: "vectors of \(behaviour.name)", estimate: 1)
    vectors = reduce.output("vectors")
    vectorsKey = reduce.key
    tasks = extract + [reduce]
  }

  /// The behaviour's mean difference at a layer.
  func original(layer: Int) -> VectorReference {
    VectorReference(behaviour: behaviour.name, source: vectors, tensor: "original.\(layer)", pairs: pairs)
  }
}

/// An SAE's training, where it is trained, and what is decomposed through it.
struct SAEUnit: Sendable {
  let sae: ResolvedSweep.SAE
  let tasks: [TaskDefinition]
  /// `reconstructions` and the key of the task that makes them, by behaviour index.
  let reconstructions: [(source: InputReference, key: Digest)]
  /// The same through the untrained dictionary; empty without that control.
  let untrained: [(source: InputReference, key: Digest)]

  init(
    _ sae: ResolvedSweep.SAE, _ sweep: ResolvedSweep, _ cost: TaskCost, harvest: HarvestUnit, vectors: [VectorsUnit]
  ) throws {
    self.sae = sae
    var made: [TaskDefinition] = []
    let source: SAEReference.Source
    var dependencies: [Digest] = []
    var files = [sweep.model.file]
    switch sae.source {
    case .file(let reference):
      source = .file(reference.digest)
      files.append(reference)
    case .train(let plan):
      made = try Self.training(plan, layer: sae.layer, cost, harvest)
      let last = made[made.count - 1]
      source = .trained(last.output("sae"))
      dependencies = [last.key]
    }
    func decompose(untrained: Bool) throws -> [(source: InputReference, key: Digest)] {
      let reference = SAEReference(
        source: source, layer: sae.layer, width: sae.width, name: untrained ? "untrained-\(sae.name)" : sae.name,
        untrainedSeed: untrained ? sweep.seed : nil)
      var outputs: [(source: InputReference, key: Digest)] = []
      for slice in vectors.count.slices(of: 8) {
        let originals = vectors[slice]
        let work = DecomposeWork(
          sae: reference, model: sweep.model.reference, vectors: originals.map { $0.original(layer: sae.layer) },
          methods: sweep.methods, sparsities: sweep.sparsities, statistics: harvest.statistics,
          coefficients: sweep.settings.coefficients, seed: sweep.seed)
        let task = try TaskDefinition(
          .decompose(work),
          dependencies: dependencies + [harvest.statisticsKey] + originals.flatMap { [$0.vectorsKey] + $0.pairKeys },
          files: files, layer: sae.layer,
          title: "decompose \(originals.map(\.behaviour.name).joined(separator: ", ")) through \(reference.name)",
          estimate: 2e-8 * Double(sae.width * sweep.model.dimension * slice.count))
        made.append(task)
        outputs += slice.map { _ in (task.output("reconstructions"), task.key) }
      }
      return outputs
    }
    reconstructions = try decompose(untrained: false)
    untrained = sweep.controls.untrainedDictionary ? try decompose(untrained: true) : []
    tasks = made
  }

  private static func training(
    _ plan: TrainingPlan, layer: Int, _ cost: TaskCost, _ harvest: HarvestUnit
  ) throws -> [TaskDefinition] {
    let seconds = cost.trainingStep(batch: plan.batch, width: plan.width)
    var tasks: [TaskDefinition] = []
    for slice in plan.steps.slices(of: TaskCost.slice(unit: seconds, in: 10...2000)) {
      let work = TrainSAEWork(
        layer: layer, plan: plan, slices: harvest.slices, from: slice.lowerBound, to: slice.upperBound,
        checkpoint: tasks.last?.output("checkpoint"))
      tasks.append(
        try TaskDefinition(
          .trainSAE(work), dependencies: harvest.sliceKeys + (tasks.last.map { [$0.key] } ?? []), layer: layer,
          title: "train \(plan.width) features, steps \(slice.lowerBound)-\(slice.upperBound - 1)",
          estimate: seconds * Double(slice.count)))
    }
    return tasks
  }
}
