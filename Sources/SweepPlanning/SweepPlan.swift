package import SweepRecords

/// A sweep's tasks, made unit by unit in a fixed order, so that a plan of any size is expanded in chunks of bounded memory.
///
/// The units are: each slice of the text, its activations at every layer; each layer's statistics; each SAE's training; each
/// behaviour's extraction and vectors; then, for each layer and behaviour, each group of variants (a method through an SAE, the
/// controls ...) with its decomposition, evaluation and score. Dependencies always lie in the same unit or an earlier one.
///
/// No task's work names more than it needs, so that its key survives what is added to the sweep: a task is about one layer,
/// never a list of them; one behaviour; one method or one kind of control. What tasks of neighbouring layers have in common
/// is shared by whoever runs them one after the other, which their order allows; it is no part of what they are.
package struct SweepPlan: Sendable {
  let sweep: ResolvedSweep
  let cost: TaskCost
  let text: TextStage
  let memory = PlanMemory()
  /// Where each layer's evaluation units begin, counted from the first one's; one more than there are layers.
  private let layerStarts: [Int]
  private let groups: [[VariantGroup]]

  package init(_ sweep: ResolvedSweep) {
    self.sweep = sweep
    cost = TaskCost(model: sweep.model)
    text = TextStage(sweep, cost)
    groups = sweep.layers.map { layer in VariantGroup.all(of: sweep, layer: layer) }
    layerStarts = groups.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.count * sweep.behaviours.count) }
  }

  /// How many units there are.
  package var unitCount: Int { evaluationStart + layerStarts[layerStarts.count - 1] }

  private var evaluationStart: Int {
    text.slices.count + sweep.layers.count + sweep.saes.count + sweep.behaviours.count
  }

  /// The tasks of unit `index`, dependencies first. Every unit follows from the sweep alone, whatever was asked for before.
  ///
  /// - Throws: `EncodingError`, for numbers that JSON can't hold.
  package func tasks(inUnit index: Int) throws -> [TaskDefinition] {
    var index = index
    if index < text.slices.count {
      let sampling = try text.sampling(slice: index)
      return try (sampling.map { [$0] } ?? [])
        + sweep.layers.map { try text.harvest(slice: index, layer: $0, sampling: sampling) }
    }
    index -= text.slices.count
    if index < sweep.layers.count {
      let layer = sweep.layers[index]
      return [try text.statistics(layer: layer, slices: try harvest(layer: layer).slices)]
    }
    index -= sweep.layers.count
    if index < sweep.saes.count { return try training(of: sweep.saes[index]) + inspections(of: sweep.saes[index]) }
    index -= sweep.saes.count
    if index < sweep.behaviours.count { return try vectors(of: sweep.behaviours[index]) }
    index -= sweep.behaviours.count
    guard let place = layerStarts.lastIndex(where: { $0 <= index }), place < sweep.layers.count else { return [] }
    let (behaviour, group) = (index - layerStarts[place]).quotientAndRemainder(dividingBy: groups[place].count)
    return try tasks(
      of: groups[place][group], behaviour: sweep.behaviours[behaviour], layer: sweep.layers[place])
  }

  /// The tasks of whole units from unit `cursor` on, until there are at least `limit`; and the next cursor, nil at the end.
  package func chunk(from cursor: Int, limit: Int) throws -> (tasks: [TaskDefinition], next: Int?) {
    var tasks: [TaskDefinition] = []
    var unit = max(cursor, 0)
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
