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
  @Option(
    help: ArgumentHelp(
      "One of \(DecompositionMethod.allCases.map(\.rawValue).joined(separator: ", ")).",
      valueName: "method"))
  var method: String
  @Option(parsing: .unconditional, help: "Atoms: 32, or several as 8,16,32; all keeps a whole code.") var sparsity:
    String?
  @Option(parsing: .unconditional, help: "Decompose c times the vector: -2,-1,1 or -2:2:0.5.") var coefficients = "1"
  @Option(parsing: .unconditional, help: "The layer's median activation norm, for encode-scaled.") var activationNorm:
    Double?
  @Option(help: "PATH[:NAME] of the layer's mean activation, for encode-anchored.") var meanActivation: String?
  @Option(parsing: .unconditional, help: "The amplitude a of encode-anchored.") var amplitude = 1.0
  @Option(help: "A file of `extract --activations`, for pair-difference.") var pairs: String?
  @Option(parsing: .unconditional, help: "The layer, where neither the SAE nor the vector's name says it.") var layer:
    Int?
  @Flag(help: "Print the reconstruction [d] too.") var reconstruction = false
  @OptionGroup var threads: ThreadOptions
  @Option(help: "table, json or csv.") var format = OutputFormat.table

  private struct Several: Encodable { var results: [DecompositionReport] }

  func run() async throws {
    let pool = try threads.pool()
    let method = try choice(method, flag: "--method", DecompositionMethod.self)
    let autoencoder = try SparseAutoencoder(contentsOf: sae, checkingWeights: false)
    let locator = try TensorLocator(vector)
    let values = try locator.vector(width: autoencoder.dimension)
    let layer =
      layer ?? autoencoder.metadata.layer ?? locator.name.flatMap { $0.split(separator: ".").last.flatMap { Int($0) } }
    let mean = try meanActivation.map { try TensorLocator($0).vector(width: autoencoder.dimension) }
    let reports = try DecompositionReport.make(
      autoencoder, vector: values, method: method, sparsities: try sparsities(width: autoencoder.width),
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
    case .csv: Terminal.result(DecompositionReport.csv(reports))
    case .table: Terminal.result(reports.map(\.table).joined(separator: "\n"))
    }
  }

  private func sparsities(width: Int) throws(InputError) -> [Sparsity] {
    guard let sparsity else { return [] }
    var list: [Sparsity] = []
    for part in sparsity.split(separator: ",", omittingEmptySubsequences: false) {
      if part == "all" {
        list.append(.all)
      } else if let k = Int(part), (1...width).contains(k) {
        list.append(.atoms(k))
      } else {
        throw InputError(
          "--sparsity", expected: "numbers of atoms from 1 to the SAE's \(width), or all", found: "\"\(part)\"")
      }
    }
    return list
  }

  private func reference(mean: [Float]?) throws(InputError) -> ActivationReference? {
    guard let activationNorm else {
      guard mean != nil else { return nil }
      return ActivationReference(norms: [], mean: mean)
    }
    guard activationNorm > 0, Float(activationNorm).isFinite else {
      throw InputError("--activation-norm", expected: "a norm above 0", found: "\(activationNorm)")
    }
    return ActivationReference(medianNorm: Float(activationNorm), mean: mean)
  }

  private func pairActivations(layer: Int?, width: Int) throws(InputError) -> Decomposition.PairActivations? {
    guard let pairs else { return nil }
    if layer == nil {
      let names = try TensorLocator.open(pairs).tensorNames
      guard names.contains("positive") else {
        throw InputError(
          pairs, expected: "positive and negative", found: names.prefix(8).joined(separator: ", "),
          remedy: "say with --layer which of them")
      }
    }
    return Decomposition.PairActivations(
      positive: try side("positive", of: pairs, layer: layer, width: width),
      negative: try side("negative", of: pairs, layer: layer, width: width))
  }

  /// One side's activations: the answers' tokens where the file has them, else one activation a pair.
  private func side(
    _ name: String, of path: String, layer: Int?, width: Int
  ) throws(InputError) -> Decomposition.PairActivations.Side {
    let suffix = layer.map { ".\($0)" } ?? ""
    let file = try TensorLocator.open(path)
    guard file.contains("\(name)-tokens\(suffix)"), file.contains("\(name)-counts") else {
      return .init(try Inputs.matrix(TensorLocator(path: path, name: name + suffix), width: width))
    }
    let rows = try Inputs.matrix(TensorLocator(path: path, name: "\(name)-tokens\(suffix)"), width: width)
    let counts = try file.tensor(named: "\(name)-counts").integers()
    guard counts.allSatisfy({ (1...rows.rows).contains($0) }), counts.reduce(0, +) == rows.rows else {
      throw InputError(
        "\(path): \(name)-counts", expected: "counts that add up to the \(rows.rows) tokens", found: "others")
    }
    return .init(rows, counts: counts)
  }
}

extension DecompositionReport {
  /// The report for people: how well it fits, and the largest features.
  var table: String {
    let fit = [
      "L0 \(metrics.l0)", "cosine \(Facts.short(metrics.cosine))",
      "relative error \(Facts.short(metrics.relativeError))", "norm ratio \(Facts.short(metrics.normRatio))",
    ]
    let shares = [
      "overlap with the zero vector \(Facts.short(metrics.zero.overlap))",
      "Jaccard \(Facts.short(metrics.zero.jaccard))", "bias share \(Facts.short(metrics.zero.biasShare))",
      "negative share \(Facts.short(metrics.negativeShare))",
    ]
    let head = [
      "\(method.rawValue), sparsity \(sparsity), \(Facts.short(coefficient)) times the vector, width \(width), "
        + convention.replacing("-", with: " "),
      fit.joined(separator: ", "), shares.joined(separator: ", "), "",
    ]
    let shown = 20
    let features = TerminalTable(
      columns: ["feature", "coefficient", "projection", "in zero vector"],
      rows: features.prefix(shown).map {
        [
          .integer($0.index), .real(Double($0.coefficient)), .real(Double($0.projection)),
          .text($0.inZeroVector ? "yes" : "no"),
        ]
      })
    let rest = self.features.count - shown
    return head.joined(separator: "\n") + "\n" + features.render(as: .table)
      + (rest > 0 ? "... \(rest) more (--format json or csv has all)\n" : "")
  }

  /// The features of all reports, a line each.
  static func csv(_ reports: [DecompositionReport]) -> String {
    let rows = reports.flatMap { report in
      report.features.map { feature -> [Cell] in
        [
          .text(report.method.rawValue), .text("\(report.sparsity)"), .real(report.coefficient),
          .integer(feature.index), .real(Double(feature.coefficient)), .real(Double(feature.projection)),
          .integer(feature.inZeroVector ? 1 : 0),
        ]
      }
    }
    return TerminalTable(
      columns: ["method", "sparsity", "times", "index", "coefficient", "projection", "in_zero_vector"], rows: rows
    ).render(as: .csv)
  }
}
