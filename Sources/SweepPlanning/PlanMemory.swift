internal import SweepRecords
internal import Synchronization

/// Keys that many units refer to, so that each is made once: what is kept grows with layers and SAEs, not with tasks.
final class PlanMemory: Sendable {
  /// The keys of a layer's harvest.
  struct LayerHarvest: Sendable {
    /// One a slice, in order.
    let slices: [Digest]
    let statistics: Digest
  }

  private struct State {
    var harvests: [Int: LayerHarvest] = [:]
    var trained: [String: Digest] = [:]
    /// Of the last behaviour and layer alone: units go through them one after the other.
    var stage: (name: String, stage: VectorStage)?
  }

  private let state = Mutex(State())

  func harvest(layer: Int, _ make: () throws -> LayerHarvest) rethrows -> LayerHarvest {
    if let known = state.withLock({ $0.harvests[layer] }) { return known }
    let made = try make()
    state.withLock { $0.harvests[layer] = made }
    return made
  }

  /// The key of the task that finishes an SAE's training.
  func trained(_ sae: ResolvedSweep.SAE, _ make: () throws -> Digest) rethrows -> Digest {
    let name = "\(sae.layer)/\(sae.name)"
    if let known = state.withLock({ $0.trained[name] }) { return known }
    let made = try make()
    state.withLock { $0.trained[name] = made }
    return made
  }

  func stage(_ behaviour: ResolvedSweep.Behaviour, layer: Int, _ make: () throws -> VectorStage) rethrows -> VectorStage
  {
    let name = "\(layer)/\(behaviour.name)"
    if let known = state.withLock({ $0.stage }), known.name == name { return known.stage }
    let made = try make()
    state.withLock { $0.stage = (name, made) }
    return made
  }
}
