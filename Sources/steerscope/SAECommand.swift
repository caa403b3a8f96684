internal import ArgumentParser
internal import Diagnostics
internal import Experiments
internal import Foundation
internal import Kernels
internal import Reporting
internal import SparseAutoencoders
internal import Steering
internal import SweepPlanning
internal import SweepRecords
internal import TensorFiles

/// `sae`: sparse autoencoders on disk.
struct SAECommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sae", abstract: "Looks into, trains and converts sparse autoencoders.",
    subcommands: [Info.self, Train.self, Convert.self])

  /// `sae info`: what a file holds, and whether it behaves as it claims.
  struct Info: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "info", abstract: "Prints what an SAE file holds, and measures it on activations.")

    @Argument(help: "A Gemma Scope params.npz or a SAELens directory.") var path: String
    @Option(help: "PATH[:NAME] of activations [tokens, d] to measure L0 and explained variance on.") var check: String?
    @OptionGroup var threads: ThreadOptions
    @Option(help: "table or json.") var format = OutputFormat.table

    private struct Output: Encodable {
      var architecture: String
      var dimension, width: Int
      var bDecOnInput: String
      var normalization: String
      var modelName, hookName: String?
      var layer: Int?
      var claimedL0: Double?
      var tokens: Int?
      var l0, explainedVariance, deadShare: Double?
    }

    func run() async throws {
      let autoencoder = try SparseAutoencoder(contentsOf: path)
      let metadata = autoencoder.metadata
      var output = Output(
        architecture: autoencoder.architecture.name, dimension: autoencoder.dimension, width: autoencoder.width,
        bDecOnInput: autoencoder.convention.rawValue, normalization: "\(autoencoder.normalization)",
        modelName: metadata.modelName, hookName: metadata.hookName, layer: metadata.layer,
        claimedL0: metadata.claimedL0)
      if let check {
        let pool = try threads.pool()
        let all = try Inputs.matrix(TensorLocator(check), width: autoencoder.dimension)
        let kept = all.gathering(rows: ActivationNorms.kept(rowNorms(all, pool: pool)))
        let statistics = autoencoder.statistics(on: kept, pool: pool)
        output.tokens = statistics.tokens
        output.l0 = statistics.l0
        output.explainedVariance = statistics.explainedVariance
        output.deadShare = statistics.deadShare
      }
      guard format == .table else { return try JSONOutput.print(output) }
      for child in Mirror(reflecting: output).children {
        guard
          let value = Mirror(reflecting: child.value).displayStyle == .optional
            ? Mirror(reflecting: child.value).children.first?.value : child.value
        else { continue }
        Terminal.result("\(child.label ?? ""): \(value)\n")
      }
      if let claimed = metadata.claimedL0, let l0 = output.l0, l0 < claimed / 2 || l0 > claimed * 2 {
        Terminal.say(
          "the measured L0 of \(l0) is far from the claimed \(claimed): other activations than it was trained on?")
      }
    }
  }

  /// `sae convert`: to the SAELens layout.
  struct Convert: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "convert", abstract: "Writes an SAE in the SAELens layout (cfg.json, sae_weights.safetensors).")

    @Argument(help: "A Gemma Scope params.npz or a SAELens directory.") var path: String
    @Option(help: "The directory to write.") var output: String

    func run() async throws {
      try SparseAutoencoder(contentsOf: path).save(toDirectory: output)
      Terminal.say("wrote \(output)")
    }
  }

  /// `sae train`: on a text, or on text that the model writes itself.
  struct Train: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "train", abstract: "Trains a TopK or BatchTopK SAE; interrupted and run again, it goes on.")

    @Option(help: "A Hugging Face directory or a .gguf file.") var model: String
    @Option(help: "The layer (0-based output of a block).") var layer: Int
    @Option(help: "Features.") var width: Int
    @Option(help: "Active features per token.") var sparsity = 32
    @Option(help: "Training steps.") var steps = 1500
    @Option(help: "Tokens per step.") var batch = 1024
    @Option(help: "Adam's learning rate.") var learningRate = 0.002
    @Option(help: "topk or batchtopk.") var architecture = "batchtopk"
    @Option(help: "Text to train on.") var text: String?
    @Option(help: "Tokens of it.") var tokens = 100_000
    @Option(help: "Instead of a text: so many tokens that the model writes itself.") var sample: Int?
    @Option(help: "raw, chatml, gemma, llama2, llama3 or a file with {prompt}; the model's own unless said.")
    var prompt: String?
    @Option(help: "The seed of all that is drawn.") var seed: UInt64 = 0
    @Option(help: "The directory to write; OUTPUT.partial beside it holds what is done while it runs.")
    var output: String
    @OptionGroup var threads: ThreadOptions

    func run() async throws {
      let folder = FileManager.default.currentDirectoryPath
      let specification = SweepSpecification(
        training: SweepSpecification.Training(
          widths: [width], sparsity: sparsity, steps: steps, batch: batch, learningRate: learningRate,
          plan: try choice(architecture, flag: "--architecture", TrainingPlan.Architecture.self)),
        model: model, prompt: prompt, activations: try activations(), layer: layer, seed: seed)
      let resolver = SweepResolver(inspector: SweepFileInspection(), file: folder + "/sae train", filesFolder: nil)
      let resolution = try resolver.resolve(specification)
      let tasks = try SweepPlan(resolution.sweep).chunk(from: 0, limit: .max).tasks
      let local = LocalTasks(
        folder: output + ".partial", inputs: resolution.inputs,
        paths: [resolution.sweep.model.reference.digest: Settings.path(of: resolution.sweep.model.locator)],
        executor: ExperimentExecutor(pool: try threads.pool()))
      let last = try local.run(tasks.filter { $0.kind != .statistics })
      let trained = try SparseAutoencoder(safetensors: try local.artifact("sae", of: last), named: output)
      try trained.save(toDirectory: output)
      try local.remove()
      Terminal.say("wrote \(output)")
    }

    private func activations() throws(InputError) -> SweepSpecification.Activations {
      switch (text, sample) {
      case (let text?, nil): return .text(path: text, tokens: tokens, line: 0)
      case (nil, let sample?): return .sample(tokens: sample)
      default:
        throw InputError(
          "sae train", expected: "either --text FILE or --sample TOKENS", found: text == nil ? "neither" : "both")
      }
    }
  }
}
