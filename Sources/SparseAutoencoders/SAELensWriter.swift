package import Diagnostics
internal import Foundation
internal import TensorFiles

extension SparseAutoencoder {
  /// The SAE as one safetensors file whose metadata carries its configuration: how trained SAEs travel.
  ///
  /// The same SAE gives the same bytes, whatever it is called.
  package func serialized() throws(InputError) -> [UInt8] {
    var metadata = [Self.configurationKey: configurationText]
    if let scalerText { metadata[Self.scalerKey] = scalerText }
    return try writer(metadata: metadata).bytes()
  }

  /// Writes SAELens' layout, which SAELens 6 loads: `cfg.json`, `sae_weights.safetensors` and, with a factor that is not
  /// folded in, `activation_scaler.json`. Each file appears whole or not at all, the configuration last.
  package func save(toDirectory path: String) throws(InputError) {
    do { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) } catch {
      throw InputError(path, expected: "a folder to write to", found: error.localizedDescription)
    }
    let scalerPath = "\(path)/\(Self.scalerName)"
    if scalerText == nil, FileManager.default.fileExists(atPath: scalerPath) {
      throw InputError(
        scalerPath, expected: "no such file beside an SAE without a factor", found: "one",
        remedy: "write to a new folder")
    }
    try writer(metadata: [:]).write(to: "\(path)/\(Self.weightsName)")
    if let scalerText { try AtomicFile.write(Array(scalerText.utf8), to: scalerPath) }
    try AtomicFile.write(Array(configurationText.utf8), to: "\(path)/\(Self.configurationName)")
  }

  private func writer(metadata: [String: String]) throws(InputError) -> SafetensorsWriter {
    var writer = SafetensorsWriter(metadata: metadata)
    try encoder.add(to: &writer, named: "W_enc")
    try decoder.add(to: &writer, named: "W_dec")
    try writer.add("b_dec", shape: [dimension], floats: biases.decoder)
    try writer.add(architecture == .gated ? "b_gate" : "b_enc", shape: [width], floats: biases.encoder)
    if let thresholds { try writer.add("threshold", shape: [width], floats: thresholds) }
    if let magnitude = biases.magnitude {
      try writer.add("r_mag", shape: [width], floats: magnitude.logScale)
      try writer.add("b_mag", shape: [width], floats: magnitude.bias)
    }
    return writer
  }

  /// SAELens 6's keys. A layer that no hook name tells is kept as `hook_layer` in the metadata, which is free-form.
  private var configurationText: String {
    var about: [String: JSONValue] = ["sae_lens_version": .string("6.0.0"), "sae_lens_training_version": .null]
    about["model_name"] = metadata.modelName.map(JSONValue.string)
    about["hook_name"] = metadata.hookName.map(JSONValue.string)
    about["hook_layer"] = metadata.layer.map(JSONValue.integer)
    about["context_size"] = metadata.contextSize.map(JSONValue.integer)
    about["prepend_bos"] = metadata.prependsBOS.map(JSONValue.boolean)
    var keys: [String: JSONValue] = [
      "architecture": .string(architecture.name), "d_in": .integer(dimension), "d_sae": .integer(width),
      "dtype": .string("float32"), "device": .string("cpu"), "reshape_activations": .string("none"),
      "apply_b_dec_to_input": .boolean(convention == .subtracted), "metadata": .object(about),
    ]
    let normalization: SAELensConfiguration.Normalization =
      switch normalization {
      case .none: .none
      case .expectedAverage: .expectedAverage
      case .constantNorm: .constantNorm
      case .layerNorm: .layerNorm
      }
    keys["normalize_activations"] = .string(normalization.rawValue)
    if case .topK(let k, let rescales) = architecture {
      keys["k"] = .integer(k)
      keys["rescale_acts_by_decoder_norm"] = .boolean(rescales)
    }
    return JSONValue.object(keys).text
  }

  private var scalerText: String? {
    guard case .expectedAverage(let factor) = normalization else { return nil }
    return JSONValue.object(["scaling_factor": .number(Double(factor))]).text
  }
}
