internal import Diagnostics

extension ModelArchitecture {
  /// Bounds that hold for every model there is, so that no product of them overflows.
  static let largestVocabulary = 1 << 26
  static let blockBounds = 1...10_000
  static let widthBounds = 1...(1 << 20)
  static let headBounds = 1...4096
  static let headDimensionBounds = 2...(1 << 14)
  static let feedForwardBounds = 1...(1 << 24)
  static let vocabularyBounds = 1...largestVocabulary
  static let contextBounds = 1...(1 << 28)
  static let epsilonBounds = 1e-12...0.1
  static let capBounds = 1e-3...1e9
  static let baseBounds = 1.0...1e15
  /// Scaling stretches; with `contextBounds` it keeps rotary angles within what their cosines are exact for.
  static let stretchBounds = 1.0...1e6

  /// The architecture that a Hugging Face `config.json` describes.
  ///
  /// Both the published layout (`rope_theta`, `rope_scaling`) and that of transformers 5 (`rope_parameters`) are read.
  /// - Throws: `InputError` for an unknown architecture and for any key that changes numbers and is not understood.
  static func huggingFace(_ file: Configuration) throws(InputError) -> ModelArchitecture {
    let family = try huggingFaceFamily(file)
    try refuseUnknown(file, family: family)
    let heads = try file.integer("num_attention_heads", headBounds)
    let width = try file.integer("hidden_size", widthBounds)
    let blocks = try file.integer("num_hidden_layers", blockBounds)
    if !file.has("head_dim"), !width.isMultiple(of: heads) {
      throw file.wrong("head_dim", expected: "a value, since hidden_size \(width) is no multiple of \(heads) heads")
    }
    let headDimension = try file.integer("head_dim", headDimensionBounds, default: width / heads)
    let gemma = family == .gemma2
    let bias = family == .qwen2 ? false : try file.flag("attention_bias", default: false)
    let scale = gemma ? try file.number("query_pre_attn_scalar", 1e-3...1e9) : Double(headDimension)
    let architecture = ModelArchitecture(
      family: family, blocks: blocks, width: width, heads: heads,
      keyValueHeads: try file.integer("num_key_value_heads", headBounds, default: heads), headDimension: headDimension,
      feedForwardWidth: try file.integer("intermediate_size", feedForwardBounds),
      vocabulary: try file.integer("vocab_size", vocabularyBounds),
      contextLength: try file.integer("max_position_embeddings", contextBounds),
      normEpsilon: Float(try file.number("rms_norm_eps", epsilonBounds)),
      normPlacement: gemma ? .beforeAndAfter : .before, normAddsOne: gemma,
      activation: try huggingFaceActivation(file, family: family), rotary: try huggingFaceRotary(file),
      scoreScale: Float(1 / scale.squareRoot()), attentionSoftcap: try cap(file, "attn_logit_softcapping"),
      finalSoftcap: try cap(file, "final_logit_softcapping"),
      windows: try huggingFaceWindows(file, family: family, blocks: blocks),
      embeddingScale: gemma ? Float(Double(width).squareRoot()) : nil,
      tiedUnembedding: try file.flag("tie_word_embeddings", default: gemma), projectionBias: bias || family == .qwen2,
      outputBias: bias, beginningOfSequence: try file.tokens("bos_token_id").first,
      endOfSequence: try file.tokens("eos_token_id"))
    try architecture.checkHeads { key, expected in
      file.wrong(key == .headDimension ? "head_dim" : "num_key_value_heads", expected: expected)
    }
    return architecture
  }

  enum HeadKey { case headDimension, keyValueHeads }

  /// Query heads share key heads evenly, and rotation takes dimensions in pairs.
  func checkHeads(_ wrong: (HeadKey, String) -> InputError) throws(InputError) {
    guard headDimension.isMultiple(of: 2) else {
      throw wrong(.headDimension, "an even head dimension (here \(headDimension))")
    }
    guard heads.isMultiple(of: keyValueHeads) else {
      throw wrong(.keyValueHeads, "a divisor of the \(heads) attention heads")
    }
  }

