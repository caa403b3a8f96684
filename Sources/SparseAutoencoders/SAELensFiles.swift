package import Diagnostics
internal import Foundation
internal import TensorFiles

extension SparseAutoencoder {
  /// Names of SAELens' files.
  static let configurationName = "cfg.json"
  static let weightsName = "sae_weights.safetensors"
  static let scalerName = "activation_scaler.json"
  /// Keys of a safetensors file's metadata that carry the two JSON files along.
  static let configurationKey = "cfg"
  static let scalerKey = "activation_scaler"

  /// Opens an SAE whatever its layout: a Gemma Scope `params.npz`, a SAELens folder, or one `.safetensors` file that
  /// carries its configuration in the metadata, as trained SAEs travel. Weights are mapped, not copied.
  ///
  /// - Parameter checkingWeights: read both matrices once to refuse infinities and NaN.
  /// - Throws: `InputError` that names file and key.
  package convenience init(contentsOf path: String, checkingWeights: Bool = true) throws(InputError) {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw InputError(path, expected: "a sparse autoencoder", found: "no such file or folder")
    }
    let name = path.split(separator: "/").last.map(String.init) ?? path
    if isFolder.boolValue {
      let holds = { (name: String) in FileManager.default.fileExists(atPath: "\(path)/\(name)") }
      if holds(Self.configurationName) {
        try self.init(saeLens: path, checkingWeights: checkingWeights)
      } else if holds("params.npz") {
        try self.init(gemmaScope: "\(path)/params.npz", checkingWeights: checkingWeights)
      } else {
        throw InputError(
          path, expected: "a folder with cfg.json and sae_weights.safetensors, or with params.npz", found: "neither")
      }
    } else if name.hasSuffix(".npz") {
      try self.init(gemmaScope: path, checkingWeights: checkingWeights)
    } else if name == Self.configurationName || name == Self.weightsName {
      let folder = path.dropLast(name.count)
      try self.init(saeLens: folder.isEmpty ? "." : String(folder), checkingWeights: checkingWeights)
    } else {
      let file = try SafetensorsFile(path: path)
      try self.init(carrying: file, subject: path, checkingWeights: checkingWeights)
    }
  }

  /// Reads an SAE from the bytes that `serialized()` made; the weights are used in place.
  package convenience init(safetensors bytes: [UInt8], named name: String) throws(InputError) {
    try self.init(carrying: SafetensorsFile(bytes: bytes, name: name), subject: name, checkingWeights: true)
  }

  private convenience init(
    carrying file: SafetensorsFile, subject: String, checkingWeights: Bool
  ) throws(InputError) {
    guard let text = file.metadata[Self.configurationKey] else {
      throw InputError(
        "\(subject): __metadata__", expected: "the SAE's configuration under \"\(Self.configurationKey)\"",
        found: "none", remedy: "give the folder that holds cfg.json and sae_weights.safetensors")
    }
    let part = "\(subject): __metadata__.\(Self.configurationKey)"
    let configuration = try SAELensConfiguration(Array(text.utf8), subject: part, source: subject)
    let scaler = try file.metadata[Self.scalerKey].map { text throws(InputError) in
      try SAELensScaler(Array(text.utf8), subject: "\(subject): __metadata__.\(Self.scalerKey)")
    }
    try self.init(configuration, scaler, weights: file, subject: part, checkingWeights: checkingWeights)
  }

  /// A SAELens folder: `cfg.json`, `sae_weights.safetensors`, perhaps `activation_scaler.json`.
  convenience init(saeLens folder: String, checkingWeights: Bool) throws(InputError) {
    let folder = folder.count > 1 && folder.hasSuffix("/") ? String(folder.dropLast()) : folder
    let path = "\(folder)/\(Self.configurationName)"
    let configuration = try SAELensConfiguration(try Self.text(path), subject: path, source: folder)
    let weights = try SafetensorsFile(path: "\(folder)/\(Self.weightsName)")
    var scaler: SAELensScaler?
    let scalerPath = "\(folder)/\(Self.scalerName)"
    if FileManager.default.fileExists(atPath: scalerPath) {
      scaler = try SAELensScaler(try Self.text(scalerPath), subject: scalerPath)
    }
    try self.init(configuration, scaler, weights: weights, subject: path, checkingWeights: checkingWeights)
  }

  private static func text(_ path: String) throws(InputError) -> [UInt8] {
    let file = try MappedFile(path: path)
    guard file.size <= 1 << 24 else {
      throw InputError(path, expected: "a configuration of at most 16 MiB", found: "\(file.size) bytes")
    }
    return file.withBytes { bytes in bytes.withUnsafeBytes { Array($0) } }
  }

  private convenience init(
    _ configuration: SAELensConfiguration, _ scaler: SAELensScaler?, weights: SafetensorsFile, subject: String,
    checkingWeights: Bool
  ) throws(InputError) {
    try configuration.checkNames(in: weights)
    let (width, dimension) = (configuration.width, configuration.dimension)
    let encoder = try weights.tensor(named: "W_enc")
    let decoder = try weights.tensor(named: "W_dec")
    try encoder.require(shape: [dimension, width], meaning: "[d_in, d_sae]")
    try decoder.require(shape: [width, dimension], meaning: "[d_sae, d_in]")
    let isGated = configuration.architecture == .gated
    var biases = Biases(
      encoder: try weights.vector(named: isGated ? "b_gate" : "b_enc", count: width),
      decoder: try weights.vector(named: "b_dec", count: dimension))
    if configuration.architecture == .jumpReLU {
      biases.thresholds = try weights.vector(named: "threshold", count: width)
    }
    if isGated {
      biases.magnitude = Biases.Magnitude(
        logScale: try weights.vector(named: "r_mag", count: width),
        bias: try weights.vector(named: "b_mag", count: width))
    }
    try self.init(
      architecture: configuration.architecture,
      normalization: try configuration.completed(by: scaler, subject: subject), convention: configuration.convention,
      metadata: configuration.metadata, encoder: StoredMatrix(encoder), decoder: StoredMatrix(decoder), biases: biases,
      checkingWeights: checkingWeights)
  }
}

