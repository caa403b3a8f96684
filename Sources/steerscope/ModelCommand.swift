internal import ArgumentParser
internal import Diagnostics
internal import Experiments
internal import LanguageModels
internal import Reporting
internal import Tokenization

/// `model`: what a model's files hold.
struct ModelCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model", abstract: "Looks into a model's files.", subcommands: [Info.self])

  /// `model info`: architecture, shapes, tokenizer, memory.
  struct Info: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "info", abstract: "Prints a model's architecture, shapes, tokenizer and the memory it needs.")

    @Argument(help: "A Hugging Face directory or a .gguf file.") var model: String
    @Option(help: "table or json.") var format = OutputFormat.table

    private struct Output: Encodable {
      var family: String
      var blocks, width, heads, keyValueHeads, headDimension, feedForwardWidth: Int
      var vocabulary, contextLength, parameters: Int
      var tiedUnembedding: Bool
      var tokens: Int
      var template: String
      var tokenizerMissesBytes: [Int]
      var fileBytes, memoryBytes: Int
    }

    func run() async throws {
      let files = try ModelFiles(path: model)
      let (architecture, memoryBytes) = try LanguageModel.describe(files)
      let tokenizer = try PromptedModel.tokenizer(at: model)
      let template = try PromptedModel.template(nil, tokenizer: tokenizer)
      let output = Output(
        family: architecture.family.rawValue, blocks: architecture.blocks, width: architecture.width,
        heads: architecture.heads, keyValueHeads: architecture.keyValueHeads,
        headDimension: architecture.headDimension, feedForwardWidth: architecture.feedForwardWidth,
        vocabulary: architecture.vocabulary, contextLength: architecture.contextLength,
        parameters: architecture.parameters, tiedUnembedding: architecture.tiedUnembedding,
        tokens: tokenizer.vocabularySize, template: template.family.rawValue,
        tokenizerMissesBytes: tokenizer.missingBytes.map(Int.init), fileBytes: files.weightBytes,
        memoryBytes: memoryBytes)
      guard format == .table else { return try JSONOutput.print(output) }
      for child in Mirror(reflecting: output).children {
        Terminal.result("\(child.label ?? ""): \(child.value)\n")
      }
    }
  }
}
