internal import SweepRecords

/// The evaluation of one layer and behaviour: variants, slices of questions, side effects and their score.
extension SweepPlan {
  func evaluation(layer: Int, behaviour index: Int) throws -> [TaskDefinition] {
    let unit = vectors[index]
    guard let questions = unit.behaviour.questions, unit.behaviour.questionCount > 0 else { return [] }
    let through = saes.filter { $0.sae.layer == layer }
    let variants = self.variants(layer: layer, behaviour: index, through: through)
    let sources =
      [unit.vectorsKey] + through.map { $0.reconstructions[index].key }
      + through.filter { !$0.untrained.isEmpty }.map { $0.untrained[index].key }
    let statistics = sweep.settings.unit == .activationNorm ? harvest.statistics : nil
    let dependencies = sources + (statistics == nil ? [] : [harvest.statisticsKey])
    let where_ = "\(unit.behaviour.name), layer \(layer)"

    // An item is about 36 scored positions: two answers of 18 tokens.
    let perVariant = caseSeconds(layer: layer, positions: 36)
    let grid = slices(of: unit.behaviour.questionCount, variants: variants.count, perVariant: perVariant)
    var tasks: [TaskDefinition] = []
    var slices: [ScoreWork.Slice] = []
    for (items, chosen) in grid {
      let work = EvaluateWork(
        model: sweep.model.reference, behaviour: unit.behaviour.name, layer: layer, questions: .artifact(questions),
        from: items.lowerBound, to: items.upperBound, variants: Array(variants[chosen]),
        original: unit.original(layer: layer), settings: sweep.settings, statistics: statistics,
        keepQuestions: sweep.keepQuestions)
      let task = try TaskDefinition(
        .evaluate(work), dependencies: dependencies, files: [sweep.model.file], layer: layer,
        title: "evaluate \(where_), questions \(items.lowerBound)-\(items.upperBound - 1)",
        estimate: perVariant * Double(items.count * chosen.count))
      tasks.append(task)
      slices.append(
        .init(
          source: task.output("propensity"), from: items.lowerBound, to: items.upperBound,
          variants: Array(variants[chosen])))
    }
    let effects = try sideEffects(
      layer: layer, unit: unit, variants: variants, dependencies: dependencies, statistics: statistics)
    let score = ScoreWork(
      behaviour: unit.behaviour.name, layer: layer, questions: .artifact(questions), slices: slices,
      sideEffects: effects.slices, settings: sweep.settings)
    let reduce = try TaskDefinition(
      .score(score), dependencies: (tasks + effects.tasks).map(\.key), layer: layer, title: "score \(where_)",
      estimate: 1)
    return tasks + effects.tasks + [reduce]
  }

  private func sideEffects(
    layer: Int, unit: VectorsUnit, variants: [SteeringVariant], dependencies: [Digest], statistics: InputReference?
  ) throws -> (tasks: [TaskDefinition], slices: [ScoreWork.Slice]) {
    guard let effects = sweep.sideEffects else { return ([], []) }
    let perVariant = caseSeconds(layer: layer, positions: Double(effects.context))
    let contexts = (effects.tokens + effects.context - 1) / effects.context
    var tasks: [TaskDefinition] = []
    var slices: [ScoreWork.Slice] = []
    for (items, chosen) in self.slices(of: contexts, variants: variants.count, perVariant: perVariant) {
      let from = items.lowerBound * effects.context
      let to = min(items.upperBound * effects.context, effects.tokens)
      let work = SideEffectsWork(
        model: sweep.model.reference, behaviour: unit.behaviour.name, layer: layer, text: .artifact(effects.text),
        from: from, to: to, context: effects.context, variants: Array(variants[chosen]),
        original: unit.original(layer: layer), settings: sweep.settings, statistics: statistics)
      let task = try TaskDefinition(
        .sideEffects(work), dependencies: dependencies, files: [sweep.model.file], layer: layer,
        title: "side effects of \(unit.behaviour.name), layer \(layer), tokens \(from)-\(to - 1)",
        estimate: perVariant * Double(items.count * chosen.count))
      tasks.append(task)
      slices.append(.init(source: task.output("side-effects"), from: from, to: to, variants: Array(variants[chosen])))
    }
    return (tasks, slices)
  }

