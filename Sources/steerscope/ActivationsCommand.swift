internal import ArgumentParser
internal import Experiments
internal import Kernels
internal import LanguageModels
internal import TensorFiles
internal import Tokenization

/// `activations`: the residual stream of a prompt.
struct ActivationsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "activations", abstract: "Writes the residual stream of a prompt, layer.L of shape [tokens, d].")

  @OptionGroup var options: ModelOptions
  @Option(
    parsing: .unconditional, help: "The prompt, taken literally; special tokens spelled in it are parsed as such.")
  var prompt: String
  @OptionGroup var text: TextOptions
  @Option(parsing: .unconditional, help: "Layers (0-based outputs of blocks): 14, 12,15, 0-25 or all.") var layers:
    String
  @Option(help: "The .safetensors file to write.") var output: String

  func run() async throws {
    try Outputs.check(file: output)
    let prompted = try options.load(template: "raw")
    let model = prompted.model
    let layers = try Lists.layers(layers, of: model)
    let ids = try prompted.tokenizer.encode(prompt, addingBeginningOfText: text.bos)
    try model.check(ids, subject: "--prompt")
    let run = BlockRun(
      blocks: 0..<(layers.max() ?? 0) + 1, capturedLayers: layers, finalRows: [], keepsCache: false)
    let captured = try model.forward([ids], run).captured
    var writer = SafetensorsWriter(metadata: ["tokens": ids.map(String.init).joined(separator: ",")])
    for layer in layers {
      guard let matrix = captured[layer] else { continue }
      try writer.add("layer.\(layer)", shape: [matrix.rows, matrix.columns], floats: matrix.elements)
    }
    try writer.write(to: output)
    Terminal.say("wrote layer \(layers.map(String.init).joined(separator: ", ")) of \(ids.count) tokens to \(output)")
  }
}
