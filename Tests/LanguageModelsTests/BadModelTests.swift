import Diagnostics
import Foundation
import Kernels
import LanguageModels
import Testing

/// Files that are cut off, lie, or describe what can't be run: one clear error each, never a crash or a huge allocation.
@Suite struct BadModelTests {
  /// The error of loading `model` after `damage` was done to its folder.
  private func error(_ model: TinyModel, damage: (String) throws -> Void = { _ in }) throws -> InputError {
    let path = try model.write()
    defer { try? FileManager.default.removeItem(atPath: path) }
    try damage(path)
    return try #require(
      #expect(throws: InputError.self) { try LanguageModel(path: path, pool: ThreadPool(threads: 1)) })
  }

  private func error(_ family: String = "llama", _ changes: [String: Any]) throws -> InputError {
    // The tensors are those of the unchanged model: what is wrong must be found in the description.
    var model = TinyModel(family)
    model.configuration.merge(changes) { $1 }
    return try error(model)
  }

  @Test(arguments: [
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "rms_norm_eps",
    "hidden_act",
    "max_position_embeddings",
  ]) func aMissingKeyIsNamed(_ key: String) throws {
    var model = TinyModel("llama")
    model.configuration[key] = nil
    let error = try error(model)
    #expect(error.subject.hasSuffix("config.json: \(key)") && error.found == "no such key", "\(error)")
  }

  @Test(arguments: [
    ("num_hidden_layers", 0), ("num_hidden_layers", -3), ("num_hidden_layers", 1_000_000_000_000),
    ("num_attention_heads", 0),
    ("num_key_value_heads", 0), ("num_key_value_heads", 3), ("hidden_size", Int.max), ("hidden_size", 0),
    ("vocab_size", Int.max), ("intermediate_size", 1 << 40), ("head_dim", 7), ("head_dim", 0), ("head_dim", 1 << 40),
    ("max_position_embeddings", 0), ("max_position_embeddings", Int.max),
  ]) func anAbsurdNumberIsNamed(_ key: String, _ value: Int) throws {
    let error = try error("llama", [key: value])
    #expect(error.subject.hasSuffix("config.json: \(key)"), "\(error)")
    #expect(error.found == String(value), "\(error)")
  }

  @Test(
    arguments: [
      ("vocab_size", "40"), ("hidden_size", 24.5), ("rms_norm_eps", -1e-5), ("rms_norm_eps", "small"),
      ("rms_norm_eps", 1e300),
      ("rope_theta", 0), ("hidden_act", "gelu"), ("hidden_act", 3), ("tie_word_embeddings", "yes"),
      ("num_hidden_layers", true),
      ("bos_token_id", "a"), ("eos_token_id", [1, -4]),
    ] as [(String, any Sendable)]) func aWrongValueIsNamed(_ key: String, _ value: any Sendable) throws
  {
    let error = try error("llama", [key: value])
    #expect(error.subject.hasSuffix("config.json: \(key)"), "\(error)")
  }

  @Test(
    arguments: [
      ("llama", "quantization_config", ["bits": 4]), ("llama", "num_local_experts", 8), ("llama", "mlp_bias", true),
      ("llama", "residual_multiplier", 0.22), ("llama", "logits_scaling", 8), ("llama", "partial_rotary_factor", 0.5),
      ("llama", "sliding_window", 4), ("llama", "use_qk_norm", true), ("llama", "attn_logit_softcapping", 30.0),
      ("gemma2", "use_bidirectional_attention", true), ("llama", "rope_interleaved", true),
    ] as [(String, String, any Sendable)])
  func aKeyThatChangesNumbersAndIsNotUnderstoodIsRefused(_ family: String, _ key: String, _ value: any Sendable) throws
  {
    let error = try error(family, [key: value])
    #expect(error.subject.hasSuffix("config.json: \(key)"), "\(error)")
  }