  private static func huggingFaceFamily(_ file: Configuration) throws(InputError) -> Family {
    let classes: [String: Family] = [
      "LlamaForCausalLM": .llama, "MistralForCausalLM": .mistral, "Qwen2ForCausalLM": .qwen2,
      "Gemma2ForCausalLM": .gemma2,
    ]
    let known = classes.keys.sorted().joined(separator: ", ")
    if case .list(let list) = file.values["architectures"], case .text(let name) = list.first {
      guard let family = classes[name] else {
        throw file.wrong("architectures", expected: "one of \(known)", found: "\"\(name.prefix(80))\"")
      }
      return family
    }
    guard let type = try file.text("model_type") else { throw file.wrong("architectures", expected: "one of \(known)") }
    guard let family = Family(rawValue: type) else {
      throw file.wrong("model_type", expected: "one of \(Family.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return family
  }

  private static func huggingFaceActivation(_ file: Configuration, family: Family) throws(InputError) -> Activation {
    // Gemma's early files say `hidden_act: gelu` and mean the approximation; the library reads `hidden_activation` only.
    if family == .gemma2 {
      let name = try file.text("hidden_activation") ?? "gelu_pytorch_tanh"
      guard name == "gelu_pytorch_tanh" else {
        throw file.wrong("hidden_activation", expected: "\"gelu_pytorch_tanh\"")
      }
      return .geluTanh
    }
    guard try file.text("hidden_act") == "silu" else { throw file.wrong("hidden_act", expected: "\"silu\"") }
    return .silu
  }

  private static func cap(_ file: Configuration, _ key: String) throws(InputError) -> Float? {
    guard file.has(key) else { return nil }
    return Float(try file.number(key, capBounds))
  }

  private static func huggingFaceRotary(_ file: Configuration) throws(InputError) -> RotaryEmbedding {
    let parameters = try file.object("rope_parameters")
    let older = try file.object("rope_scaling")
    let base = try file.number("rope_theta", baseBounds, default: 10_000)
    guard let scaling = parameters ?? older else { return RotaryEmbedding(base: base) }
    let known: Set = [
      "rope_type", "type", "rope_theta", "factor", "low_freq_factor", "high_freq_factor",
      "original_max_position_embeddings",
      "partial_rotary_factor",
    ]
    if let key = scaling.values.keys.sorted().first(where: { !known.contains($0) }) {
      throw scaling.wrong(key, expected: "keys of the rotary scalings default, linear and llama3")
    }
    guard try scaling.number("partial_rotary_factor", 0...1, default: 1) == 1 else {
      throw scaling.wrong("partial_rotary_factor", expected: "1")
    }
    return RotaryEmbedding(
      base: try scaling.number("rope_theta", baseBounds, default: base), scaling: try rotaryScaling(scaling))
  }

  private static func rotaryScaling(_ scaling: Configuration) throws(InputError) -> RotaryEmbedding.Scaling {
    let key = scaling.has("rope_type") ? "rope_type" : "type"
    switch try scaling.text(key) {
    case "default": return .none
    case "linear": return .linear(factor: try scaling.number("factor", stretchBounds))
    case "llama3":
      let low = try scaling.number("low_freq_factor", 1e-6...1e6)
      let high = try scaling.number("high_freq_factor", 1e-6...1e6)
      guard low < high else { throw scaling.wrong("high_freq_factor", expected: "more than low_freq_factor \(low)") }
      return .llama3(
        factor: try scaling.number("factor", stretchBounds), lowFrequencyFactor: low, highFrequencyFactor: high,
        originalContext: try scaling.number("original_max_position_embeddings", 1...1e12))
    default: throw scaling.wrong(key, expected: "\"default\", \"linear\" or \"llama3\"")
    }
  }

  private static func huggingFaceWindows(
    _ file: Configuration, family: Family, blocks: Int
  ) throws(InputError) -> [Int?] {
    let everywhere = [Int?](repeating: nil, count: blocks)
    guard family != .llama, file.has("sliding_window") else { return everywhere }
    if family == .qwen2, try !file.flag("use_sliding_window", default: false) { return everywhere }
    let window = try file.integer("sliding_window", contextBounds)
    if case .list(let types) = file.values["layer_types"] {
      guard types.count == blocks else {
        throw file.wrong("layer_types", expected: "a type for each of \(blocks) layers")
      }
      var windows = everywhere
      for (index, type) in types.enumerated() {
        switch type {
        case .text("sliding_attention"): windows[index] = window
        case .text("full_attention"): break
        default: throw file.wrong("layer_types", expected: "sliding_attention or full_attention", found: type.printed)
        }
      }
      return windows
    }
    switch family {
    case .llama: return everywhere
    case .mistral: return everywhere.map { _ in window }
    case .gemma2: return everywhere.indices.map { $0.isMultiple(of: 2) ? window : nil }
    case .qwen2:
      let first = try file.integer("max_window_layers", 0...blockBounds.upperBound, default: 28)
      return everywhere.indices.map { $0 >= first ? window : nil }
    }
  }

  /// Refuses keys that are not read here and whose names say that they change what a model computes.
  private static func refuseUnknown(_ file: Configuration, family: Family) throws(InputError) {
    var known: Set = ["rms_norm_eps", "rope_theta", "rope_scaling", "rope_parameters"]
    switch family {
    case .llama: known.formUnion(["attention_bias"])
    case .mistral: known.formUnion(["attention_bias", "sliding_window"])
    case .qwen2: known.formUnion(["sliding_window", "use_sliding_window", "max_window_layers"])
    case .gemma2:
      known.formUnion(["attention_bias", "sliding_window", "final_logit_softcapping", "attn_logit_softcapping"])
    }
    let telling = [
      "scale", "scaling", "multiplier", "softcap", "rope", "rotary", "norm", "bias", "expert", "window", "qk_",
      "quantization",
      "bidirectional", "alibi", "clip",
    ]
    for (key, value) in file.values.sorted(by: { $0.key < $1.key }) where !known.contains(key) {
      guard telling.contains(where: key.contains), value != .null, value != .flag(false) else { continue }
      if value.asNumber == 1, key.contains("scal") || key.contains("multiplier") || key.contains("factor") { continue }
      throw file.wrong(
        key, expected: "only keys that this program understands for \(family.rawValue) models",
        remedy: "the key changes what the model computes; such a model can't be run")
    }
  }
}
