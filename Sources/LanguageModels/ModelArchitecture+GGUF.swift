internal import Diagnostics
internal import TensorFiles

extension ModelArchitecture {
  /// The architecture that the metadata of a GGUF file describe (llama.cpp's keys).
  ///
  /// - Throws: `InputError` for an unknown architecture and for any of its keys that is not understood.
  static func gguf(_ file: GGUFFile) throws(InputError) -> ModelArchitecture {
    let name = try file.metadata.string("general.architecture")
    guard let family = Family(rawValue: name), family != .mistral else {
      throw InputError(
        "\(file.name): general.architecture", expected: "llama, qwen2 or gemma2", found: "\"\(name.prefix(80))\"")
    }
    let keys = configuration(file, prefix: "\(name).")
    try refuseUnknown(keys, family: family)
    let heads = try keys.integer("attention.head_count", headBounds)
    let width = try keys.integer("embedding_length", widthBounds)
    let blocks = try keys.integer("block_count", blockBounds)
    let headDimension = try ggufHeadDimension(keys, width: width, heads: heads)
    let gemma = family == .gemma2
    // The 27B variant scales by its width per head, not by its head dimension; no key says so (llama.cpp goes by the blocks).
    let scale = gemma && blocks == 46 ? Double(width) / Double(heads) : Double(headDimension)
    let tokens = configuration(file, prefix: "tokenizer.ggml.")
    var ends: [Int] = []
    for key in ["eos_token_id", "eot_token_id"] { ends += try tokens.tokens(key).filter { !ends.contains($0) } }
    let architecture = ModelArchitecture(
      family: family, blocks: blocks, width: width, heads: heads,
      keyValueHeads: try keys.integer("attention.head_count_kv", headBounds, default: heads),
      headDimension: headDimension,
      feedForwardWidth: try keys.integer("feed_forward_length", feedForwardBounds),
      vocabulary: try ggufVocabulary(keys, file),
      contextLength: try keys.integer("context_length", contextBounds),
      normEpsilon: Float(try keys.number("attention.layer_norm_rms_epsilon", epsilonBounds)),
      normPlacement: gemma ? .beforeAndAfter : .before, normAddsOne: false, activation: gemma ? .geluTanh : .silu,
      rotary: try ggufRotary(keys, file, headDimension: headDimension), scoreScale: Float(1 / scale.squareRoot()),
      attentionSoftcap: gemma ? Float(try keys.number("attn_logit_softcapping", capBounds)) : nil,
      finalSoftcap: gemma ? Float(try keys.number("final_logit_softcapping", capBounds)) : nil,
      windows: try ggufWindows(keys, family: family, blocks: blocks),
      embeddingScale: gemma ? Float(Double(width).squareRoot()) : nil, tiedUnembedding: !file.contains("output.weight"),
      projectionBias: file.contains("blk.0.attn_q.bias"), outputBias: file.contains("blk.0.attn_output.bias"),
      beginningOfSequence: try tokens.tokens("bos_token_id").first, endOfSequence: ends)
    try architecture.checkHeads { key, expected in
      keys.wrong(key == .headDimension ? "attention.key_length" : "attention.head_count_kv", expected: expected)
    }
    return architecture
  }

  /// The metadata whose keys begin with `prefix`, without it.
  private static func configuration(_ file: GGUFFile, prefix: String) -> Configuration {
    let metadata = file.metadata
    var values: [String: ConfigurationValue] = [:]
    for key in metadata.keys where key.hasPrefix(prefix) {
      let short = String(key.dropFirst(prefix.count))
      if let integer = try? metadata.integerIfPresent(key) {
        values[short] = .integer(integer)
      } else if let number = try? metadata.floatIfPresent(key) {
        values[short] = .number(number)
      } else if let flag = try? metadata.booleanIfPresent(key) {
        values[short] = .flag(flag)
      } else if let text = try? metadata.stringIfPresent(key) {
        values[short] = .text(text)
      } else {
        // Lists: only the tokenizer's have any, and they are not read here.
        values[short] = .list([])
      }
    }
    return Configuration(name: file.name, prefix: prefix, values: values)
  }

