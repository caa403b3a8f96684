internal import ArgumentParser
internal import Diagnostics
internal import Experiments
internal import Kernels
internal import LanguageModels
internal import Reporting
internal import SweepRecords
internal import TensorFiles
internal import Tokenization

/// `logits`: next-token logits, for checking a model against another implementation.
struct LogitsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "logits", abstract: "Prints the logits of the token after a prompt, steered if asked.")

  @OptionGroup var options: ModelOptions
  @Option(
    parsing: .unconditional, help: "The prompt, taken literally; special tokens spelled in it are parsed as such.")
  var prompt: String
  @OptionGroup var text: TextOptions
  @Option(parsing: .unconditional, help: "How many of the largest to print.") var top = 10
  @Option(parsing: .unconditional, help: "Print the logits of these token ids instead.") var tokens: String?
  @Option(parsing: .unconditional, help: "Steer after this block (0-based).") var layer: Int?
  @Option(help: "PATH[:NAME] of the vector to steer with.") var vector: String?
  @Option(parsing: .unconditional, help: "How much of it.") var coefficient = 1.0
  @Option(help: "Which positions are steered: last or all.") var positions = "last"
  @Option(help: "table, json or csv.") var format = OutputFormat.table

  private struct Output: Encodable {
    struct Logit: Encodable {
      var token: Int
      var text: String
      var logit: Finite
    }
    var tokens: [Int]
    var logits: [Logit]
  }

  func run() async throws {
    let top = try Lists.count(top, flag: "--top")
    guard Float(coefficient).isFinite else {
      throw InputError("--coefficient", expected: "a number that 32 bits can hold", found: "\(coefficient)")
    }
    let prompted = try options.load(template: "raw")
    let model = prompted.model
    let ids = try prompted.tokenizer.encode(prompt, addingBeginningOfText: text.bos)
    try model.check(ids, subject: "--prompt")
    let run = BlockRun(
      blocks: 0..<model.architecture.blocks, additions: try additions(model, positions: ids.count),
      finalRows: [ids.count - 1], keepsCache: false)
    let residual = try model.forward([ids], run).residual
    let chosen: [Int]
    let logits: [Float]
    if let tokens {
      chosen = try Lists.tokens(tokens, flag: "--tokens")
      guard !chosen.isEmpty else { throw InputError("--tokens", expected: "at least one token id", found: "none") }
      if let bad = chosen.first(where: { $0 >= model.architecture.vocabulary }) {
        throw InputError("--tokens", expected: "ids below \(model.architecture.vocabulary)", found: "\(bad)")
      }
      logits = model.logits(residual, tokens: chosen).row(0)
    } else {
      let all = model.logits(residual).row(0)
      chosen = topK(all, top)
      logits = chosen.map { all[$0] }
    }
    let rows = zip(chosen, logits).map {
      Output.Logit(token: $0, text: prompted.tokenizer.text(of: $0) ?? "", logit: Finite(Double($1)))
    }
    switch format {
    case .json: try JSONOutput.print(Output(tokens: ids, logits: rows))
    case .csv, .table:
      let cells = rows.map { row in
        [
          Cell.integer(row.token), .text(format == .csv ? row.text : row.text.debugDescription),
          Cell(finite: row.logit.value),
        ]
      }
      Terminal.result(TerminalTable(columns: ["token", "text", "logit"], rows: cells).render(as: format))
    }
  }

  private func additions(_ model: LanguageModel, positions count: Int) throws(InputError) -> [ResidualAddition] {
    let steered = try choice(positions, flag: "--positions", SteeredPositions.self)
    guard steered != .scored else {
      throw InputError("--positions", expected: "last or all", found: "scored")
    }
    guard let vector else {
      guard layer == nil else { throw InputError("--layer", expected: "--vector with it", found: "none") }
      return []
    }
    guard let layer else { throw InputError("--vector", expected: "--layer with it", found: "none") }
    let values = try TensorLocator(vector).vector(width: model.architecture.width)
    return [
      ResidualAddition(
        layer: try Lists.layer(layer, of: model), vector: values, coefficient: Float(coefficient),
        rows: steered == .last ? [count - 1] : Array(0..<count))
    ]
  }
}