  @Test func keysThatChangeNothingAreAccepted() throws {
    let harmless: [String: Any] = [
      "use_cache": true, "torch_dtype": "float32", "mlp_bias": false, "rope_interleaved": false,
      "residual_multiplier": 1.0,
      "quantization_config": NSNull(), "rope_scaling": NSNull(), "transformers.js_config": ["a": 1],
      "is_llama_config": true,
      "pretraining_tp": 1, "initializer_range": 0.02, "attention_dropout": 0.0,
    ]
    try TinyModel("llama", changing: harmless).loaded { #expect($0.architecture.blocks == 4) }
  }

  @Test(
    arguments: [
      (["rope_type": "yarn", "factor": 4.0], "rope_type"), (["type": "dynamic", "factor": 4.0], "type"),
      (["type": "linear"], "factor"),
      (["type": "linear", "factor": 0.0], "factor"), (["rope_type": "llama3", "factor": 8.0], "low_freq_factor"),
      (["rope_type": "linear", "factor": 2.0, "beta_fast": 32], "beta_fast"),
      (
        [
          "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 4.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64,
        ],
        "high_freq_factor"
      ),
    ] as [([String: any Sendable], String)])
  func aRotaryScalingThatIsNotUnderstoodIsRefused(_ scaling: [String: any Sendable], _ key: String) throws {
    for place in ["rope_scaling", "rope_parameters"] {
      let error = try error("llama", [place: scaling])
      #expect(error.subject.hasSuffix("config.json: \(place).\(key)"), "\(error)")
    }
  }

  @Test func anUnknownArchitectureIsNamed() throws {
    #expect(try error("llama", ["architectures": ["Mamba2ForCausalLM"]]).description.contains("\"Mamba2ForCausalLM\""))
    var model = TinyModel("llama")
    model.configuration["architectures"] = nil
    #expect(try error(model).subject.hasSuffix("config.json: architectures"))
    model.configuration["model_type"] = "gpt_neox"
    #expect(try error(model).subject.hasSuffix("config.json: model_type"))
    model.configuration["model_type"] = "llama"
    try model.loaded { #expect($0.architecture.family == .llama) }
  }

  @Test func layerTypesMustFit() throws {
    #expect(try error("gemma2", ["layer_types": ["full_attention"]]).subject.hasSuffix("layer_types"))
    let odd = Array(repeating: "linear_attention", count: 4)
    #expect(try error("gemma2", ["layer_types": odd]).found == "\"linear_attention\"")
    let types = ["full_attention", "sliding_attention", "full_attention", "full_attention"]
    try TinyModel("gemma2", changing: ["layer_types": types]).loaded {
      #expect($0.architecture.windows == [nil, 4, nil, nil])
    }
  }

  @Test(arguments: [0, 1, 40, 200]) func aTruncatedConfigurationIsRefused(_ length: Int) throws {
    let error = try error(TinyModel("llama")) { folder in
      let path = "\(folder)/config.json"
      let data = try Data(contentsOf: URL(fileURLWithPath: path))
      try data.prefix(length).write(to: URL(fileURLWithPath: path))
    }
    #expect(error.subject.hasSuffix("config.json") && error.expected == "JSON", "\(error)")
  }

  @Test func aConfigurationOfAnotherShapeIsRefused() throws {
    let error = try error(TinyModel("llama")) { folder in
      try Data("[1, 2]".utf8).write(to: URL(fileURLWithPath: "\(folder)/config.json"))
    }
    #expect(error.expected == "a JSON object" && error.found == "a list of 2")
    let deep = try self.error(TinyModel("llama")) { folder in
      let text = String(repeating: "[", count: 100_000)
      try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/config.json"))
    }
    #expect(deep.expected == "JSON")
  }

  @Test(arguments: [
    "model.embed_tokens.weight", "model.norm.weight", "model.layers.3.mlp.down_proj.weight",
    "model.layers.0.input_layernorm.weight", "model.layers.2.self_attn.k_proj.weight",
  ]) func aMissingOrMisshapenOrUnusableTensorIsNamed(_ name: String) throws {
    let model = TinyModel("llama")
    var missing = model
    missing.tensors[name] = nil
    let error = try error(missing)
    #expect(error.subject.contains("tensor \"\(name)\"") && error.found == "none", "\(error)")

    let (shape, values) = try #require(model.tensors[name])
    var misshapen = model
    misshapen.tensors[name] = (
      [shape[0] + 1] + shape.dropFirst(), values + Array(repeating: 0, count: values.count / shape[0])
    )
    #expect(try self.error(misshapen).subject.hasSuffix("tensor \"\(name)\""))

    for bad in [Float.nan, .infinity, -.infinity] {
      var spoiled = model
      spoiled.tensors[name]?.values[values.count / 2] = bad
      let error = try self.error(spoiled)
      #expect(error.subject.hasSuffix("tensor \"\(name)\"") && error.expected == "finite numbers", "\(error)")
    }
  }

  @Test func anUntiedUnembeddingIsCheckedWhenLoading() throws {
    var model = TinyModel("llama", changing: ["tie_word_embeddings": false])
    model.tensors["lm_head.weight"]?.values[3] = .nan
    #expect(try error(model).subject.hasSuffix("tensor \"lm_head.weight\""))
    model.tensors["lm_head.weight"] = nil
    #expect(try error(model).subject.contains("lm_head.weight"))
  }

  @Test func aTensorThatIsNotUnderstoodIsRefused() throws {
    var model = TinyModel("llama")
    model.tensors["model.layers.0.self_attn.q_norm.weight"] = ([6], Array(repeating: 1, count: 6))
    #expect(try error(model).subject.hasSuffix("tensor \"model.layers.0.self_attn.q_norm.weight\""))
  }

  @Test func tensorsThatNothingNeedsAreLeftAlone() throws {
    var model = TinyModel("llama")
    model.tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = ([3], [1, 2, 3])
    model.tensors["lm_head.weight"] = model.tensors["model.embed_tokens.weight"]
    try model.loaded { #expect($0.architecture.tiedUnembedding) }
  }
}
