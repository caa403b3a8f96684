import Diagnostics
import Foundation
import SweepPlanning
import SweepRecords

/// The example of the sweep file's documentation.
let exampleSweep = """
  name: persona-smollm2
  model: {path: models/smollm2.gguf, prompt: chatml}      # dtype: as-stored (default), float32, bfloat16
  activations: {text: data/text.txt, tokens: 100000}      # or {sample: 60000}: text the model writes itself
  behaviours:
    - {name: power-seeking, extract: data/power/extract.json, evaluate: data/power/evaluate.json, limit: 200, read: answer-mean}
    - {name: my-vector, vector: vectors/mine.safetensors, evaluate: data/mine.json}
  layers: [12, 15, 18]                  # or 0-25, or all
  saes:
    - {path: "gemma-scope/layer_{layer}/width_{width}/average_l0_{l0}/params.npz", widths: [16k, 65k], l0: all}
    - {train: {widths: [2048, 4096], sparsity: 32, steps: 1500}}
  decompose:
    methods: [encode, encode-scaled, encode-minus-zero, encode-anchored, pair-difference, gradient-pursuit, gradient-pursuit-signed, matching-pursuit-signed]
    sparsity: [8, 16, 32, 64, all]
  steer: {coefficients: "-4:4:0.5", unit: vector, positions: scored, score: per-token, norms: [raw, matched], controls: [zero-vector, {random: 4}, shuffled, untrained-dictionary]}
  side_effects: {text: data/neutral.txt, tokens: 2000}
  keep: summary                         # or questions: one row a question and coefficient
  priority: normal
  seed: 7
  """

/// A sweep with the least that a file must say, and more lines after it.
func minimalSweep(_ more: String = "", layers: String = "[1, 2]") -> String {
  """
  name: small
  model: model
  activations: {sample: 4096}
  behaviours:
    - {name: one, extract: one.json, evaluate: one.json}
  layers: \(layers)
  \(more)
  """
}

func read(_ yaml: String, environment: [String: String] = [:]) throws(InputErrors) -> SweepSpecification {
  try SweepSpecification(yaml: yaml, name: "sweep.yaml", environment: environment)
}

/// What is wrong with a sweep file, one line each.
func errors(_ yaml: String, environment: [String: String] = [:]) -> [String] {
  do {
    _ = try read(yaml, environment: environment)
    return []
  } catch {
    return error.errors.map(\.description)
  }
}

/// Looks at made-up files: a contrast set's bytes are its number of pairs, a model is SmolLM2's shape.
struct FakeInspector: SweepFileInspector {
  var layers = 30
  var saeLayer: Int?
  var saeDimension = 576

  func model(at path: String) throws(InputError) -> ModelFacts {
    ModelFacts(layers: layers, dimension: 576, vocabulary: 49152, blockParameters: 106_000_000, contextLength: 2048)
  }

  func sae(at path: String) throws(InputError) -> SAEFacts {
    SAEFacts(dimension: saeDimension, width: path.contains("65k") ? 65_536 : 16_384, layer: saeLayer)
  }

  func checkPairs(
    _ bytes: [UInt8], name: String, count: Int, modelAt path: String, template: String
  ) throws(InputError) {}

  func contrastSet(_ bytes: [UInt8], name: String) throws(InputError) -> ContrastFacts {
    guard let count = Int(String(decoding: bytes, as: UTF8.self)) else {
      throw InputError(name, expected: "pairs", found: "none")
    }
    return ContrastFacts(count: count, read: .answerMean, promptBytes: 200 * count, answerBytes: 2 * 72 * count)
  }

  func checkVector(at path: String, layers: [Int], dimension: Int) throws(InputError) {
    guard layers.max() ?? 0 < 25 else { throw InputError(path, expected: "a vector for layer 25", found: "none") }
  }

  func template(_ name: String?, relativeTo folder: String) throws(InputError) -> String { name ?? "" }

  func tokenCount(of text: [UInt8], modelAt path: String) throws(InputError) -> Int { text.count }
}

/// A folder of made-up files that goes away with the value.
final class FixtureFolder {
  let path: String

  /// - Parameter files: contents by relative path.
  init(_ files: [String: String]) throws {
    path = NSTemporaryDirectory() + "sweep-" + UUID().uuidString
    for (name, text) in files {
      let file = path + "/" + name
      try FileManager.default.createDirectory(
        atPath: (file as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
      try text.write(toFile: file, atomically: true, encoding: .utf8)
    }
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Everything that the example sweep names.
  static func example() throws -> FixtureFolder {
    var files = [
      "models/smollm2.gguf": "model", "data/text.txt": String(repeating: "a", count: 120_000),
      "data/power/extract.json": "300", "data/power/evaluate.json": "30", "vectors/mine.safetensors": "vector",
      "data/mine.json": "20", "data/neutral.txt": String(repeating: "b", count: 1500),
    ]
    for layer in [12, 15, 18] {
      for (width, l0s) in [("16k", [9, 83]), ("65k", [70])] {
        for l0 in l0s {
          files["gemma-scope/layer_\(layer)/width_\(width)/average_l0_\(l0)/params.npz"] = "\(layer) \(width) \(l0)"
        }
      }
    }
    return try FixtureFolder(files)
  }

  func resolve(
    _ yaml: String, inspector: FakeInspector = FakeInspector(), filesFolder: String? = nil
  ) throws -> SweepResolution {
    try SweepResolver(inspector: inspector, file: path + "/sweep.yaml", filesFolder: filesFolder)
      .resolve(try read(yaml))
  }

  /// What can't be found or doesn't fit.
  func resolveErrors(
    _ yaml: String, inspector: FakeInspector = FakeInspector(), filesFolder: String? = nil
  ) -> [String] {
    do {
      _ = try resolve(yaml, inspector: inspector, filesFolder: filesFolder)
      return []
    } catch {
      return (error as? InputErrors)?.errors.map { $0.description.replacing(path + "/", with: "") } ?? ["\(error)"]
    }
  }
}
