internal import SweepRecords

/// The evaluation of one group of variants: slices of questions and of neutral text, and their score.
extension SweepPlan {
  /// All tasks of a group at one layer and behaviour: decomposition, evaluation, side effects, score.
  func tasks(
    of group: VariantGroup, behaviour: ResolvedSweep.Behaviour, layer: Int
  ) throws -> [TaskDefinition] {
    let stage = try memory.stage(behaviour, layer: layer) {
      try VectorStage(behaviour, layer: layer, sweep, cost)
    }
    var made: [TaskDefinition] = []
    if case .reconstruction(let sae, let method, let untrained) = group {
      // Without pairs there is nothing whose difference could be taken.
      guard method != "pair-difference" || behaviour.contrast != nil else { return [] }
      made = [
        try decomposition(of: sae, untrained: untrained, method: method, stage: stage, behaviour: behaviour)
      ]
    }
    guard let questions = behaviour.questions, behaviour.questionCount > 0 else { return made }
    let resolved = try variants(
      of: group, stage: stage, behaviour: behaviour, layer: layer, decomposition: made.first)
    guard !resolved.variants.isEmpty else { return made }
    let statistics =
      sweep.settings.unit == .activationNorm ? try harvest(layer: layer).statistics : nil
    let subject = EvaluationSubject(
      behaviour: behaviour, layer: layer, questions: .artifact(questions), variants: resolved.variants,
      original: stage.original(withPairs: false), statistics: statistics.map { .output(task: $0, name: "statistics") },
      dependencies: [stage.vectors.key] + resolved.dependencies + (statistics.map { [$0] } ?? []),
      title: "\(behaviour.name), layer \(layer), \(group.title)")
    let answers = try evaluation(of: subject)
    let effects = try sideEffects(of: subject)
    let score = ScoreWork(
      behaviour: behaviour.name, layer: layer, questions: subject.questions, variants: subject.variants,
      slices: answers.slices, sideEffects: effects.slices, settings: sweep.settings)
    let reduce = try TaskDefinition(
      .score(score), dependencies: (answers.tasks + effects.tasks).map(\.key), layer: layer,
      title: "score \(subject.title)", estimate: 0.1)
    return made + answers.tasks + effects.tasks + [reduce]
  }

  private func evaluation(
    of subject: EvaluationSubject
  ) throws -> (tasks: [TaskDefinition], slices: [ScoreWork.Slice]) {
    let tokens = subject.behaviour.questionTokens
    let steered = sweep.settings.positions == .all ? tokens.prompt + 2 * tokens.answer : 2 * tokens.answer
    let grid = SliceGrid(
      items: subject.behaviour.questionCount, variants: subject.variants.count,
      perItem: cost.blocks(sweep.model.layers, tokens: Double(tokens.prompt)),
      perVariant: steeredSeconds(layer: subject.layer, positions: steered, scored: 2 * tokens.answer))
    var tasks: [TaskDefinition] = []
    var slices: [ScoreWork.Slice] = []
    for cell in grid.cells {
      let work = EvaluateWork(
        model: sweep.model.reference, behaviour: subject.behaviour.name, layer: subject.layer,
        questions: subject.questions, from: cell.items.lowerBound, to: cell.items.upperBound,
        variants: Array(subject.variants[cell.variants]), original: subject.original, settings: sweep.settings,
        statistics: subject.statistics, keepQuestions: sweep.keepQuestions)
      let task = try TaskDefinition(
        .evaluate(work), dependencies: subject.dependencies, files: [sweep.model.file], layer: subject.layer,
        title: "evaluate \(subject.title), questions \(cell.items.lowerBound)-\(cell.items.upperBound - 1)",
        estimate: cell.seconds)
      tasks.append(task)
      slices.append(cell.slice(of: task.output("propensity"), from: cell.items.lowerBound, to: cell.items.upperBound))
    }
    return (tasks, slices)
  }

  private func sideEffects(
    of subject: EvaluationSubject
  ) throws -> (tasks: [TaskDefinition], slices: [ScoreWork.Slice]) {
    guard let effects = sweep.sideEffects else { return ([], []) }
    let grid = SliceGrid(
      items: (effects.tokens + effects.context - 1) / effects.context, variants: subject.variants.count,
      perItem: cost.blocks(sweep.model.layers, tokens: Double(effects.context)),
      perVariant: steeredSeconds(layer: subject.layer, positions: effects.context, scored: effects.context))
    var tasks: [TaskDefinition] = []
    var slices: [ScoreWork.Slice] = []
    for cell in grid.cells {
      let from = cell.items.lowerBound * effects.context
      let to = min(cell.items.upperBound * effects.context, effects.tokens)
      let work = SideEffectsWork(
        model: sweep.model.reference, behaviour: subject.behaviour.name, layer: subject.layer,
        text: .artifact(effects.text), from: from, to: to, context: effects.context,
        variants: Array(subject.variants[cell.variants]), original: subject.original, settings: sweep.settings,
        statistics: subject.statistics)
      let task = try TaskDefinition(
        .sideEffects(work), dependencies: subject.dependencies, files: [sweep.model.file], layer: subject.layer,
        title: "side effects of \(subject.title), tokens \(from)-\(to - 1)", estimate: cell.seconds)
      tasks.append(task)
      slices.append(cell.slice(of: task.output("side-effects"), from: from, to: to))
    }
    return (tasks, slices)
  }

  /// Seconds for one variant at all its coefficients over some steered and scored positions.
  private func steeredSeconds(layer: Int, positions: Int, scored: Int) -> Double {
    let steered = Double(max(sweep.settings.coefficients.filter { $0 != 0 }.count, 1))
    return steered
      * (cost.blocks(sweep.model.layers - layer - 1, tokens: Double(positions))
        + cost.unembedding(rows: Double(scored)))
  }
}

/// What a group's evaluations have in common.
private struct EvaluationSubject {
  let behaviour: ResolvedSweep.Behaviour
  let layer: Int
  let questions: InputReference
  let variants: [SteeringVariant]
  let original: VectorReference
  let statistics: InputReference?
  let dependencies: [Digest]
  let title: String
}
