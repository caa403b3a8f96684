import Foundation
import Kernels
import LanguageModels

/// A small random model, written to a folder of its own as Hugging Face would.
struct TinyModel {
  var configuration: [String: Any]
  var tensors: [String: (shape: [Int], values: [Float])] = [:]

  /// A model that shows every feature of its family: few heads, windows shorter than the prompts, caps that bend.
  init(_ family: String, changing changes: [String: Any] = [:], seed: UInt64 = 7) {
    configuration = [
      "vocab_size": 40, "hidden_size": 24, "intermediate_size": 36, "num_hidden_layers": 4, "num_attention_heads": 4,
      "num_key_value_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "hidden_act": "silu",
      "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": true,
    ]
    switch family {
    case "llama":
      configuration["architectures"] = ["LlamaForCausalLM"]
    case "mistral":
      configuration["architectures"] = ["MistralForCausalLM"]
      configuration["sliding_window"] = 5
    case "qwen2":
      configuration["architectures"] = ["Qwen2ForCausalLM"]
      configuration["tie_word_embeddings"] = false
    default:
      configuration["architectures"] = ["Gemma2ForCausalLM"]
      configuration.merge([
        "hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 10, "head_dim": 8, "sliding_window": 4,
        "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0,
      ]) { $1 }
    }
    configuration.merge(changes) { $1 }
    fill(seed: seed)
  }

  private func number(_ key: String) -> Int { configuration[key] as? Int ?? 0 }

  private mutating func fill(seed: UInt64) {
    let (d, ffn, heads) = (number("hidden_size"), number("intermediate_size"), number("num_attention_heads"))
    let headDimension = configuration["head_dim"] as? Int ?? d / heads
    let (q, kv) = (heads * headDimension, number("num_key_value_heads") * headDimension)
    let name = (configuration["architectures"] as? [String])?.first ?? ""
    var generator = CounterGenerator(seed: seed, stream: 0)
    func random(_ shape: [Int], scale: Double, around centre: Double = 0) -> (shape: [Int], values: [Float]) {
      (shape, (0..<shape.reduce(1, *)).map { _ in Float(centre + scale * generator.gaussian()) })
    }
    let gemma = name.hasPrefix("Gemma")
    tensors["model.embed_tokens.weight"] = random([number("vocab_size"), d], scale: gemma ? 0.4 : 1)
    tensors["model.norm.weight"] = random([d], scale: 0.3, around: gemma ? 0 : 1)
    if configuration["tie_word_embeddings"] as? Bool == false {
      tensors["lm_head.weight"] = random([number("vocab_size"), d], scale: 0.4)
    }
    for block in 0..<number("num_hidden_layers") {
      let prefix = "model.layers.\(block)."
      var norms = ["input_layernorm", "post_attention_layernorm"]
      if gemma { norms += ["pre_feedforward_layernorm", "post_feedforward_layernorm"] }
      for norm in norms { tensors["\(prefix)\(norm).weight"] = random([d], scale: 0.3, around: gemma ? 0 : 1) }
      let shapes: [(String, Int, Int)] = [
        ("self_attn.q_proj", q, d), ("self_attn.k_proj", kv, d), ("self_attn.v_proj", kv, d),
        ("self_attn.o_proj", d, q),
        ("mlp.gate_proj", ffn, d), ("mlp.up_proj", ffn, d), ("mlp.down_proj", d, ffn),
      ]
      for (part, outputs, inputs) in shapes {
        tensors["\(prefix)\(part).weight"] = random([outputs, inputs], scale: 1.4 / Double(inputs).squareRoot())
        let isBiased =
          part.hasPrefix("self_attn")
          && (configuration["attention_bias"] as? Bool == true
            || (name.hasPrefix("Qwen") && part != "self_attn.o_proj"))
        if isBiased { tensors["\(prefix)\(part).bias"] = random([outputs], scale: 0.3) }
      }
    }
  }

  /// Writes the model to a new folder and returns its path.
  func write() throws -> String {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tiny-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try JSONSerialization.data(withJSONObject: configuration).write(to: folder.appendingPathComponent("config.json"))
    try safetensors(tensors).write(to: folder.appendingPathComponent("model.safetensors"))
    return folder.path
  }

  /// Writes the model, hands it loaded to `body`, and removes the files.
  func loaded<Result>(
    threads: Int = 1, weights: WeightStorage = .asStored, _ body: (LanguageModel) throws -> Result
  ) throws -> Result {
    let path = try write()
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(LanguageModel(path: path, weights: weights, pool: ThreadPool(threads: threads)))
  }

  /// The values of a tensor as rows of doubles.
  func rows(_ name: String) -> [[Double]] {
    guard let (shape, values) = tensors[name] else { return [] }
    let columns = shape.count == 1 ? values.count : shape[1]
    return stride(from: 0, to: values.count, by: columns).map { values[$0..<$0 + columns].map(Double.init) }
  }
}

/// The bytes of a safetensors file with these float32 tensors.
func safetensors(_ tensors: [String: (shape: [Int], values: [Float])]) throws -> Data {
  var header: [String: Any] = [:]
  var data = Data()
  for (name, (shape, values)) in tensors.sorted(by: { $0.key < $1.key }) {
    let start = data.count
    values.withUnsafeBytes { data.append(contentsOf: $0) }
    header[name] = ["dtype": "F32", "shape": shape, "data_offsets": [start, data.count]] as [String: Any]
  }
  let json = try JSONSerialization.data(withJSONObject: header)
  var file = Data()
  withUnsafeBytes(of: UInt64(json.count).littleEndian) { file.append(contentsOf: $0) }
  return file + json + data
}

/// Token ids that do not repeat in a pattern.
func prompt(_ count: Int, seed: UInt64 = 1, vocabulary: Int = 40) -> [Int] {
  var generator = CounterGenerator(seed: seed, stream: 99)
  return (0..<count).map { _ in Int(generator.next() % UInt64(vocabulary)) }
}
