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
    @Option(help: "table, json or csv.") var format = OutputFormat.table

    func run() async throws {
      let autoencoder = try SparseAutoencoder(contentsOf: path)
      let metadata = autoencoder.metadata
      var facts = Facts()
      facts.add("architecture", autoencoder.architecture.name)
      facts.add("dimension", autoencoder.dimension)
      facts.add("width", autoencoder.width)
      facts.add("b_dec_on_input", autoencoder.convention.rawValue)
      facts.add("normalization", "\(autoencoder.normalization)")
      facts.add("model_name", metadata.modelName)
      facts.add("hook_name", metadata.hookName)
      facts.add("layer", metadata.layer)
      facts.add("claimed_l0", metadata.claimedL0)
      var warning: String?
      if let check {
        let pool = try threads.pool()
        let all = try Inputs.matrix(TensorLocator(check), width: autoencoder.dimension)
        let kept = all.gathering(rows: ActivationNorms.kept(rowNorms(all, pool: pool)))
        let measured = autoencoder.statistics(on: kept, pool: pool)
        facts.add("tokens", measured.tokens)
        facts.add("l0", measured.l0)
        facts.add("explained_variance", measured.explainedVariance)
        facts.add("dead_share", measured.deadShare)
        if let claimed = metadata.claimedL0, measured.l0 < claimed / 2 || measured.l0 > claimed * 2 {
          warning =
            "the measured L0 of \(Facts.short(measured.l0)) is far from the claimed \(Facts.short(claimed)): "
            + "other activations than it was trained on?"
        }
      }
      Terminal.result(facts.render(as: format))
      if let warning { Terminal.say(warning) }
    }
  }

  /// `sae convert`: to the SAELens layout.
  struct Convert: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "convert", abstract: "Writes an SAE in the SAELens layout (cfg.json, sae_weights.safetensors).")

    @Argument(help: "A Gemma Scope params.npz or a SAELens directory.") var path: String
    @Option(help: "The directory to write.") var output: String

    func run() async throws {
      try Outputs.check(directory: output)
      try SparseAutoencoder(contentsOf: path).save(toDirectory: output)
      Terminal.say("wrote \(output)")
    }
  }

  /// `sae train`: on a text, or on text that the model writes itself.
  struct Train: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "train", abstract: "Trains a TopK or BatchTopK SAE; interrupted and run again, it goes on.")

    @Option(help: "A Hugging Face directory or a .gguf file.") var model: String
    @Option(parsing: .unconditional, help: "The layer (0-based output of a block).") var layer: Int
    @Option(parsing: .unconditional, help: "Features.") var width: Int
    @Option(parsing: .unconditional, help: "Active features per token.") var sparsity = 32
    @Option(parsing: .unconditional, help: "Training steps.") var steps = 1500
    @Option(parsing: .unconditional, help: "Tokens per step.") var batch = 1024
    @Option(parsing: .unconditional, help: "Adam's learning rate.") var learningRate = 0.002
    @Option(help: "topk or batchtopk.") var architecture = "batchtopk"
    @Option(help: "Text to train on.") var text: String?
    @Option(parsing: .unconditional, help: "Tokens of it.") var tokens = 100_000
    @Option(parsing: .unconditional, help: "Instead of a text: so many tokens that the model writes itself.")
    var sample: Int?
    @Option(help: "raw, chatml, gemma, llama2, llama3 or a file with {prompt}; the model's own unless said.")
    var prompt: String?
    @Option(parsing: .unconditional, help: "The seed of all that is drawn.") var seed: UInt64 = 0
    @Option(help: "The directory to write; OUTPUT.partial beside it holds what is done while it runs.")
    var output: String
    @OptionGroup var threads: ThreadOptions

    func run() async throws {
      try checkNumbers()
      try Outputs.check(directory: output)
      let folder = FileManager.default.currentDirectoryPath
      let specification = SweepSpecification(
        training: SweepSpecification.Training(
          widths: [width], sparsity: sparsity, steps: steps, batch: batch, learningRate: learningRate,
          plan: try choice(architecture, flag: "--architecture", TrainingPlan.Architecture.self)),
        model: model, prompt: prompt, activations: try activations(), layer: layer, seed: seed)
      let resolver = SweepResolver(inspector: SweepFileInspection(), file: folder + "/sae train", filesFolder: nil)
      let resolution: SweepResolution
      do {
        resolution = try resolver.resolve(specification)
      } catch {
        // The flags stand for a sweep file that there isn't.
        throw InputErrors(
          error.errors.map {
            var error = $0
            error.subject = error.subject.replacing(folder + "/sae train:0: ", with: "sae train: ")
            return error
          })
      }
      let tasks = try SweepPlan(resolution.sweep).chunk(from: 0, limit: .max).tasks
      let local = LocalTasks(
        folder: output + ".partial", inputs: resolution.inputs,
        paths: [resolution.sweep.model.reference.digest: try Settings.path(of: resolution.sweep.model.locator)],
        executor: ExperimentExecutor(pool: try threads.pool()))
      let last = try local.run(tasks.filter { $0.kind != .statistics })
      let trained = try SparseAutoencoder(safetensors: try local.artifact("sae", of: last), named: output)
      try trained.save(toDirectory: output)
      try local.remove()
      Terminal.say("wrote \(output)")
    }

    /// The same bounds that a sweep file has.
    private func checkNumbers() throws(InputError) {
      let bounds: [(flag: String, value: Int, range: ClosedRange<Int>)] = [
        ("--width", width, 2...1_048_576), ("--sparsity", sparsity, 1...max(width, 1)),
        ("--steps", steps, 1...10_000_000), ("--batch", batch, 1...1_048_576),
        ("--tokens", tokens, 256...1_000_000_000),
        ("--sample", sample ?? 256, 256...1_000_000_000),
      ]
      if let wrong = bounds.first(where: { !$0.range.contains($0.value) }) {
        throw InputError(
          wrong.flag, expected: "a whole number from \(wrong.range.lowerBound) to \(wrong.range.upperBound)",
          found: "\(wrong.value)")
      }
      guard learningRate > 0, learningRate <= 1 else {
        throw InputError("--learning-rate", expected: "a number above 0, at most 1", found: "\(learningRate)")
      }
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
