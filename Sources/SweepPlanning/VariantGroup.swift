internal import SweepRecords

/// What is evaluated together: variants that come and go as one when a sweep's methods or controls change.
enum VariantGroup: Sendable {
  case original
  /// Random and shuffled vectors.
  case controls
  case zeroVector(ResolvedSweep.SAE)
  case pairDifferenceError(ResolvedSweep.SAE)
  /// Reconstructions by one method, every steered sparsity and norm.
  case reconstruction(ResolvedSweep.SAE, method: String, untrained: Bool)

  /// The methods by which the untrained dictionary is steered with; by the others it is only taken apart.
  static let untrainedMethods = ["encode", "gradient-pursuit-signed"]

  /// The groups of every behaviour at a layer, in the order of their units.
  static func all(of sweep: ResolvedSweep, layer: Int) -> [VariantGroup] {
    var groups: [VariantGroup] = [.original, .controls]
    for sae in sweep.saes where sae.layer == layer && !sweep.methods.isEmpty {
      groups += sweep.methods.map { .reconstruction(sae, method: $0, untrained: false) }
      if sweep.controls.zeroVector { groups.append(.zeroVector(sae)) }
      if sweep.controls.pairDifferenceError { groups.append(.pairDifferenceError(sae)) }
      if sweep.controls.untrainedDictionary {
        groups += sweep.methods.map { .reconstruction(sae, method: $0, untrained: true) }
      }
    }
    return groups
  }

  /// In words, for titles.
  var title: String {
    switch self {
    case .original: "original"
    case .controls: "controls"
    case .zeroVector(let sae): "zero vector of \(sae.name)"
    case .pairDifferenceError(let sae): "error of \(sae.name)"
    case .reconstruction(let sae, let method, let untrained):
      "\(method) through \(untrained ? "untrained-" : "")\(sae.name)"
    }
  }
}

/// A group's variants at one layer and behaviour, and the tasks that make their vectors.
struct ResolvedVariants {
  var variants: [SteeringVariant] = []
  var dependencies: [Digest] = []
}

extension SweepPlan {
  /// The variants of a group that the model is steered with.
  ///
  /// - Parameter decomposition: the task behind reconstructions; nil for the other groups.
  func variants(
    of group: VariantGroup, stage: VectorStage, behaviour: ResolvedSweep.Behaviour, layer: Int,
    decomposition: TaskDefinition?
  ) throws -> ResolvedVariants {
    func variant(
      _ name: String, sae: String? = nil, norm: SteeringVariant.Norm = .raw, _ source: InputReference, _ tensor: String
    ) -> SteeringVariant {
      SteeringVariant(
        variant: name, sae: sae, method: nil, sparsity: nil, convention: nil, norm: norm, source: source,
        tensor: tensor)
    }
    switch group {
    case .original:
      let source = stage.vectors.output("vectors")
      return ResolvedVariants(variants: [variant("original", source, "original.\(layer)")])
    case .controls:
      guard let task = stage.controls else { return ResolvedVariants() }
      let shuffled = sweep.controls.shuffled && behaviour.contrast != nil ? ["shuffled-0"] : []
      let names = (0..<sweep.controls.random).map { "random-\($0)" } + shuffled
      return ResolvedVariants(
        variants: names.map { variant($0, task.output("controls"), "\($0).\(layer)") }, dependencies: [task.key])
    case .zeroVector(let sae):
      let task = try inspection(of: sae, untrained: false)
      return ResolvedVariants(
        variants: sweep.norms.map {
          variant("zero-vector", sae: sae.name, norm: $0, task.output("reconstructions"), "zero-vector")
        }, dependencies: [task.key])
    case .pairDifferenceError(let sae):
      guard behaviour.contrast != nil else { return ResolvedVariants() }
      let task = try self.decomposition(
        of: sae, untrained: false, method: "pair-difference", stage: stage, behaviour: behaviour)
      return ResolvedVariants(
        variants: sweep.norms.map {
          variant(
            "pair-difference-error", sae: sae.name, norm: $0, task.output("reconstructions"),
            "\(behaviour.name)/pair-difference-error")
        }, dependencies: [task.key])
    case .reconstruction(let sae, let method, let untrained):
      guard let decomposition, !untrained || VariantGroup.untrainedMethods.contains(method) else {
        return ResolvedVariants()
      }
      return ResolvedVariants(
        variants: reconstructions(
          untrained ? "untrained-dictionary" : "reconstruction", untrained ? "untrained-\(sae.name)" : sae.name, method,
          behaviour.name, decomposition.output("reconstructions")), dependencies: [decomposition.key])
    }
  }

  private func reconstructions(
    _ variant: String, _ sae: String, _ method: String, _ behaviour: String, _ source: InputReference
  ) -> [SteeringVariant] {
    let convention = DecompositionNaming.steeredConvention(of: method)
    return DecompositionNaming.sparsities(of: method, steered: sweep.steeredSparsities, all: sweep.sparsities)
      .flatMap { sparsity in
        sweep.norms.map {
          SteeringVariant(
            variant: variant, sae: sae, method: method, sparsity: sparsity, convention: convention, norm: $0,
            source: source, tensor: DecompositionNaming.tensor(behaviour, method, sparsity, convention))
        }
      }
  }
}
