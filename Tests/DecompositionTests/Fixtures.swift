import Foundation
import Kernels
import SparseAutoencoders
import SweepRecords
import TensorFiles
import Testing

@testable import Decomposition

let pool = ThreadPool(threads: 2)

/// The files under Tests/Golden, made by other people's code.
enum Golden {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Golden").path

  static let autoencoders = [
    "standard", "standard-no-b-dec", "standard-layer-norm", "standard-constant-norm", "standard-expected-average",
    "jumprelu", "jumprelu-no-b-dec", "topk", "topk-rescaled", "topk-layer-norm", "gated", "gated-constant-norm",
  ]

  static func autoencoder(_ name: String) throws -> SparseAutoencoder {
    try SparseAutoencoder(contentsOf: "\(folder)/saes/\(name)")
  }

  /// Six activations for an SAE, `[6, 16]`.
  static func input(_ name: String) throws -> Matrix {
    let tensor = try SafetensorsFile(path: "\(folder)/sae-expected.safetensors").tensor(named: "\(name)/input")
    return Matrix(rows: tensor.shape[0], columns: tensor.shape[1], elements: try tensor.floats())
  }
}

/// The largest difference, relative to the largest expected magnitude.
func relativeDifference(_ found: [Float], _ expected: [Float]) -> Float {
  guard found.count == expected.count else { return .infinity }
  let largest = expected.map(abs).max() ?? 0
  let difference = zip(found, expected).map { abs($0 - $1) }.max() ?? 0
  return difference.isNaN ? .infinity : difference / max(largest, 1e-20)
}

/// Rows of normal numbers.
func gaussianMatrix(_ rows: Int, _ columns: Int, seed: UInt64) -> Matrix {
  var generator = CounterGenerator(seed: seed, stream: 0)
  return Matrix(
    rows: rows, columns: columns, elements: (0..<rows * columns).map { _ in Float(generator.gaussian()) })
}

/// An SAE whose decoder is a dictionary; its encoder is not used.
func dictionaryAutoencoder(_ rows: Matrix) throws -> SparseAutoencoder {
  try SparseAutoencoder(
    architecture: .standard, convention: .kept, metadata: .init(source: "dictionary"), encoder: rows.transposed(),
    decoder: rows, encoderBias: Array(repeating: 0, count: rows.rows),
    decoderBias: Array(repeating: 0, count: rows.columns))
}

/// All variants of a run.
func variants(
  _ autoencoder: SparseAutoencoder, _ request: DecompositionRequest, pool: ThreadPool = pool
) throws -> [DecompositionVariant] {
  var variants: [DecompositionVariant] = []
  _ = try Decomposer(autoencoder, request, pool: pool).run { variants.append($0) }
  return variants
}

extension [DecompositionVariant] {
  /// The one variant as configured, at coefficient 1.
  func stored(
    _ method: DecompositionMethod, _ sparsity: Sparsity = .all, _ convention: String = "without-bias"
  ) throws -> DecompositionVariant {
    let found = filter {
      $0.isStored && $0.method == method && $0.sparsity == sparsity && $0.convention == convention
    }
    #expect(found.count == 1)
    return try #require(found.first)
  }
}