  /// Seconds for one variant at all its coefficients over some scored positions.
  private func caseSeconds(layer: Int, positions: Double) -> Double {
    let steered = Double(max(sweep.settings.coefficients.filter { $0 != 0 }.count, 1))
    return steered
      * (cost.blocks(sweep.model.layers - layer - 1, tokens: positions) + cost.unembedding(rows: positions))
  }

  /// Cuts items x variants: whole items with all variants where these are short enough, else variants too.
  private func slices(of items: Int, variants: Int, perVariant: Double) -> [(Range<Int>, Range<Int>)] {
    let perItem = perVariant * Double(variants)
    if perItem <= TaskCost.target {
      return items.slices(of: TaskCost.slice(unit: perItem, in: 1...1024)).map { ($0, 0..<variants) }
    }
    let chosen = variants.slices(of: TaskCost.slice(unit: perVariant, in: 1...variants))
    return items.slices(of: 1).flatMap { item in chosen.map { (item, $0) } }
  }

  // MARK: Variants

  private func variants(layer: Int, behaviour index: Int, through saes: [SAEUnit]) -> [SteeringVariant] {
    let unit = vectors[index]
    func plain(_ variant: String, _ tensor: String) -> SteeringVariant {
      SteeringVariant(
        variant: variant, sae: nil, method: nil, sparsity: nil, convention: nil, norm: .raw, source: unit.vectors,
        tensor: tensor)
    }
    var variants = [plain("original", "original.\(layer)")]
    variants += (0..<sweep.controls.random).map { plain("random-\($0)", "random-\($0).\(layer)") }
    if sweep.controls.shuffled && unit.behaviour.contrast != nil {
      variants.append(plain("shuffled-0", "shuffled-0.\(layer)"))
    }
    for sae in saes {
      let methods = sweep.methods.filter { $0 != "pair-difference" || !unit.pairs.isEmpty }
      let source = sae.reconstructions[index].source
      variants += reconstructions("reconstruction", sae.sae.name, unit, methods, source)
      for norm in sweep.norms where sweep.controls.zeroVector {
        variants.append(
          SteeringVariant(
            variant: "zero-vector", sae: sae.sae.name, method: nil, sparsity: nil, convention: nil, norm: norm,
            source: source, tensor: "zero-vector"))
      }
      for norm in sweep.norms where sweep.controls.pairDifferenceError && methods.contains("pair-difference") {
        variants.append(
          SteeringVariant(
            variant: "pair-difference-error", sae: sae.sae.name, method: nil, sparsity: nil, convention: nil,
            norm: norm, source: source, tensor: "\(unit.behaviour.name)/pair-difference-error"))
      }
      if !sae.untrained.isEmpty {
        let kept = methods.filter { ["encode", "gradient-pursuit-signed"].contains($0) }
        variants += reconstructions(
          "untrained-dictionary", "untrained-\(sae.sae.name)", unit, kept, sae.untrained[index].source)
      }
    }
    return variants
  }

  private func reconstructions(
    _ variant: String, _ sae: String, _ unit: VectorsUnit, _ methods: [String], _ source: InputReference
  ) -> [SteeringVariant] {
    methods.flatMap { method in
      DecompositionNaming.sparsities(of: method, steered: sweep.steeredSparsities, all: sweep.sparsities).flatMap {
        sparsity in
        let convention = DecompositionNaming.steeredConvention(of: method)
        let tensor = DecompositionNaming.tensor(unit.behaviour.name, method, sparsity, convention)
        return sweep.norms.map {
          SteeringVariant(
            variant: variant, sae: sae, method: method, sparsity: sparsity, convention: convention, norm: $0,
            source: source, tensor: tensor)
        }
      }
    }
  }
}
