import Foundation
import LanguageModels

/// The same transformer written as slowly and plainly as possible, in double: one sequence, no cache, every position in turn.
struct ReferenceModel {
  let model: TinyModel

  private func number(_ key: String) -> Double? {
    (model.configuration[key] as? Int).map(Double.init) ?? model.configuration[key] as? Double
  }
  private func integer(_ key: String) -> Int { Int(number(key) ?? 0) }
  private var family: String { (model.configuration["architectures"] as? [String])?.first ?? "" }
  private var isGemma: Bool { family.hasPrefix("Gemma") }

  /// The residual stream after every block, `[block][token][d]`, and the logits `[token][vocabulary]`.
  func run(_ tokens: [Int]) -> (residuals: [[[Double]]], logits: [[Double]]) {
    let table = model.rows("model.embed_tokens.weight")
    let scale = isGemma ? Double(integer("hidden_size")).squareRoot() : 1
    var stream = tokens.map { table[$0].map { $0 * scale } }
    var residuals: [[[Double]]] = []
    for block in 0..<integer("num_hidden_layers") {
      stream = advance(stream, block)
      residuals.append(stream)
    }
    let output = family.hasPrefix("Qwen") ? model.rows("lm_head.weight") : table
    let logits = stream.map { row in
      product(output, norm(row, "model.norm.weight")).map { capped($0, number("final_logit_softcapping")) }
    }
    return (residuals, logits)
  }

  private func advance(_ stream: [[Double]], _ block: Int) -> [[Double]] {
    let prefix = "model.layers.\(block)."
    let normed = stream.map { norm($0, "\(prefix)input_layernorm.weight") }
    let attended = attention(normed, block).map { linear($0, "\(prefix)self_attn.o_proj") }
    return zip(stream, attended).map { row, attended in
      let afterAttention = "\(prefix)post_attention_layernorm.weight"
      let middle = sum(row, isGemma ? norm(attended, afterAttention) : attended)
      let input = norm(middle, isGemma ? "\(prefix)pre_feedforward_layernorm.weight" : afterAttention)
      let gate = linear(input, "\(prefix)mlp.gate_proj").map(activation)
      let hidden = zip(gate, linear(input, "\(prefix)mlp.up_proj")).map { $0 * $1 }
      let output = linear(hidden, "\(prefix)mlp.down_proj")
      return sum(middle, isGemma ? norm(output, "\(prefix)post_feedforward_layernorm.weight") : output)
    }
  }

  private func attention(_ normed: [[Double]], _ block: Int) -> [[Double]] {
    let prefix = "model.layers.\(block).self_attn."
    let (heads, groups) = (integer("num_attention_heads"), integer("num_key_value_heads"))
    let size = number("head_dim").map { Int($0) } ?? integer("hidden_size") / heads
    let scale = 1 / (number("query_pre_attn_scalar") ?? Double(size)).squareRoot()
    let window = isGemma && block % 2 == 1 ? Int.max : (number("sliding_window").map { Int($0) } ?? Int.max)
    func vectors(_ name: String, rotated: Bool) -> [[[Double]]] {
      normed.enumerated().map { position, row in
        let all = linear(row, prefix + name)
        return stride(from: 0, to: all.count, by: size).map {
          let head = Array(all[$0..<$0 + size])
          return rotated ? rotate(head, position) : head
        }
      }
    }
    let queries = vectors("q_proj", rotated: true)
    let keys = vectors("k_proj", rotated: true)
    let values = vectors("v_proj", rotated: false)
    return queries.indices.map { position in
      (0..<heads).flatMap { head -> [Double] in
        let group = head / (heads / groups)
        let visible = Array((window > position ? 0 : position - window + 1)...position)
        let scores = visible.map { other in
          capped(dot(queries[position][head], keys[other][group]) * scale, number("attn_logit_softcapping"))
        }
        let weights = scores.map { exp($0 - (scores.max() ?? 0)) }
        let total = weights.reduce(0, +)
        return (0..<size).map { column in
          zip(visible, weights).reduce(0) { $0 + $1.1 / total * values[$1.0][group][column] }
        }
      }
    }
  }

  private func rotate(_ head: [Double], _ position: Int) -> [Double] {
    let half = head.count / 2
    var result = head
    for pair in 0..<half {
      let angle = Double(position) * frequency(pair, of: head.count)
      result[pair] = head[pair] * cos(angle) - head[pair + half] * sin(angle)
      result[pair + half] = head[pair + half] * cos(angle) + head[pair] * sin(angle)
    }
    return result
  }

  private func frequency(_ pair: Int, of dimension: Int) -> Double {
    let plain = pow(number("rope_theta") ?? 10_000, -2 * Double(pair) / Double(dimension))
    guard let scaling = model.configuration["rope_scaling"] as? [String: Any], let factor = scaling["factor"] as? Double
    else {
      return plain
    }
    return plain / factor
  }

  private func activation(_ x: Double) -> Double {
    guard isGemma else { return x / (1 + exp(-x)) }
    return 0.5 * x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
  }

  private func norm(_ x: [Double], _ name: String) -> [Double] {
    let weight = model.rows(name)[0]
    let scale = 1 / (dot(x, x) / Double(x.count) + (number("rms_norm_eps") ?? 0)).squareRoot()
    return zip(x, weight).map { $0 * scale * (isGemma ? 1 + $1 : $1) }
  }

  private func linear(_ x: [Double], _ name: String) -> [Double] {
    let y = product(model.rows("\(name).weight"), x)
    return model.tensors["\(name).bias"] == nil ? y : sum(y, model.rows("\(name).bias")[0])
  }

  private func capped(_ x: Double, _ cap: Double?) -> Double { cap.map { $0 * tanh(x / $0) } ?? x }
  private func product(_ rows: [[Double]], _ x: [Double]) -> [Double] { rows.map { dot($0, x) } }
  private func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
  private func sum(_ a: [Double], _ b: [Double]) -> [Double] { zip(a, b).map { $0 + $1 } }
}
