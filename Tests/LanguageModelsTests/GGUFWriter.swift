import Foundation
import Kernels
import LanguageModels

/// Writes tiny models as GGUF, version 3, float32.
struct GGUFWriter: Sendable {
  enum Value: Sendable {
    case integer(UInt32)
    case number(Float)
    case text(String)
  }

  var pairs: [String: Value] = [:]
  var tensors: [String: (shape: [Int], values: [Float])] = [:]

  /// What llama.cpp's converter makes of a Hugging Face model.
  init(converting model: TinyModel) {
    let name = (model.configuration["architectures"] as? [String])?.first ?? ""
    let family = name.hasPrefix("Gemma") ? "gemma2" : name.hasPrefix("Qwen") ? "qwen2" : "llama"
    func integer(_ key: String) -> Int { model.configuration[key] as? Int ?? 0 }
    let heads = integer("num_attention_heads")
    pairs["general.architecture"] = .text(family)
    for (key, source) in [
      ("block_count", "num_hidden_layers"), ("context_length", "max_position_embeddings"),
      ("embedding_length", "hidden_size"),
      ("feed_forward_length", "intermediate_size"), ("attention.head_count", "num_attention_heads"),
      ("attention.head_count_kv", "num_key_value_heads"),
    ] { pairs["\(family).\(key)"] = .integer(UInt32(integer(source))) }
    pairs["\(family).attention.layer_norm_rms_epsilon"] = .number(1e-5)
    if family == "gemma2" {
      pairs["gemma2.attn_logit_softcapping"] = .number(2)
      pairs["gemma2.final_logit_softcapping"] = .number(3)
      pairs["gemma2.attention.sliding_window"] = .integer(4)
      pairs["gemma2.attention.key_length"] = .integer(UInt32(integer("head_dim")))
      pairs["gemma2.attention.value_length"] = .integer(UInt32(integer("head_dim")))
    }
    for (tensor, (shape, values)) in model.tensors {
      let stored: [Float]
      if family == "gemma2", tensor.hasSuffix("norm.weight") {
        stored = values.map { 1 + $0 }
      } else if family == "llama", tensor.contains("q_proj") {
        stored = GGUFWriter.interleaved(values, heads: heads, rows: shape[0])
      } else if family == "llama", tensor.contains("k_proj") {
        stored = GGUFWriter.interleaved(values, heads: integer("num_key_value_heads"), rows: shape[0])
      } else {
        stored = values
      }
      tensors[GGUFWriter.name(tensor, gemma: family == "gemma2")] = (shape, stored)
    }
  }

  /// The rows of each head, first half and second half in turn.
  private static func interleaved(_ values: [Float], heads: Int, rows: Int) -> [Float] {
    let width = values.count / rows
    let half = rows / heads / 2
    return (0..<heads).flatMap { head in
      (0..<half).flatMap { pair in
        [0, half].flatMap { offset -> ArraySlice<Float> in
          let row = head * 2 * half + offset + pair
          return values[row * width..<(row + 1) * width]
        }
      }
    }
  }

  private static func name(_ tensor: String, gemma: Bool) -> String {
    let parts = [
      ("model.embed_tokens", "token_embd"), ("lm_head", "output"), ("model.norm", "output_norm"),
      ("model.layers.", "blk."),
      ("input_layernorm", "attn_norm"), ("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"),
      ("self_attn.v_proj", "attn_v"), ("self_attn.o_proj", "attn_output"),
      ("post_attention_layernorm", gemma ? "post_attention_norm" : "ffn_norm"),
      ("pre_feedforward_layernorm", "ffn_norm"),
      ("post_feedforward_layernorm", "post_ffw_norm"), ("mlp.gate_proj", "ffn_gate"), ("mlp.up_proj", "ffn_up"),
      ("mlp.down_proj", "ffn_down"),
    ]
    return parts.reduce(tensor) { $0.replacingOccurrences(of: $1.0, with: $1.1) }
  }

  /// The file.
  func bytes() -> Data {
    var file = Data("GGUF".utf8)
    func append(_ value: some FixedWidthInteger) {
      withUnsafeBytes(of: value.littleEndian) { file.append(contentsOf: $0) }
    }
    func append(_ text: String) {
      append(UInt64(text.utf8.count))
      file.append(contentsOf: text.utf8)
    }
    append(UInt32(3))
    append(UInt64(tensors.count))
    append(UInt64(pairs.count))
    for (key, value) in pairs.sorted(by: { $0.key < $1.key }) {
      append(key)
      switch value {
      case .integer(let integer):
        append(UInt32(4))
        append(integer)
      case .number(let number):
        append(UInt32(6))
        append(number.bitPattern)
      case .text(let text):
        append(UInt32(8))
        append(text)
      }
    }
    var data = Data()
    for (name, (shape, values)) in tensors.sorted(by: { $0.key < $1.key }) {
      append(name)
      append(UInt32(shape.count))
      for length in shape.reversed() { append(UInt64(length)) }
      append(UInt32(0))
      append(UInt64(data.count))
      values.withUnsafeBytes { data.append(contentsOf: $0) }
      data.append(Data(count: -data.count & 31))
    }
    return file + Data(count: -file.count & 31) + data
  }

  /// Writes bytes to a file for as long as `body` runs.
  func written<Result>(_ bytes: Data, _ body: (String) throws -> Result) throws -> Result {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("tiny-\(UUID().uuidString).gguf")
    try bytes.write(to: url)
    defer { try? FileManager.default.removeItem(at: url) }
    return try body(url.path)
  }

  func loaded<Result>(_ body: (LanguageModel) throws -> Result) throws -> Result {
    try written(bytes()) { try body(LanguageModel(path: $0, pool: ThreadPool(threads: 1))) }
  }

  /// What the file says of itself.
  func architecture() throws -> ModelArchitecture {
    try written(bytes()) { try LanguageModel.describe(ModelFiles(path: $0)).architecture }
  }
}