  private static func refuseUnknown(_ keys: Configuration, family: Family) throws(InputError) {
    var known: Set = [
      "block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count",
      "attention.head_count_kv", "attention.key_length", "attention.value_length", "attention.layer_norm_rms_epsilon",
      "rope.dimension_count", "rope.freq_base", "rope.scaling.type", "rope.scaling.factor", "rope.scale_linear",
      "rope.scaling.original_context_length", "rope.scaling.finetuned", "vocab_size", "tensor_data_layout",
    ]
    if family == .gemma2 {
      known.formUnion(["attn_logit_softcapping", "final_logit_softcapping", "attention.sliding_window"])
    }
    for (key, value) in keys.values.sorted(by: { $0.key < $1.key }) where !known.contains(key) {
      if ["expert_count", "expert_used_count"].contains(key), value == .integer(0) { continue }
      throw keys.wrong(
        key, expected: "only keys that this program understands for \(family.rawValue) models",
        remedy: "the key may change what the model computes; such a model can't be run")
    }
  }

  private static func ggufHeadDimension(_ keys: Configuration, width: Int, heads: Int) throws(InputError) -> Int {
    if !keys.has("attention.key_length"), !width.isMultiple(of: heads) {
      throw keys.wrong(
        "attention.key_length", expected: "a value, since embedding_length \(width) is no multiple of \(heads) heads")
    }
    let dimension = try keys.integer("attention.key_length", headDimensionBounds, default: width / heads)
    for key in ["attention.value_length", "rope.dimension_count"] {
      guard try keys.integer(key, headDimensionBounds, default: dimension) == dimension else {
        throw keys.wrong(key, expected: "the head dimension \(dimension)")
      }
    }
    return dimension
  }

  private static func ggufVocabulary(_ keys: Configuration, _ file: GGUFFile) throws(InputError) -> Int {
    let rows = try file.tensor(named: "token_embd.weight").rowCount
    let vocabulary = try keys.integer("vocab_size", vocabularyBounds, default: rows)
    guard vocabularyBounds.contains(vocabulary) else {
      throw InputError("\(file.name): tensor \"token_embd.weight\"", expected: "rows", found: "\(rows)")
    }
    return vocabulary
  }

  private static func ggufRotary(
    _ keys: Configuration, _ file: GGUFFile, headDimension: Int
  ) throws(InputError) -> RotaryEmbedding {
    let base = try keys.number("rope.freq_base", baseBounds, default: 10_000)
    var scaling = RotaryEmbedding.Scaling.none
    switch try keys.text("rope.scaling.type") {
    case nil, "none": break
    case "linear": scaling = .linear(factor: try keys.number("rope.scaling.factor", stretchBounds))
    default: throw keys.wrong("rope.scaling.type", expected: "\"none\" or \"linear\"")
    }
    let old = try keys.number("rope.scale_linear", stretchBounds, default: 1)
    if old != 1 { scaling = .linear(factor: old) }
    guard file.contains("rope_freqs.weight") else { return RotaryEmbedding(base: base, scaling: scaling) }
    let tensor = try file.tensor(named: "rope_freqs.weight")
    try tensor.require(shape: [headDimension / 2], meaning: "[head dimension / 2]")
    let divisors = try tensor.floats(requireFinite: true)
    if let odd = divisors.first(where: { $0 < 0.5 }) {
      throw InputError(tensor.subject, expected: "divisors from 1 up", found: "\(odd)")
    }
    guard scaling == .none else {
      throw InputError(tensor.subject, expected: "no other rotary scaling beside it", found: "linear scaling too")
    }
    return RotaryEmbedding(base: base, divisors: divisors)
  }

  private static func ggufWindows(
    _ keys: Configuration, family: Family, blocks: Int
  ) throws(InputError) -> [Int?] {
    guard family == .gemma2 else { return Array(repeating: nil, count: blocks) }
    let window = try keys.integer("attention.sliding_window", contextBounds, default: 4096)
    return (0..<blocks).map { $0.isMultiple(of: 2) ? window : nil }
  }
}