/// `activation_scaler.json`: the factor by which training scaled activations, where it was not folded into the weights.
private struct SAELensScaler {
  let factor: Float?
  let subject: String

  init(_ json: [UInt8], subject: String) throws(InputError) {
    self.subject = subject
    let keys: [String: JSONValue]
    do { keys = try JSONDecoder().decode([String: JSONValue].self, from: Data(json)) } catch {
      throw InputError(subject, expected: "a JSON object", found: "text that is none")
    }
    for (key, value) in keys.sorted(by: { $0.key < $1.key }) where key != "scaling_factor" {
      guard key == "has_whitening", value == .boolean(false) else {
        throw InputError("\(subject): \(key)", expected: "scaling_factor alone, no whitening", found: value.description)
      }
    }
    let found = keys["scaling_factor"] ?? .null
    factor = found.number.map(Float.init)
    guard found == .null || (factor.map { $0.isFinite && $0 > 0 } ?? false) else {
      throw InputError("\(subject): scaling_factor", expected: "a finite number above 0", found: found.description)
    }
  }
}

extension SAELensConfiguration {
  /// The tensors must be those of the architecture, no more and no fewer; a finetuned scale counts only when it is 1.
  fileprivate func checkNames(in weights: SafetensorsFile) throws(InputError) {
    let scales = ["scaling_factor", "finetuning_scaling_factor"]
    var expected = ["W_enc", "W_dec", "b_dec"]
    switch architecture {
    case .standard, .topK: expected += ["b_enc"]
    case .jumpReLU: expected += ["b_enc", "threshold"]
    case .gated: expected += ["b_gate", "b_mag", "r_mag"]
    }
    for name in weights.tensorNames where !expected.contains(name) {
      let tensor = try weights.tensor(named: name)
      guard scales.contains(name) else {
        throw InputError(
          tensor.subject, expected: "the tensors \(expected.joined(separator: ", ")) of a \(architecture.name) SAE",
          found: "another one", remedy: "check \"architecture\" in cfg.json")
      }
      guard try tensor.floats().allSatisfy({ abs($0 - 1) <= 1e-5 }) else {
        throw InputError(
          tensor.subject, expected: "ones, as an unused scale has them", found: "other numbers",
          remedy: "fold the finetuned scale into W_dec before saving")
      }
    }
    guard !isFinetuned || weights.tensorNames.contains(where: scales.contains) else {
      throw InputError(
        "\(weights.name): finetuning_scaling_factor", expected: "the scale that the configuration speaks of",
        found: "no such tensor")
    }
  }

  /// The normalisation with its factor, which must be somewhere when one is needed.
  fileprivate func completed(
    by scaler: SAELensScaler?, subject: String
  ) throws(InputError) -> SparseAutoencoder.Normalization {
    let factor = scaler?.factor ?? scaleFactor
    switch normalization {
    case .expectedAverage:
      guard let factor else {
        throw InputError(
          "\(subject): normalize_activations",
          expected: "the factor of expected_average_only_in as scaling_factor in \(SparseAutoencoder.scalerName)",
          found: "none", remedy: "write sqrt(d_in) / mean activation norm there, or fold it into the weights")
      }
      if let scaleFactor, let other = scaler?.factor, other != scaleFactor {
        throw InputError(
          "\(subject): norm_scaling_factor", expected: "\(other), as the scaler has it", found: "\(scaleFactor)")
      }
      return .expectedAverage(factor: factor)
    case .none, .constantNorm, .layerNorm:
      guard factor == nil || factor == 1 else {
        throw InputError(
          scaler.map { "\($0.subject): scaling_factor" } ?? "\(subject): norm_scaling_factor",
          expected: "none with normalize_activations \"\(normalization.rawValue)\"", found: "\(factor ?? 0)",
          remedy: "if the factor was not folded into the weights, set normalize_activations to expected_average_only_in"
        )
      }
      switch normalization {
      case .constantNorm: return .constantNorm
      case .layerNorm: return .layerNorm
      case .none, .expectedAverage: return .none
      }
    }
  }
}
