internal import Diagnostics
internal import Experiments
internal import Foundation
internal import LanguageModels
internal import SparseAutoencoders
internal import Steering
internal import SweepPlanning
internal import SweepRecords
internal import Synchronization
internal import TensorFiles
internal import Tokenization

/// Looks into the files of a sweep with the readers of the modules that know them.
struct SweepFileInspection: SweepFileInspector {
  private let tokenizers = LastTokenizer()

  func model(at path: String) throws(InputError) -> ModelFacts {
    let architecture = try LanguageModel.describe(ModelFiles(path: path)).architecture
    let embedding = architecture.vocabulary * architecture.width * (architecture.tiedUnembedding ? 1 : 2)
    return ModelFacts(
      layers: architecture.blocks, dimension: architecture.width, vocabulary: architecture.vocabulary,
      blockParameters: architecture.parameters - embedding, contextLength: architecture.contextLength)
  }

  /// The family of a model's architecture, for its row.
  func architecture(at path: String) throws(InputError) -> String {
    try LanguageModel.describe(ModelFiles(path: path)).architecture.family.rawValue
  }

  func sae(at path: String) throws(InputError) -> SAEFacts {
    let autoencoder = try SparseAutoencoder(contentsOf: path)
    return SAEFacts(dimension: autoencoder.dimension, width: autoencoder.width, layer: autoencoder.metadata.layer)
  }

  func contrastSet(_ bytes: [UInt8], name: String) throws(InputError) -> ContrastFacts {
    let set = try ContrastSet(json: bytes, name: name)
    return ContrastFacts(
      count: set.pairs.count, read: set.defaultRead, promptBytes: set.pairs.reduce(0) { $0 + $1.prompt.utf8.count },
      answerBytes: set.pairs.reduce(0) { $0 + $1.positive.utf8.count + $1.negative.utf8.count })
  }

  func checkPairs(
    _ bytes: [UInt8], name: String, count: Int, modelAt path: String, template: String
  ) throws(InputError) {
    let tokenizer = try tokenizers.tokenizer(at: path)
    let pairs = try ContrastSet(json: bytes, name: name).tokenized(
      0..<count, template: PromptedModel.template(template, tokenizer: tokenizer), tokenizer: tokenizer)
    try Inputs.check(pairs, of: name, context: model(at: path).contextLength)
  }

  func checkVector(at path: String, layers: [Int], dimension: Int) throws(InputError) {
    let bytes = try Inputs.bytes(path)
    for layer in layers {
      let vector = try GivenVector.read(bytes, name: path, layer: layer)
      guard vector.count == dimension else {
        throw InputError(path, expected: "a vector of dimension \(dimension)", found: "\(vector.count)")
      }
    }
  }

  func template(_ name: String?, relativeTo folder: String) throws(InputError) -> String {
    guard let name else { return "" }
    if PromptTemplate.Family(rawValue: name) != nil { return name }
    let path = name.hasPrefix("/") ? name : folder + "/" + name
    let text = String(decoding: try Inputs.bytes(path), as: UTF8.self)
    _ = try PromptTemplate(text: text, file: path)
    return text
  }

  func tokenCount(of text: [UInt8], modelAt path: String) throws(InputError) -> Int {
    try tokenizers.tokenizer(at: path).encode(bytes: text).count
  }
}

/// The tokenizer of the model that was asked for last: large ones take a second to read.
private final class LastTokenizer: Sendable {
  private let last = Mutex<(path: String, tokenizer: Tokenizer)?>(nil)

  func tokenizer(at path: String) throws(InputError) -> Tokenizer {
    if let known = last.withLock({ $0?.path == path ? $0?.tokenizer : nil }) { return known }
    let tokenizer = try PromptedModel.tokenizer(at: path)
    last.withLock { $0 = (path, tokenizer) }
    return tokenizer
  }
}
