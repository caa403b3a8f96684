internal import ArgumentParser
internal import Diagnostics
internal import Experiments
internal import Foundation
internal import Kernels
internal import LanguageModels
internal import Steering
internal import SweepRecords
internal import TensorFiles

/// `extract`: steering vectors from contrast pairs.
struct ExtractCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "extract",
    abstract: "Writes steering vectors: layer.L [d], the mean activation mean.L [d], and norms in the metadata.")

  @OptionGroup var options: ModelOptions
  @Option(help: "Contrast pairs: JSON list or lines.") var contrast: String
  @Option(parsing: .unconditional, help: "Layers (0-based outputs of blocks): 14, 12,15, 0-25 or all.") var layers:
    String
  @Option(help: "The .safetensors file to write.") var output: String
  @Option(help: "first-difference or answer-mean; letters are read at the letter unless said.") var read: String?
  @Option(help: "raw, chatml, gemma, llama2, llama3 or a file with {prompt}; the model's own unless said.")
  var prompt: String?
  @Option(parsing: .unconditional, help: "At most so many pairs, from the front.") var limit: Int?
  @Option(help: "Also write the pairs' activations, positive.L and negative.L [pairs, d], to this file.")
  var activations: String?

  func run() async throws {
    let reading = try read.map { try choice($0, flag: "--read", ReadPosition.self) }
    try Outputs.check(file: output)
    if let activations {
      try Outputs.check(file: activations, flag: "--activations")
      guard activations != output else {
        throw InputError("--activations", expected: "another file than --output", found: "the same")
      }
    }
    let prompted = try options.load(template: prompt)
    let layers = try Lists.layers(layers, of: prompted.model)
    let (set, pairs) = try Inputs.pairs(contrast, limit: limit, for: prompted)
    let count = pairs.count
    let progress = LineProgress("extracting \(count) pairs")
    let extraction = Extraction(
      model: prompted.model, layers: layers, read: reading ?? set.defaultRead,
      keepsTokens: activations != nil)
    let found = try extraction.activations(of: pairs) { done in
      progress.show(Double(done) / Double(count))
      return true
    }
    progress.finish()
    try write(found, layers: layers, pairs: count, read: reading ?? set.defaultRead, pool: prompted.model.pool)
    Terminal.say(
      "wrote vectors of layer \(layers.map(String.init).joined(separator: ", ")) from \(count) pairs to \(output)")
  }

  private func write(
    _ found: Steering.PairActivations, layers: [Int], pairs: Int, read: ReadPosition, pool: ThreadPool
  ) throws {
    var metadata = ["pairs": "\(pairs)", "read": read.rawValue]
    var vectors: [(name: String, values: [Float])] = []
    var pairWriter = SafetensorsWriter(metadata: metadata)
    for layer in layers {
      guard let positive = found.positive[layer], let negative = found.negative[layer] else { continue }
      vectors.append(
        ("layer.\(layer)", SteeringVectors.meanDifference(positive: positive, negative: negative)))
      var all = positive
      all.append(rows: negative)
      let norms = ActivationNorms(all, pool: pool)
      vectors.append(("mean.\(layer)", norms.mean))
      for percent in [0, 5, 25, 50, 75, 95, 100] {
        metadata["activation_norm_p\(percent).\(layer)"] = "\(norms.percentile(Double(percent)))"
      }
      try pairWriter.add("positive.\(layer)", shape: [positive.rows, positive.columns], floats: positive.elements)
      try pairWriter.add("negative.\(layer)", shape: [negative.rows, negative.columns], floats: negative.elements)
      for (name, tokens) in [("positive", found.positiveTokens), ("negative", found.negativeTokens)] {
        guard let tokens = tokens[layer] else { continue }
        try pairWriter.add("\(name)-tokens.\(layer)", shape: [tokens.rows, tokens.columns], floats: tokens.elements)
      }
    }
    for (name, counts) in [("positive", found.positiveCounts), ("negative", found.negativeCounts)] where !counts.isEmpty
    {
      try pairWriter.add("\(name)-counts", shape: [counts.count], integers: counts)
    }
    if let activations { try pairWriter.write(to: activations) }
    var writer = SafetensorsWriter(metadata: metadata)
    for (name, values) in vectors { try writer.add(name, shape: [values.count], floats: values) }
    try writer.write(to: output)
  }
}
