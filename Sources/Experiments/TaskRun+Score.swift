internal import Diagnostics
internal import Steering
internal import SweepRecords
internal import TensorFiles

/// The last step: slices of propensities, in index order, to curves, slopes and intervals.
extension TaskRun {
  func score(_ work: ScoreWork) throws -> TaskResult {
    let questions = try ContrastSet(json: try bytes(work.questions), name: "questions")
    let propensities = try self.propensities(work)
    let effects = try sideEffects(work)
    var rows: [TableRow] = []
    for (variant, byQuestion) in propensities {
      let steerability = Steerability(propensities: byQuestion, coefficients: work.settings.coefficients)
      var names = variant.cells(behaviour: work.behaviour, layer: work.layer)
      names["unit"] = .text(work.settings.unit.rawValue)
      names["positions"] = .text(work.settings.positions.rawValue)
      names["score"] = .text(work.settings.score.rawValue)
      names["n"] = .integer(byQuestion.count)
      for (index, point) in steerability.curve.enumerated() {
        let change = effects[variant].map { effect in (effect.sums[index] - effect.baseline) / Double(effect.tokens) }
        rows.append(
          TableRow(
            .evaluation,
            names.merging([
              "coefficient": Cell(point.coefficient), "propensity": Cell(point.propensity),
              "propensity_error": Cell(point.standardError), "probability": Cell(point.probability),
              "accuracy": Cell(point.accuracy), "cross_entropy_change": Cell(change),
            ]) { $1 }))
      }
      let letters = slopesByLetter(steerability.slopes, questions)
      rows.append(
        TableRow(
          .steerabilityScore,
          names.merging([
            "slope": Cell(steerability.mean), "slope_error": Cell(steerability.standardError),
            "anti_steerable_share": Cell(steerability.antiSteerableShare), "spearman": Cell(steerability.spearman),
            "slope_letter_a": Cell(letters.a), "slope_letter_b": Cell(letters.b),
          ]) { $1 }))
    }
    return TaskResult(rows: rows)
  }

  /// Each variant's propensities [questions][coefficients], in the order in which variants are first met.
  private func propensities(_ work: ScoreWork) throws -> [(variant: SteeringVariant, values: [[Double]])] {
    var order: [SteeringVariant] = []
    var values: [SteeringVariant: [Int: [Double]]] = [:]
    for slice in work.slices {
      let tensor = try tensors(slice.source).tensor(named: "propensity")
      let (questions, coefficients) = (slice.to - slice.from, work.settings.coefficients.count)
      let variants = try slice.variants(of: work)
      try tensor.require(shape: [variants.count, questions, coefficients])
      let flat = try tensor.doubles()
      for (index, variant) in variants.enumerated() {
        if values[variant] == nil { order.append(variant) }
        for question in 0..<questions {
          let start = (index * questions + question) * coefficients
          values[variant, default: [:]][slice.from + question] = Array(flat[start..<start + coefficients])
        }
      }
    }
    return order.map { variant in
      let questions = values[variant] ?? [:]
      return (variant, questions.keys.sorted().compactMap { questions[$0] })
    }
  }

  private struct Effect {
    var sums: [Double]
    var baseline = 0.0
    var tokens = 0
  }

  private func sideEffects(_ work: ScoreWork) throws -> [SteeringVariant: Effect] {
    var effects: [SteeringVariant: Effect] = [:]
    let count = work.settings.coefficients.count
    for slice in work.sideEffects {
      let file = try tensors(slice.source)
      let tensor = try file.tensor(named: "cross-entropy")
      let variants = try slice.variants(of: work)
      try tensor.require(shape: [variants.count, count + 1])
      let flat = try tensor.doubles()
      let tokens = try file.tensor(named: "tokens").integers().first ?? 0
      for (index, variant) in variants.enumerated() {
        var effect = effects[variant] ?? Effect(sums: [Double](repeating: 0, count: count))
        for coefficient in 0..<count { effect.sums[coefficient] += flat[index * (count + 1) + coefficient] }
        effect.baseline += flat[index * (count + 1) + count]
        effect.tokens += tokens
        effects[variant] = effect
      }
    }
    return effects
  }

  /// Mean slopes of the questions whose matching answer is A, and B; nil where answers are not letters.
  private func slopesByLetter(_ slopes: [Double], _ questions: ContrastSet) -> (a: Double?, b: Double?) {
    guard questions.hasLetterAnswers else { return (nil, nil) }
    func mean(_ letter: Character) -> Double? {
      let chosen = zip(questions.pairs, slopes).filter { ContrastSet.letter(of: $0.0.positive) == letter }.map(\.1)
      return chosen.isEmpty ? nil : chosen.reduce(0, +) / Double(chosen.count)
    }
    return (mean("A"), mean("B"))
  }
}

extension ScoreWork.Slice {
  /// The variants that the slice covers, of those that the score is about.
  fileprivate func variants(of work: ScoreWork) throws(TaskFault) -> ArraySlice<SteeringVariant> {
    guard firstVariant >= 0, variantCount >= 0, variantCount <= work.variants.count - firstVariant else {
      throw TaskFault(.task, "slice \(from)-\(to) names variants that the score does not have")
    }
    return work.variants[firstVariant..<firstVariant + variantCount]
  }
}
