import Diagnostics
import Foundation
import Kernels
import TensorFiles
import Testing

@testable import SparseAutoencoders

/// Files that lie, one lie at a time: every error names the file and the key.
struct BadFileTests {
  /// A SAELens folder of 4 dimensions and 6 features that a test spoils.
  struct Folder {
    var configuration: [String: Any] = [
      "architecture": "jumprelu", "d_in": 4, "d_sae": 6, "dtype": "float32", "device": "cpu",
      "apply_b_dec_to_input": false, "normalize_activations": "none", "reshape_activations": "none",
      "metadata": ["sae_lens_version": "6.1.0", "hook_name": "blocks.3.hook_resid_pre"],
    ]
    var tensors: [String: (shape: [Int], values: [Float])] = [
      "W_enc": ([4, 6], gaussianMatrix(4, 6, seed: 1).elements),
      "W_dec": ([6, 4], gaussianMatrix(6, 4, seed: 2).elements),
      "b_enc": ([6], [0, 1, 2, 3, 4, 5]), "b_dec": ([4], [1, 2, 3, 4]), "threshold": ([6], [1, 1, 1, 1, 1, 1]),
    ]
    var scaler: String?
    var configurationText: String?

    func load(_ change: (String) throws -> Void = { _ in }) throws -> SparseAutoencoder {
      try withTemporaryFolder { folder in
        let text = try configurationText.map { Data($0.utf8) } ?? JSONSerialization.data(withJSONObject: configuration)
        try text.write(to: URL(filePath: "\(folder)/cfg.json"))
        var writer = SafetensorsWriter()
        for (name, tensor) in tensors { try writer.add(name, shape: tensor.shape, floats: tensor.values) }
        try writer.write(to: "\(folder)/sae_weights.safetensors")
        if let scaler { try Data(scaler.utf8).write(to: URL(filePath: "\(folder)/activation_scaler.json")) }
        try change(folder)
        return try SparseAutoencoder(contentsOf: folder)
      }
    }
  }

