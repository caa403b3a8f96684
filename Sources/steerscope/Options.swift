internal import ArgumentParser
internal import Diagnostics
internal import Experiments
internal import Foundation
internal import Kernels
internal import LanguageModels
internal import Reporting
internal import SweepPlanning
internal import SweepRecords

/// `--threads`, for every command that computes.
struct ThreadOptions: ParsableArguments {
  @Option(parsing: .unconditional, help: "How many threads compute; all cores unless said.")
  var threads: Int?

  func pool() throws(InputError) -> ThreadPool {
    let count = threads ?? ThreadPool.hardwareThreads
    guard (1...1024).contains(count) else {
      throw InputError("--threads", expected: "a number from 1 to 1024", found: "\(count)")
    }
    return ThreadPool(threads: count)
  }
}

/// `--model` with `--dtype` and `--threads`.
struct ModelOptions: ParsableArguments {
  @Option(help: "A Hugging Face directory (config.json, tokenizer.json, *.safetensors) or a .gguf file.")
  var model: String

  @Option(name: .customLong("dtype"), help: "How weights are kept: as-stored, float32 or bfloat16.")
  var weights = "as-stored"

  @OptionGroup var threads: ThreadOptions

  func load(template: String?) throws(InputError) -> PromptedModel {
    guard let weights = WeightStorage(rawValue: weights) else {
      throw InputError("--dtype", expected: "as-stored, float32 or bfloat16", found: "\"\(self.weights)\"")
    }
    return try PromptedModel(path: model, template: template, weights: weights, pool: try threads.pool())
  }
}

/// `--bos` and a text that is taken literally.
struct TextOptions: ParsableArguments {
  @Flag(help: "Put the model's beginning-of-text token in front.")
  var bos = false
}

extension OutputFormat: ExpressibleByArgument {}

/// Numbers and layers as users write them.
enum Lists {
  static func numbers(_ text: String, flag: String) throws(InputError) -> [Double] {
    try NumberList.parse(text, subject: flag)
  }

  /// How many of something: at least one.
  static func count(_ count: Int, flag: String) throws(InputError) -> Int {
    guard count >= 1 else { throw InputError(flag, expected: "a number from 1 up", found: "\(count)") }
    return count
  }

  static func layers(_ text: String, of model: LanguageModel) throws(InputError) -> [Int] {
    try NumberList.layers(text, count: model.architecture.blocks, subject: "--layers")
  }

  static func layer(_ layer: Int, of model: LanguageModel) throws(InputError) -> Int {
    guard (0..<model.architecture.blocks).contains(layer) else {
      throw InputError("--layer", expected: "a layer from 0 to \(model.architecture.blocks - 1)", found: "\(layer)")
    }
    return layer
  }

  static func tokens(_ text: String, flag: String) throws(InputError) -> [Int] {
    var ids: [Int] = []
    for part in text.split(whereSeparator: { ", \n\t".contains($0) }) {
      guard let id = Int(part), id >= 0 else {
        throw InputError(flag, expected: "token ids as in 19556,905", found: "\"\(part.prefix(40))\"")
      }
      ids.append(id)
    }
    return ids
  }
}

/// A choice that a flag or key takes by its raw name.
func choice<Choice: RawRepresentable & CaseIterable>(
  _ text: String, flag: String, _ type: Choice.Type
) throws(InputError) -> Choice where Choice.RawValue == String {
  guard let choice = Choice(rawValue: text) else {
    throw InputError(
      flag, expected: "one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))", found: "\"\(text)\"")
  }
  return choice
}
