package import SweepRecords

/// A sweep's tasks, made unit by unit in a fixed order, so that a plan of any size is expanded in chunks of bounded memory.
///
/// The units are: the harvest; each behaviour's vectors; each SAE's training and decomposition; each layer and behaviour's
/// evaluation. Dependencies always lie in the same unit or an earlier one.
package struct SweepPlan: Sendable {
  let sweep: ResolvedSweep
  let cost: TaskCost
  /// The tasks of the units that others refer to: their number grows with slices and SAEs, not with evaluations.
  let harvest: HarvestUnit
  let vectors: [VectorsUnit]
  let saes: [SAEUnit]

  /// - Throws: `EncodingError`, for numbers that JSON can't hold.
  package init(_ sweep: ResolvedSweep) throws {
    self.sweep = sweep
    cost = TaskCost(model: sweep.model)
    harvest = try HarvestUnit(sweep, cost)
    vectors = try sweep.behaviours.map { [cost] in try VectorsUnit($0, sweep, cost) }
    saes = try sweep.saes.map { [cost, harvest, vectors] in
      try SAEUnit($0, sweep, cost, harvest: harvest, vectors: vectors)
    }
  }

  /// How many units there are.
  package var unitCount: Int { 1 + vectors.count + saes.count + sweep.layers.count * sweep.behaviours.count }

  /// The tasks of unit `index`, dependencies first.
  package func tasks(inUnit index: Int) throws -> [TaskDefinition] {
    var index = index
    if index == 0 { return harvest.tasks }
    index -= 1
    if index < vectors.count { return vectors[index].tasks }
    index -= vectors.count
    if index < saes.count { return saes[index].tasks }
    index -= saes.count
    let layer = sweep.layers[index / sweep.behaviours.count]
    return try evaluation(layer: layer, behaviour: index % sweep.behaviours.count)
  }

  /// The tasks of whole units from unit `cursor` on, until there are at least `limit`; and the next cursor, nil at the end.
  package func chunk(from cursor: Int, limit: Int) throws -> (tasks: [TaskDefinition], next: Int?) {
    var tasks: [TaskDefinition] = []
    var unit = cursor
    while unit < unitCount && tasks.count < max(limit, 1) {
      tasks += try self.tasks(inUnit: unit)
      unit += 1
    }
    return (tasks, unit < unitCount ? unit : nil)
  }
}

extension TaskDefinition {
  /// A task of some work, under its key.
  init(
    _ work: TaskWork, dependencies: [Digest], files: [FileReference] = [], layer: Int? = nil, title: String,
    estimate: Double
  ) throws {
    let json = try work.canonicalJSON()
    var seen: Set<Digest> = []
    self.init(
      key: TaskWork.key(ofCanonicalJSON: json), kind: work.kind, work: json,
      dependencies: dependencies.filter { seen.insert($0).inserted }, files: files, layer: layer, title: title,
      estimate: estimate)
  }

  /// What this task makes under a name.
  func output(_ name: String) -> InputReference { .output(task: key, name: name) }
}

extension ResolvedSweep.Model {
  /// Where the model's file lies.
  var file: FileReference { FileReference(digest: reference.digest, locator: locator) }
}
