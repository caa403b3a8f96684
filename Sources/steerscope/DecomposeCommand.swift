internal import ArgumentParser
internal import Decomposition
internal import Diagnostics
internal import Foundation
internal import Kernels
internal import Reporting
internal import SparseAutoencoders
internal import SweepRecords
internal import TensorFiles

/// `decompose`: one vector through one SAE.
struct DecomposeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "decompose", abstract: "Takes one steering vector apart through one SAE.")

  @Option(help: "A Gemma Scope params.npz or a SAELens directory.") var sae: String
  @Option(help: "PATH[:NAME] of the vector.") var vector: String
  @Option(help: "encode, encode-scaled, gradient-pursuit-signed ... (see --help).") var method: String
  @Option(help: "Atoms: 32, 8,16,32 or all.") var sparsity: String?
  @Option(parsing: .unconditional, help: "Decompose c times the vector: -2,-1,1 or -2:2:0.5.") var coefficients = "1"
  @Option(help: "The layer's median activation norm, for encode-scaled.") var activationNorm: Double?
  @Option(help: "PATH[:NAME] of the layer's mean activation, for encode-anchored.") var meanActivation: String?
  @Option(help: "The amplitude a of encode-anchored.") var amplitude = 1.0
  @Option(help: "A file of `extract --activations`, for pair-difference.") var pairs: String?
  @Option(help: "The layer, where neither the SAE nor the vector's name says it.") var layer: Int?
  @Flag(help: "Print the reconstruction [d] too.") var reconstruction = false
  @OptionGroup var threads: ThreadOptions
  @Option(help: "table or json.") var format = OutputFormat.table

  private struct Several: Encodable { var results: [DecompositionReport] }

  func run() async throws {
    let pool = try threads.pool()
    let method = try DecompositionMethod.named(method)
    let autoencoder = try SparseAutoencoder(contentsOf: sae)
    let locator = try TensorLocator(vector)
    let values = try locator.vector(width: autoencoder.dimension)
    let layer =
      layer ?? autoencoder.metadata.layer ?? locator.name.flatMap { $0.split(separator: ".").last.flatMap { Int($0) } }
    let mean = try meanActivation.map { try TensorLocator($0).vector(width: autoencoder.dimension) }
    let reports = try DecompositionReport.make(
      autoencoder, vector: values, method: method, sparsities: try sparsities(),
      coefficients: try Lists.numbers(coefficients, flag: "--coefficients"), layer: layer,
      activations: try reference(mean: mean), amplitude: amplitude,
      pairs: try pairActivations(layer: layer, width: autoencoder.dimension), withReconstruction: reconstruction,
      pool: pool)
    switch format {
    case .json:
      if reports.count == 1 {
        try JSONOutput.print(reports[0])
      } else {
        try JSONOutput.print(Several(results: reports))
      }
    case .csv, .table: for report in reports { Terminal.result(report.table) }
    }
  }

  private func sparsities() throws(InputError) -> [Sparsity] {
    guard let sparsity else { return [] }
    var list: [Sparsity] = []
    for part in sparsity.split(separator: ",") {
      if part == "all" {
        list.append(.all)
      } else if let k = Int(part), k >= 1 {
        list.append(.atoms(k))
      } else {
        throw InputError("--sparsity", expected: "numbers of atoms from 1 up, or all", found: "\"\(part)\"")
      }
    }
    return list
  }

  private func reference(mean: [Float]?) throws(InputError) -> ActivationReference? {
    guard let activationNorm else {
      guard mean != nil else { return nil }
      return ActivationReference(norms: [], mean: mean)
    }
    guard activationNorm > 0, activationNorm.isFinite else {
      throw InputError("--activation-norm", expected: "a norm above 0", found: "\(activationNorm)")
    }
    return ActivationReference(medianNorm: Float(activationNorm), mean: mean)
  }

  private func pairActivations(layer: Int?, width: Int) throws(InputError) -> Decomposition.PairActivations? {
    guard let pairs else { return nil }
    let suffix = layer.map { ".\($0)" } ?? ""
    return Decomposition.PairActivations(
      positive: try Inputs.matrix(TensorLocator(path: pairs, name: "positive" + suffix), width: width),
      negative: try Inputs.matrix(TensorLocator(path: pairs, name: "negative" + suffix), width: width))
  }
}

extension DecompositionReport {
  /// The report as lines for people.
  var table: String {
    func number(_ value: Double?) -> String { value.map { String(format: "%.4g", $0) } ?? "-" }
    let fit = [
      "L0 \(metrics.l0)", "cosine \(number(metrics.cosine))", "relative error \(number(metrics.relativeError))",
      "norm ratio \(number(metrics.normRatio))",
    ]
    let shares = [
      "overlap with the zero vector \(number(metrics.zero.overlap))", "Jaccard \(number(metrics.zero.jaccard))",
      "bias share \(number(metrics.zero.biasShare))", "negative share \(number(metrics.negativeShare))",
    ]
    var lines = [
      "method \(method.rawValue), sparsity \(sparsity), coefficient \(coefficient), width \(width), \(convention)",
      fit.joined(separator: ", "), shares.joined(separator: ", "), "feature\tcoefficient\tprojection\tin zero vector",
    ]
    for feature in features.prefix(20) {
      lines.append(
        "\(feature.index)\t\(feature.coefficient)\t\(feature.projection)\t\(feature.inZeroVector ? "yes" : "no")")
    }
    if features.count > 20 { lines.append("... \(features.count - 20) more (--format json has all)") }
    return lines.joined(separator: "\n") + "\n"
  }
}
