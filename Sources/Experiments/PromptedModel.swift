package import Diagnostics
internal import Foundation
package import Kernels
package import LanguageModels
internal import TensorFiles
package import Tokenization

/// A model with its tokenizer and the template by which prompts are put to it.
package struct PromptedModel: Sendable {
  package let model: LanguageModel
  package let tokenizer: Tokenizer
  package let template: PromptTemplate

  /// Loads a Hugging Face directory or a `.gguf` file.
  ///
  /// - Parameters:
  ///   - template: a family's name, a template's own text (with `{prompt}`), or nothing for the model's own.
  ///   - weights: how the weights are kept.
  package init(path: String, template: String?, weights: WeightStorage, pool: ThreadPool) throws(InputError) {
    let files = try ModelFiles(path: path)
    tokenizer = try Self.tokenizer(of: files)
    self.template = try Self.template(template, tokenizer: tokenizer)
    model = try LanguageModel(files: files, weights: weights, pool: pool)
  }

  /// The tokenizer among a model's files, without the weights.
  package static func tokenizer(at path: String) throws(InputError) -> Tokenizer {
    try tokenizer(of: try ModelFiles(path: path))
  }

  private static func tokenizer(of files: ModelFiles) throws(InputError) -> Tokenizer {
    if files.configuration != nil { return try Tokenizer(directory: files.path) }
    return try Tokenizer(gguf: try GGUFTokenizerMetadata(GGUFFile(path: files.path).metadata, file: files.path))
  }

  /// The template that a task or flag names: its own text where it holds `{prompt}`, else as `--prompt` takes it.
  package static func template(_ text: String?, tokenizer: Tokenizer) throws(InputError) -> PromptTemplate {
    if let text, text.contains("{prompt}") { return try PromptTemplate(text: text, file: "prompt template") }
    let argument = text.flatMap { $0.isEmpty ? nil : $0 }
    return try PromptTemplate(argument: argument, chatTemplate: tokenizer.chatTemplate)
  }
}

extension GGUFTokenizerMetadata {
  /// Takes the tokenizer's keys from a GGUF file's metadata.
  init(_ metadata: GGUFMetadata, file: String) throws(InputError) {
    self.init(
      file: file, model: try metadata.string("tokenizer.ggml.model"),
      pre: try metadata.stringIfPresent("tokenizer.ggml.pre"), tokens: try metadata.strings("tokenizer.ggml.tokens"))
    tokenTypes = try metadata.integersIfPresent("tokenizer.ggml.token_type") ?? []
    merges = try metadata.stringsIfPresent("tokenizer.ggml.merges") ?? []
    scores = try metadata.floatsIfPresent("tokenizer.ggml.scores") ?? []
    beginningOfText = try metadata.integerIfPresent("tokenizer.ggml.bos_token_id")
    endOfText = try metadata.integerIfPresent("tokenizer.ggml.eos_token_id")
    unknown = try metadata.integerIfPresent("tokenizer.ggml.unknown_token_id")
    addsBeginningOfText = try metadata.booleanIfPresent("tokenizer.ggml.add_bos_token")
    addsSpacePrefix = try metadata.booleanIfPresent("tokenizer.ggml.add_space_prefix")
    chatTemplate = try metadata.stringIfPresent("tokenizer.chat_template")
  }
}
