internal import Diagnostics
internal import Kernels
internal import LanguageModels
internal import Steering
internal import SweepRecords
internal import TensorFiles
internal import Tokenization

/// Does it still steer? Propensities under every variant and coefficient, and what they do to neutral text.
extension TaskRun {
  func evaluate(_ work: EvaluateWork) throws -> TaskResult {
    let prompted = try model(work.model, layers: [work.layer])
    let questions = try ContrastSet(json: try bytes(work.questions), name: "questions")
    let pairs = try questions.tokenized(
      work.from..<work.to, template: prompted.template, tokenizer: prompted.tokenizer)
    let directions = try self.directions(
      work.variants, original: work.original, unit: work.settings.unit, statistics: work.statistics, layer: work.layer,
      dimension: prompted.model.architecture.width)
    let evaluation = Propensity(
      model: prompted.model, layer: work.layer, positions: work.settings.positions, score: work.settings.score)
    let prepared = try executor.prepared(work) { try evaluation.prepare($0.map { pairs[$0 - work.from] }) }
    let propensities = try evaluation.evaluate(
      prepared, directions: directions, coefficients: work.settings.coefficients, progress: advance)
    let flat = propensities.flatMap { $0.flatMap { $0 } }
    guard flat.allSatisfy(\.isFinite) else {
      throw TaskFault(.task, "a propensity is not finite: the steered model breaks down; use smaller coefficients")
    }
    var writer = SafetensorsWriter()
    try writer.add(
      "propensity", shape: [directions.count, pairs.count, work.settings.coefficients.count], doubles: flat)
    return TaskResult(
      artifacts: [Artifact(name: "propensity", bytes: writer.bytes())],
      rows: work.keepQuestions ? questionRows(work, propensities) : [],
      effort: TaskEffort(
        tokens: prepared.reduce(0) { $0 + $1.rows } * directions.count * work.settings.coefficients.count))
  }

  private func questionRows(_ work: EvaluateWork, _ propensities: [[[Double]]]) -> [TableRow] {
    var rows: [TableRow] = []
    for (variant, values) in zip(work.variants, propensities) {
      for (question, curve) in values.enumerated() {
        for (coefficient, value) in zip(work.settings.coefficients, curve) {
          var cells = variant.cells(behaviour: work.behaviour, layer: work.layer)
          cells["question"] = .integer(work.from + question)
          cells["coefficient"] = Cell(coefficient)
          cells["propensity"] = Cell(value)
          cells["probability"] = Cell(Steerability.probability(value))
          rows.append(TableRow(.evaluationQuestion, cells))
        }
      }
    }
    return rows
  }

  func sideEffects(_ work: SideEffectsWork) throws -> TaskResult {
    let prompted = try model(work.model, layers: [work.layer])
    let tokens = try prompted.tokenizer.encode(bytes: try bytes(work.text))
    guard work.to <= tokens.count else {
      throw TaskFault(.task, "side_effects.tokens is \(work.to) or more, but the text has \(tokens.count) tokens")
    }
    let start = prompted.tokenizer.wantsBeginningOfText ? [prompted.tokenizer.beginningOfText].compactMap { $0 } : []
    // Borders lie at multiples of the context whatever the slice, so that they don't move with what else is evaluated.
    let contexts = stride(from: work.from, to: work.to, by: work.context).map {
      start + tokens[$0..<min($0 + work.context, work.to)]
    }
    let directions = try self.directions(
      work.variants, original: work.original, unit: work.settings.unit, statistics: work.statistics, layer: work.layer,
      dimension: prompted.model.architecture.width)
    // The unsteered text is the baseline, whether or not 0 is among the coefficients.
    let coefficients = work.settings.coefficients + [0]
    let neutral = NeutralText(model: prompted.model, layer: work.layer)
    let (sums, count) = try neutral.crossEntropy(
      of: contexts, directions: directions, coefficients: coefficients, progress: advance)
    var writer = SafetensorsWriter()
    try writer.add("cross-entropy", shape: [sums.count, coefficients.count], doubles: sums.flatMap { $0 })
    try writer.add("tokens", shape: [1], integers: [count])
    return TaskResult(
      artifacts: [Artifact(name: "side-effects", bytes: writer.bytes())],
      effort: TaskEffort(tokens: count * directions.count * coefficients.count))
  }

  /// Each variant's vector at its norm, in units of the coefficient.
  private func directions(
    _ variants: [SteeringVariant], original: VectorReference, unit: CoefficientUnit, statistics: InputReference?,
    layer: Int, dimension: Int
  ) throws -> [[Float]] {
    let length = norm(try vector(original.tensor, in: original.source))
    var factor: Float = 1
    if unit == .activationNorm {
      guard let statistics else {
        throw TaskFault(.task, "coefficients are in units of the activation norm, but no statistics are named")
      }
      factor = try norms(statistics, layer: layer).median / length
    }
    return try variants.map { variant in
      var direction = try vector(variant.tensor, in: variant.source)
      guard direction.count == dimension else {
        throw InputError(variant.tensor, expected: "a vector of dimension \(dimension)", found: "\(direction.count)")
      }
      if variant.norm == .matched { direction = SteeringVectors.rescaled(direction, to: length) }
      return factor == 1 ? direction : direction.map { $0 * factor }
    }
  }
}

extension SteeringVariant {
  /// The columns that name a variant in a result row.
  func cells(behaviour: String, layer: Int) -> [String: Cell] {
    [
      "behaviour": .text(behaviour), "layer": .integer(layer), "variant": .text(variant), "sae": Cell(sae),
      "method": Cell(method), "sparsity": Cell(sparsity?.description), "convention": Cell(convention),
      "norm": .text(norm.rawValue),
    ]
  }
}
