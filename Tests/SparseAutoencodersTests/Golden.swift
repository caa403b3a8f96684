import Foundation
import Kernels
import Synchronization
import TensorFiles
import Testing

@testable import SparseAutoencoders

/// The files under Tests/Golden, made by real libraries.
enum Golden {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Golden").path

  static func path(_ name: String) -> String { "\(folder)/\(name)" }

  static func matrix(_ name: String, in file: SafetensorsFile) throws -> Matrix {
    let tensor = try file.tensor(named: name)
    try tensor.require(shape: [nil, nil])
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

/// A new folder, gone after the test.
func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
  let folder = FileManager.default.temporaryDirectory.appending(path: "saes-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  return try body(folder.path)
}

let pool = ThreadPool(threads: 2)
