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
    @Option(help: "table, json or csv.") var format = OutputFormat.table

    func run() async throws {
      let files = try ModelFiles(path: model)
      let (architecture, memoryBytes) = try LanguageModel.describe(files)
      let tokenizer = try PromptedModel.tokenizer(at: model)
      let template = try PromptedModel.template(nil, tokenizer: tokenizer)
      var facts = Facts()
      facts.add("family", architecture.family.rawValue)
      facts.add("blocks", architecture.blocks)
      facts.add("width", architecture.width)
      facts.add("heads", architecture.heads)
      facts.add("key_value_heads", architecture.keyValueHeads)
      facts.add("head_dimension", architecture.headDimension)
      facts.add("feed_forward_width", architecture.feedForwardWidth)
      facts.add("vocabulary", architecture.vocabulary)
      facts.add("context_length", architecture.contextLength)
      facts.add("parameters", architecture.parameters)
      facts.add("tied_unembedding", architecture.tiedUnembedding)
      facts.add("tokens", tokenizer.vocabularySize)
      facts.add("template", template.family.rawValue)
      facts.add("tokenizer_misses_bytes", tokenizer.missingBytes.map(Int.init))
      facts.add("file_bytes", files.weightBytes)
      facts.add("memory_bytes", memoryBytes)
      Terminal.result(facts.render(as: format))
    }
  }
}
