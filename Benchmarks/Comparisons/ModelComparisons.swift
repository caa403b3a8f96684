internal import Diagnostics
internal import Foundation
internal import Kernels
internal import LanguageModels
internal import Steering
internal import SweepRecords
internal import TensorFiles

/// A prompt through the whole model, to the logits after its last token.
struct PromptComparison: Comparison {
  private let model: LanguageModel
  private let tokens: [Int]

  init(_ inputs: Inputs) throws {
    let file = try inputs.file("prompt")
    tokens = try file.tensor(named: "tokens").integers()
    model = try LanguageModel(path: "\(inputs.folder)/model", weights: .float32, pool: inputs.pool)
  }

  mutating func result() throws -> SafetensorsWriter {
    var writer = SafetensorsWriter()
    let logits = try logits(tokens)
    try writer.add("logits", shape: [logits.count], floats: logits)
    return writer
  }

  /// All tokens, or so many of them over and over.
  mutating func run(_ part: String) throws {
    let count = Int(part) ?? tokens.count
    _ = try logits((0..<count).map { tokens[$0 % tokens.count] })
  }

  private func logits(_ tokens: [Int]) throws -> [Float] {
    let blocks = BlockRun(blocks: 0..<model.architecture.blocks, finalRows: [tokens.count - 1])
    return model.logits(try model.forward([tokens], blocks).residual).row(0)
  }
}

/// Propensities of questions under all vectors and coefficients.
struct EvaluationComparison: Comparison {
  private let model: LanguageModel
  private let questions: [TokenizedPair]
  private let directions: [[Float]]
  private let coefficients: [Double]
  private let evaluation: Propensity
  private let layer: Int

  init(_ inputs: Inputs, _ name: String) throws {
    let file = try inputs.file(name)
    layer = try inputs.number("layer", in: file)
    questions = try (0..<inputs.number("questions", in: file)).map { index in
      TokenizedPair(
        prompt: try file.tensor(named: "prompt.\(index)").integers(),
        positive: try file.tensor(named: "positive.\(index)").integers(),
        negative: try file.tensor(named: "negative.\(index)").integers(), isLetterChoice: name == "letters")
    }
    let vectors = try inputs.matrix("vectors", in: file)
    directions = (0..<vectors.rows).map(vectors.row)
    coefficients = try file.tensor(named: "coefficients").floats().map(Double.init)
    model = try LanguageModel(path: "\(inputs.folder)/model", weights: .float32, pool: inputs.pool)
    evaluation = Propensity(model: model, layer: layer, positions: .scored, score: .perToken)
  }

  mutating func result() throws -> SafetensorsWriter {
    var writer = SafetensorsWriter()
    let propensities = try evaluate(variants: directions.count, coefficients: coefficients.count)
    try writer.add(
      "propensities", shape: [directions.count, questions.count, coefficients.count],
      floats: propensities.flatMap { $0.flatMap { $0.map(Float.init) } })
    return writer
  }

  /// The evaluation, all of it or so many `VARIANTS COEFFICIENTS`; or `floor`: the floating-point work of it that no two cases
  /// share, as one matrix product.
  mutating func run(_ part: String) throws {
    let numbers = part.split(separator: " ").compactMap { Int($0) }
    if part == "floor" {
      multiplyUnshared()
    } else if numbers.count == 2 {
      _ = try evaluate(variants: numbers[0], coefficients: numbers[1])
    } else {
      _ = try evaluate(variants: directions.count, coefficients: coefficients.count)
    }
  }

  private func evaluate(variants: Int, coefficients count: Int) throws -> [[[Double]]] {
    try evaluation.evaluate(
      questions, directions: Array(directions.prefix(variants)), coefficients: Array(coefficients.prefix(count)))
  }

  private lazy var floorWeights = PackedMatrix(
    Matrix(
      rows: model.architecture.feedForwardWidth, columns: model.architecture.width,
      elements: (0..<model.architecture.feedForwardWidth * model.architecture.width).map { Float($0 % 17) - 8 }),
    pool: model.pool)

  /// As many multiply-adds as the cases have that no two of them share, in products of 768 rows with the model's gate weights:
  /// the blocks above the layer and the unembedding at every scored position that no other case has too, attention apart.
  private mutating func multiplyUnshared() {
    let architecture = model.architecture
    let block =
      architecture.width * (2 * architecture.queryWidth + 2 * architecture.keyValueWidth)
      + 3 * architecture.width * architecture.feedForwardWidth
    let above = architecture.blocks - layer - 1
    var work = 0
    for question in questions {
      // The last prompt token and what both answers begin with are one another's; a letter is scored there.
      let rows =
        question.isLetterChoice
        ? 1 : question.positive.count + question.negative.count - question.commonAnswerTokens - 1
      work += rows * above * block
      work += question.isLetterChoice ? 0 : rows * architecture.vocabulary * architecture.width
    }
    let cases = directions.count * coefficients.count { $0 != 0 }
    let rows = 768
    let each = rows * architecture.width * architecture.feedForwardWidth
    let x = Matrix(rows: rows, columns: architecture.width, repeating: 1)
    var y = Matrix(rows: rows, columns: architecture.feedForwardWidth)
    for _ in 0..<max(1, Int((Double(work) * Double(cases) / Double(each)).rounded())) {
      multiply(x, floorWeights, into: &y, pool: model.pool)
    }
  }
}
