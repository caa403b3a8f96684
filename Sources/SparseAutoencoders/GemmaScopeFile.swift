internal import Diagnostics
internal import Foundation
internal import TensorFiles

extension SparseAutoencoder {
  /// A Gemma Scope `params.npz`: jumprelu, b_dec kept on the input, no normalisation (formats.md, section 1).
  ///
  /// The path says layer, width and L0: `layer_12/width_16k/average_l0_82/params.npz`.
  convenience init(gemmaScope path: String, checkingWeights: Bool) throws(InputError) {
    let archive = try NpzArchive(path: path)
    // Transcoder-era files spell two names in lower case.
    let encoder = try archive.tensor(named: archive.contains("w_enc") ? "w_enc" : "W_enc")
    let decoder = try archive.tensor(named: archive.contains("w_dec") ? "w_dec" : "W_dec")
    try decoder.require(shape: [nil, nil], meaning: "[d_sae, d_in]")
    try encoder.require(shape: [decoder.shape[1], decoder.shape[0]], meaning: "[d_in, d_sae]")
    let known = ["W_enc", "W_dec", "w_enc", "w_dec", "b_enc", "b_dec", "threshold"]
    for name in archive.tensorNames where !known.contains(name) {
      throw InputError(
        "\(path): \(name)", expected: "W_enc, W_dec, b_enc, b_dec and threshold only", found: "another array",
        remedy: "a file with more than these is no Gemma Scope SAE")
    }
    let biases = Biases(
      encoder: try archive.vector(named: "b_enc", count: decoder.shape[0]),
      decoder: try archive.vector(named: "b_dec", count: decoder.shape[1]),
      thresholds: try archive.vector(named: "threshold", count: decoder.shape[0]), magnitude: nil)
    try self.init(
      architecture: .jumpReLU, normalization: .none, convention: .kept, metadata: Metadata(gemmaScope: path),
      encoder: StoredMatrix(encoder), decoder: StoredMatrix(decoder), biases: biases, checkingWeights: checkingWeights)
  }
}

extension TensorCollection {
  /// A tensor of one dimension and this length.
  func vector(named name: String, count: Int) throws(InputError) -> [Float] {
    let tensor = try tensor(named: name)
    try tensor.require(shape: [count])
    return try tensor.floats(requireFinite: true)
  }
}

extension SparseAutoencoder.Metadata {
  /// What a Gemma Scope path claims; parts that are not in it stay nil.
  init(gemmaScope path: String) {
    self.init(source: path)
    for part in path.split(separator: "/") {
      if let number = Self.text(in: part, after: "layer_") { layer = Int(number) }
      if let number = Self.text(in: part, after: "average_l0_") { claimedL0 = Double(number) }
      if let name = Self.text(in: part, after: "width_") { claimedWidth = Self.width(named: name) }
    }
  }

  private static func text(in part: Substring, after prefix: String) -> Substring? {
    part.hasPrefix(prefix) ? part.dropFirst(prefix.count) : nil
  }

  /// `16k` is 16384 and `65k` 65536: the power of two nearest to the round number.
  private static func width(named name: Substring) -> Int? {
    let units: [Character: Double] = ["k": 1e3, "m": 1e6]
    guard let unit = name.last.flatMap({ units[$0] }), let number = Double(name.dropLast()), number >= 1, number < 1e6
    else { return Int(name) }
    var power = 1
    while Double(power) * 1.5 < number * unit { power *= 2 }
    return power
  }
}
