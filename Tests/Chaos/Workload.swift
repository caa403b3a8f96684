import Foundation
import TensorFiles

/// The sweeps of a chaos run: real tasks over a tiny model, short, and more than a thousand a sweep.
struct Workload {
  /// Where sweep files, SAEs and questions lie: the workers' STEERSCOPE_FILES.
  let folder: URL
  let model: URL
  /// d of the model's residual stream, and how many blocks it has.
  private let width = 48
  private let blocks = 3
  private let saeWidths = [64, 96]

  /// - Parameter model: the golden model `llama-tied`.
  init(folder: URL, model: URL) throws {
    self.folder = folder
    self.model = model
    var random = SplitMix(seed: 11)
    for features in saeWidths {
      for layer in 0..<blocks { try writeSAE(features: features, layer: layer, &random) }
    }
  }

  /// An SAE with random weights, as SAELens writes it.
  private func writeSAE(features: Int, layer: Int, _ random: inout SplitMix) throws {
    let place = folder.appending(path: "saes/\(features)/layer_\(layer)")
    try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
    let configuration = """
      {"d_in": \(width), "d_sae": \(features), "dtype": "float32", "architecture": "standard",
       "apply_b_dec_to_input": true, "normalize_activations": "none",
       "metadata": {"hook_name": "blocks.\(layer).hook_resid_post"}}
      """
    try Data(configuration.utf8).write(to: place.appending(path: "cfg.json"))
    var decoder = [Float](repeating: 0, count: features * width)
    for feature in 0..<features {
      let row = (0..<width).map { _ in random.normal() }
      let norm = row.reduce(0) { $0 + $1 * $1 }.squareRoot()
      for index in 0..<width { decoder[feature * width + index] = Float(row[index] / norm) }
    }
    var encoder = decoder
    for feature in 0..<features {
      for index in 0..<width { encoder[index * features + feature] = decoder[feature * width + index] }
    }
    let bias = (0..<width).map { _ in Float(0.1 * random.normal()) }
    var writer = SafetensorsWriter()
    try writer.add("W_enc", shape: [width, features], floats: encoder)
    try writer.add("W_dec", shape: [features, width], floats: decoder)
    try writer.add("b_enc", shape: [features], floats: [Float](repeating: -0.1, count: features))
    try writer.add("b_dec", shape: [width], floats: bias)
    try writer.write(to: place.appending(path: "sae_weights.safetensors").path)
  }

  /// Writes the `index`-th sweep's files and returns the path of its sweep file. Different sweeps share what comes of the
  /// text, and no task that counts.
  func sweep(_ index: Int) throws -> String {
    let names = (0..<Self.behaviours).map { "behaviour-\(index)-\($0)" }
    var random = SplitMix(seed: UInt64(index) &+ 1000)
    for name in names { try writeQuestions(name, &random) }
    let behaviours = names.map { "  - {name: \($0), extract: \($0).json, evaluate: \($0).json}" }
    let text = """
      name: chaos-\(index)
      model: {path: "\(model.path)", prompt: raw}
      activations: {sample: 1024}
      behaviours:
      \(behaviours.joined(separator: "\n"))
      layers: all
      saes:
        - {path: "saes/{width}/layer_{layer}", widths: [64, 96]}
        - {train: {widths: [64], sparsity: 8, steps: 60, batch: 64}}
      decompose:
        methods: [encode, encode-scaled, encode-minus-zero, encode-anchored, pair-difference, gradient-pursuit, \
      gradient-pursuit-signed, matching-pursuit-signed]
        sparsity: [8, all]
      steer: {coefficients: "-2:2:0.5", norms: [raw, matched], controls: [zero-vector, {random: 2}, shuffled]}
      seed: 7

      """
    let path = folder.appending(path: "chaos-\(index).yaml").path
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    return path
  }

  private static let behaviours = 5

  /// Questions of words that the model's tokenizer knows, with answers several tokens long.
  private func writeQuestions(_ name: String, _ random: inout SplitMix) throws {
    let words = ["one", "two", "the", "red", "big", "old", "sun", "cat", "dog", "hen", "fox", "a"]
    let items = (0..<12).map { _ in
      let prompt = (0..<3).map { _ in words[random.below(words.count)] }.joined(separator: " ")
      return "{\"prompt\": \"\(prompt) \", \"positive\": \"good a\", \"negative\": \"bad a\"}"
    }
    let text = "[" + items.joined(separator: ",\n") + "]"
    try Data(text.utf8).write(to: folder.appending(path: "\(name).json"))
  }
}

/// Random numbers that follow from a seed (SplitMix64, Steele, Lea and Flood 2014).
struct SplitMix: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// From 0..<1.
  mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }
  mutating func uniform(_ range: ClosedRange<Double>) -> Double {
    range.lowerBound + uniform() * (range.upperBound - range.lowerBound)
  }
  mutating func below(_ count: Int) -> Int { Int(next() % UInt64(count)) }
  /// Roughly normal: the sum of twelve draws.
  mutating func normal() -> Double { (0..<12).reduce(-6) { sum, _ in sum + uniform() } }
}