  private func expectRefusal(
    _ subject: String, found: String? = nil, sourceLocation: SourceLocation = #_sourceLocation,
    _ spoil: (inout Folder) -> Void
  ) {
    var folder = Folder()
    spoil(&folder)
    let error = #expect(throws: InputError.self, sourceLocation: sourceLocation) { try folder.load() }
    guard let error else { return }
    #expect(error.subject.hasSuffix(subject), "\(error)", sourceLocation: sourceLocation)
    if let found { #expect(error.found == found, "\(error)", sourceLocation: sourceLocation) }
  }

  @Test func theUnspoiltFolderLoads() throws {
    let sae = try Folder().load()
    #expect(sae.width == 6 && sae.dimension == 4 && sae.architecture == .jumpReLU && sae.convention == .kept)
    #expect(sae.metadata.layer == 2, "the input of block 3 is the output of block 2")
  }

  @Test func keys() {
    expectRefusal("cfg.json: fancy_scale", found: "2.5") { $0.configuration["fancy_scale"] = 2.5 }
    expectRefusal("cfg.json: d_in", found: "no such key") { $0.configuration["d_in"] = nil }
    expectRefusal("cfg.json: d_sae", found: "-6") { $0.configuration["d_sae"] = -6 }
    expectRefusal("cfg.json: d_in", found: "4.5") { $0.configuration["d_in"] = 4.5 }
    expectRefusal("cfg.json: architecture", found: "\"transcoder\"") { $0.configuration["architecture"] = "transcoder" }
    expectRefusal("cfg.json: normalize_activations") { $0.configuration["normalize_activations"] = "batch_norm" }
    expectRefusal("cfg.json: apply_b_dec_to_input") { $0.configuration["apply_b_dec_to_input"] = "yes" }
    expectRefusal("cfg.json: activation_fn", found: "\"tanh-relu\"") { $0.configuration["activation_fn"] = "tanh-relu" }
    expectRefusal("cfg.json: reshape_activations") { $0.configuration["reshape_activations"] = "flatten" }
    expectRefusal("cfg.json: rescale_acts_by_decoder_norm") { $0.configuration["rescale_acts_by_decoder_norm"] = true }
    expectRefusal("cfg.json: dtype") { $0.configuration["dtype"] = "int8" }
    expectRefusal("cfg.json: sae_lens_version") { $0.configuration["sae_lens_version"] = 6 }
    expectRefusal("cfg.json: k", found: "7") {
      $0.configuration["architecture"] = "topk"
      $0.configuration["k"] = 7
      $0.tensors["threshold"] = nil
    }
    expectRefusal("cfg.json: k", found: "no such key") { $0.configuration["architecture"] = "topk" }
  }

  @Test func textThatIsNoConfiguration() {
    for text in ["", "[]", "{", "{\"d_in\": NaN}", "17", String(repeating: "[", count: 100_000)] {
      expectRefusal("cfg.json") { $0.configurationText = text }
    }
  }

  @Test func oldConfigurations() throws {
    var folder = Folder()
    folder.configuration = [
      "d_in": 4, "d_sae": 6, "hook_point": "blocks.3.hook_resid_post", "hook_point_layer": 3,
      "activation_fn_str": "topk",
      "activation_fn_kwargs": ["k": 2], "normalize_activations": NSNull(), "l1_coefficient": 0.1,
    ]
    folder.tensors["threshold"] = nil
    folder.tensors["scaling_factor"] = ([6], Array(repeating: 1, count: 6))
    let sae = try folder.load()
    #expect(sae.architecture == .topK(2, rescalesByDecoderNorm: false) && sae.convention == .subtracted)
    #expect(sae.metadata.layer == 3 && sae.normalization == .none)

    let old = folder.configuration
    expectRefusal("cfg.json: activation_fn_kwargs") {
      $0 = folder
      $0.configuration["activation_fn_kwargs"] = nil
    }
    expectRefusal("cfg.json: hook_point") {
      $0 = folder
      $0.configuration["hook_name"] = "blocks.4.hook_resid_post"
    }
    expectRefusal("tensor \"scaling_factor\"") {
      $0 = folder
      $0.tensors["scaling_factor"]?.values[3] = 1.5
    }
    expectRefusal("finetuning_scaling_factor") {
      $0 = folder
      $0.tensors["scaling_factor"] = nil
      $0.configuration["finetuning_scaling_factor"] = true
    }
    // The same keys in a file of version 6 are not renamed: they are unknown there.
    expectRefusal("cfg.json: activation_fn_str") {
      $0.configuration = old.merging(["sae_lens_version": "6.0.0rc1"]) { $1 }
    }
  }

  @Test func scaleFactors() throws {
    func averaging(_ folder: inout Folder) {
      folder.configuration["normalize_activations"] = "expected_average_only_in"
    }
    expectRefusal("cfg.json: normalize_activations", found: "none") { averaging(&$0) }
    expectRefusal("activation_scaler.json: scaling_factor", found: "-1") {
      averaging(&$0)
      $0.scaler = "{\"scaling_factor\": -1}"
    }
    expectRefusal("activation_scaler.json: has_whitening") {
      averaging(&$0)
      $0.scaler = "{\"scaling_factor\": 2, \"has_whitening\": true}"
    }
    expectRefusal("activation_scaler.json") {
      averaging(&$0)
      $0.scaler = "2"
    }
    expectRefusal("activation_scaler.json: scaling_factor", found: "2.0") { $0.scaler = "{\"scaling_factor\": 2}" }
    var folder = Folder()
    averaging(&folder)
    folder.configuration["norm_scaling_factor"] = 2
    #expect(try folder.load().normalization == .expectedAverage(factor: 2))
    folder.scaler = "{\"scaling_factor\": 3}"
    #expect(throws: InputError.self) { try folder.load() }
    // A training that scaled nothing writes null.
    var unscaled = Folder()
    unscaled.scaler = "{\"scaling_factor\": null}"
    #expect(try unscaled.load().normalization == .none)
  }

  @Test func tensors() {
    expectRefusal("tensor \"W_enc\"", found: "[6, 4]") { $0.tensors["W_enc"]?.shape = [6, 4] }
    expectRefusal("tensor \"W_dec\"", found: "[24]") { $0.tensors["W_dec"]?.shape = [24] }
    expectRefusal("tensor \"b_dec\"", found: "[2, 2]") { $0.tensors["b_dec"]?.shape = [2, 2] }
    expectRefusal("tensor \"b_enc\"") { $0.tensors["b_enc"] = nil }
    expectRefusal("tensor \"threshold\"") { $0.tensors["threshold"] = nil }
    expectRefusal("tensor \"b_mag\"") { $0.tensors["b_mag"] = ([6], [1, 1, 1, 1, 1, 1]) }
    expectRefusal("tensor \"threshold\"", found: "nan at element 2") { $0.tensors["threshold"]?.values[2] = .nan }
    expectRefusal("tensor \"W_dec\"", found: "inf at element 11") { $0.tensors["W_dec"]?.values[11] = .infinity }
    expectRefusal("tensor \"W_enc\"", found: "nan at element 0") { $0.tensors["W_enc"]?.values[0] = .nan }
    expectRefusal("tensor \"threshold\"") { $0.configuration["architecture"] = "standard" }
    expectRefusal("tensor \"b_enc\"") { $0.configuration["architecture"] = "gated" }
    expectRefusal("tensor \"W_enc\"") { $0.configuration["d_sae"] = 1 << 30 }
  }

  @Test func filesThatAreMissingOrCut() throws {
    let missing = #expect(throws: InputError.self) { try SparseAutoencoder(contentsOf: "/nowhere/at all") }
    #expect(missing?.subject == "/nowhere/at all")
    let empty = #expect(throws: InputError.self) { try withTemporaryFolder { try SparseAutoencoder(contentsOf: $0) } }
    #expect(empty?.found == "neither")
    #expect(throws: InputError.self) {
      try Folder().load { try FileManager.default.removeItem(atPath: "\($0)/sae_weights.safetensors") }
    }
    for bytes in [0, 5, 100, 300] {
      #expect(throws: InputError.self) {
        try Folder().load { folder in
          let file = URL(filePath: "\(folder)/sae_weights.safetensors")
          try Data(contentsOf: file).prefix(bytes).write(to: file)
        }
      }
    }
    let plain = SafetensorsWriter().bytes()
    let error = #expect(throws: InputError.self) { try SparseAutoencoder(safetensors: plain, named: "artifact") }
    #expect(error?.subject == "artifact: __metadata__")
  }

  @Test func gemmaScopeFiles() throws {
    // An archive that is whole, and one that is cut in the middle.
    let whole = try Data(contentsOf: URL(filePath: Golden.path("saes/gemma-scope/params.npz")))
    try withTemporaryFolder { folder in
      let path = "\(folder)/layer_3/width_16k/average_l0_22"
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
      try whole.write(to: URL(filePath: "\(path)/params.npz"))
      let metadata = try SparseAutoencoder(contentsOf: path).metadata
      #expect(metadata.layer == 3 && metadata.claimedL0 == 22 && metadata.claimedWidth == 16384)
      for count in [0, 30, 1000, whole.count - 20] {
        try whole.prefix(count).write(to: URL(filePath: "\(path)/params.npz"))
        #expect(throws: InputError.self) { try SparseAutoencoder(contentsOf: "\(path)/params.npz") }
      }
      // A member under another name is missing.
      var renamed = [UInt8](whole)
      let (old, new) = (Array("threshold.npy".utf8), Array("theshold_.npy".utf8))
      for start in 0..<renamed.count - old.count where Array(renamed[start..<start + old.count]) == old {
        renamed.replaceSubrange(start..<start + old.count, with: new)
      }
      try Data(renamed).write(to: URL(filePath: "\(path)/params.npz"))
      let error = #expect(throws: InputError.self) { try SparseAutoencoder(contentsOf: path) }
      #expect(error?.subject.contains("theshold_") == true)
    }
  }

  @Test func matricesInMemory() {
    let encoder = gaussianMatrix(4, 6, seed: 1)
    let decoder = gaussianMatrix(6, 4, seed: 1)
    func expectRefusal(_ subject: String, _ encoder: Matrix, _ bias: [Float], _ decoderBias: [Float]) {
      let error = #expect(throws: InputError.self) {
        try SparseAutoencoder(
          architecture: .standard, convention: .kept, metadata: .init(source: "made"), encoder: encoder,
          decoder: decoder, encoderBias: bias, decoderBias: decoderBias)
      }
      #expect(error?.subject == "made: \(subject)")
    }
    let (bias, decoderBias) = ([Float](repeating: 0, count: 6), [Float](repeating: 0, count: 4))
    expectRefusal("W_enc", decoder, bias, decoderBias)
    expectRefusal("b_enc", encoder, decoderBias, decoderBias)
    expectRefusal("b_dec", encoder, bias, bias)
    expectRefusal("b_dec", encoder, bias, [0, 0, .infinity, 0])
    var broken = encoder
    broken[2, 3] = .nan
    expectRefusal("W_enc", broken, bias, decoderBias)
  }

  @Test func aVectorOfAnotherDimensionIsNamed() throws {
    let sae = try Folder().load()
    try sae.require(dimension: 4, of: "v")
    let error = #expect(throws: InputError.self) { try sae.require(dimension: 5, of: "vector.npy") }
    #expect(error?.subject == "vector.npy" && error?.found == "5")
  }
}
