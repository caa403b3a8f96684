internal import ArgumentParser
internal import Diagnostics
internal import Experiments
internal import Kernels
internal import LanguageModels
internal import Reporting
internal import Steering
internal import SweepRecords
internal import TensorFiles

/// `evaluate`: does a vector steer?
struct EvaluateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Steers the model with a vector: propensity per question and coefficient, slopes.")

  @OptionGroup var options: ModelOptions
  @Option(help: "PATH[:NAME] of the vector.") var vector: String
  @Option(parsing: .unconditional, help: "Steer after this block (0-based).") var layer: Int
  @Option(help: "Questions with both answers: JSON list or lines.") var questions: String
  @Option(parsing: .unconditional, help: "Coefficients: -2,-1,0,1,2 or -2:2:0.5.") var coefficients: String
  @Option(help: "Which positions are steered: scored, last or all.") var positions = "scored"
  @Option(help: "How an answer's tokens make its score: per-token or sum.") var score = "per-token"
  @Option(help: "What a coefficient of 1 is: vector or activation-norm.") var unit = "vector"
  @Option(parsing: .unconditional, help: "The layer's median activation norm, for --unit activation-norm.")
  var activationNorm: Double?
  @Option(help: "raw, chatml, gemma, llama2, llama3 or a file with {prompt}; the model's own unless said.")
  var prompt: String?
  @Option(parsing: .unconditional, help: "At most so many questions, from the front.") var limit: Int?
  @Flag(help: "Run the slow reference: a full forward pass per question, answer and coefficient.") var naive = false
  @Option(help: "table, json or csv.") var format = OutputFormat.table

  private struct Output: Encodable {
    struct Point: Encodable { var coefficient, propensity, standardError, probability, accuracy: Finite }
    struct Summary: Encodable { var mean, standardError, antiSteerableShare, spearman: Finite }
    struct Question: Encodable {
      var index: Int
      var slope: Finite
      var propensity: [Finite]
    }
    var layer: Int
    var curve: [Point]
    var steerability: Summary
    var questions: [Question]
  }

  func run() async throws {
    let coefficients = try Lists.numbers(coefficients, flag: "--coefficients")
    let positions = try choice(positions, flag: "--positions", SteeredPositions.self)
    let score = try choice(score, flag: "--score", AnswerScore.self)
    let prompted = try options.load(template: prompt)
    let layer = try Lists.layer(layer, of: prompted.model)
    let direction = try direction(width: prompted.model.architecture.width)
    let pairs = try Inputs.pairs(questions, limit: limit, for: prompted).pairs
    let propensities: [[Double]]
    if naive {
      let reference = NaivePropensity(model: prompted.model, layer: layer, positions: positions, score: score)
      propensities = try reference.evaluate(pairs, directions: [direction], coefficients: coefficients)[0]
    } else {
      let progress = LineProgress("evaluating \(pairs.count) questions")
      let shared = Propensity(model: prompted.model, layer: layer, positions: positions, score: score)
      propensities = try shared.evaluate(pairs, directions: [direction], coefficients: coefficients) { fraction in
        progress.show(fraction)
        return true
      }[0]
      progress.finish()
    }
    try show(Steerability(propensities: propensities, coefficients: coefficients), propensities, layer: layer)
  }

  private func direction(width: Int) throws -> [Float] {
    let locator = try TensorLocator(vector)
    let values = try locator.vector(width: width)
    switch try choice(unit, flag: "--unit", CoefficientUnit.self) {
    case .vector: return values
    case .activationNorm:
      guard let median = try activationNorm ?? medianNorm(in: locator), median > 0, median.isFinite else {
        throw InputError(
          "--unit activation-norm", expected: "--activation-norm with the layer's median norm", found: "none",
          remedy: "give a vector of `extract`, which writes activation_norm_p50.\(layer) into its file's metadata")
      }
      return SteeringVectors.rescaled(values, to: Float(median))
    }
  }

  /// The layer's median norm, where the vector's file says it as `extract` does.
  private func medianNorm(in locator: TensorLocator) throws(InputError) -> Double? {
    guard let file = try TensorLocator.open(locator.path) as? SafetensorsFile else { return nil }
    return file.metadata["activation_norm_p50.\(layer)"].flatMap { Double($0) }
  }

  private func show(_ result: Steerability, _ propensities: [[Double]], layer: Int) throws {
    switch format {
    case .json:
      try JSONOutput.print(
        Output(
          layer: layer,
          curve: result.curve.map {
            .init(
              coefficient: Finite($0.coefficient), propensity: Finite($0.propensity),
              standardError: Finite($0.standardError), probability: Finite($0.probability),
              accuracy: Finite($0.accuracy))
          },
          steerability: .init(
            mean: Finite(result.mean), standardError: Finite(result.standardError),
            antiSteerableShare: Finite(result.antiSteerableShare), spearman: Finite(result.spearman)),
          questions: zip(result.slopes, propensities).enumerated().map { index, pair in
            .init(index: index, slope: Finite(pair.0), propensity: pair.1.map { Finite($0) })
          }))
    case .csv, .table:
      let table = TerminalTable(
        columns: ["coefficient", "propensity", "standard_error", "probability", "accuracy"],
        rows: result.curve.map {
          [$0.coefficient, $0.propensity, $0.standardError, $0.probability, $0.accuracy].map { Cell(finite: $0) }
        })
      Terminal.result(table.render(as: format))
      if format == .table {
        let facts = [
          ("slope", result.mean), ("standard error", result.standardError),
          ("anti-steerable share", result.antiSteerableShare), ("Spearman", result.spearman),
        ]
        Terminal.result("\n" + facts.map { "\($0) \(Facts.short($1))" }.joined(separator: ", ") + "\n")
      }
    }
  }
}
