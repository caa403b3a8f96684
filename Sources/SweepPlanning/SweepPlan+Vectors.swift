internal import SweepRecords

/// From contrast pairs to steering vectors, layer by layer.
extension SweepPlan {
  /// Extraction and vectors of a behaviour at all layers. The layers of a slice follow each other, lowest first, so that one
  /// worker can go on from where the layer before ended.
  func vectors(of behaviour: ResolvedSweep.Behaviour) throws -> [TaskDefinition] {
    let stages = try sweep.layers.map { try VectorStage(behaviour, layer: $0, sweep, cost) }
    let slices = stages.map(\.extract.count).max() ?? 0
    return (0..<slices).flatMap { slice in stages.map { $0.extract[slice] } }
      + stages.flatMap { [$0.vectors] + ($0.controls.map { [$0] } ?? []) }
  }
}

/// The tasks behind a behaviour's vectors at one layer.
struct VectorStage {
  /// One a slice of pairs; none for a given vector.
  let extract: [TaskDefinition]
  let vectors: TaskDefinition
  /// Random and shuffled vectors; nil where the sweep wants none.
  let controls: TaskDefinition?
  private let name: String
  private let layer: Int

  init(_ behaviour: ResolvedSweep.Behaviour, layer: Int, _ sweep: ResolvedSweep, _ cost: TaskCost) throws {
    name = behaviour.name
    self.layer = layer
    extract = try Self.extraction(behaviour, layer: layer, sweep, cost)
    let pairs = extract.map { $0.output("activations") }
    var work = VectorsWork(
      behaviour: behaviour.name, layers: [layer], slices: pairs, given: behaviour.vector.map { .artifact($0) })
    vectors = try TaskDefinition(
      .vectors(work), dependencies: extract.map(\.key), layer: layer,
      title: "vectors of \(behaviour.name), layer \(layer)", estimate: 1)
    let shuffled = sweep.controls.shuffled && behaviour.contrast != nil
    guard behaviour.questions != nil, shuffled || sweep.controls.random > 0 else {
      controls = nil
      return
    }
    work.controls = .init(random: sweep.controls.random, shuffled: shuffled, seed: sweep.seed)
    controls = try TaskDefinition(
      .vectors(work), dependencies: extract.map(\.key), layer: layer,
      title: "controls of \(behaviour.name), layer \(layer)", estimate: 1)
  }

  private static func extraction(
    _ behaviour: ResolvedSweep.Behaviour, layer: Int, _ sweep: ResolvedSweep, _ cost: TaskCost
  ) throws -> [TaskDefinition] {
    guard let contrast = behaviour.contrast else { return [] }
    let tokens = Double(behaviour.pairTokens.prompt + 2 * behaviour.pairTokens.answer)
    // By the cost of the whole model, so that the slices of all layers are the same.
    let size = TaskCost.slice(unit: cost.blocks(sweep.model.layers, tokens: tokens), in: 1...256)
    return try behaviour.pairs.slices(of: size).map { slice in
      let work = ExtractWork(
        model: sweep.model.reference, layers: [layer], contrast: .artifact(contrast), from: slice.lowerBound,
        to: slice.upperBound, read: behaviour.read)
      return try TaskDefinition(
        .extract(work), dependencies: [], files: [sweep.model.file], layer: layer,
        title: "extract \(behaviour.name), layer \(layer), pairs \(slice.lowerBound)-\(slice.upperBound - 1)",
        estimate: cost.blocks(layer + 1, tokens: tokens * Double(slice.count)))
    }
  }

  /// The behaviour's mean difference; with the pairs it was made of where a method wants them.
  func original(withPairs: Bool) -> VectorReference {
    VectorReference(
      behaviour: name, source: vectors.output("vectors"), tensor: "original.\(layer)",
      pairs: withPairs ? extract.map { $0.output("activations") } : [])
  }
}
