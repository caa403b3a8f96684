/// One tensor of a model, whatever a file calls it.
enum Weight: Hashable, Sendable {
  case embedding, unembedding, finalNorm
  case block(Int, BlockWeight)
}

/// One tensor of a block.
enum BlockWeight: Hashable, Sendable, CaseIterable {
  case attentionNorm, query, key, value, output, queryBias, keyBias, valueBias, outputBias, attentionOutputNorm
  case feedForwardNorm, gate, up, down, feedForwardOutputNorm
}

/// The names that tensors have in a kind of file.
enum WeightNaming: Sendable {
  case huggingFace, gguf

  /// The tensor's name in a file of a model of that kind.
  func name(_ weight: Weight, _ architecture: ModelArchitecture) -> String {
    switch (self, weight) {
    case (.huggingFace, .embedding): "model.embed_tokens.weight"
    case (.huggingFace, .unembedding): "lm_head.weight"
    case (.huggingFace, .finalNorm): "model.norm.weight"
    case (.huggingFace, .block(let index, let part)):
      "model.layers.\(index).\(huggingFace(part, architecture.normPlacement))"
    case (.gguf, .embedding): "token_embd.weight"
    case (.gguf, .unembedding): "output.weight"
    case (.gguf, .finalNorm): "output_norm.weight"
    case (.gguf, .block(let index, let part)): "blk.\(index).\(gguf(part))"
    }
  }

  /// Tensors that some files carry and nothing needs: rotary tables, and the table a second time where it is tied.
  func ignores(_ name: String, _ architecture: ModelArchitecture) -> Bool {
    switch self {
    case .huggingFace:
      name.hasSuffix(".rotary_emb.inv_freq") || (architecture.tiedUnembedding && name == "lm_head.weight")
    // Read with the description.
    case .gguf: name == "rope_freqs.weight"
    }
  }

  private func huggingFace(_ part: BlockWeight, _ placement: ModelArchitecture.NormPlacement) -> String {
    switch part {
    case .attentionNorm: "input_layernorm.weight"
    case .query: "self_attn.q_proj.weight"
    case .key: "self_attn.k_proj.weight"
    case .value: "self_attn.v_proj.weight"
    case .output: "self_attn.o_proj.weight"
    case .queryBias: "self_attn.q_proj.bias"
    case .keyBias: "self_attn.k_proj.bias"
    case .valueBias: "self_attn.v_proj.bias"
    case .outputBias: "self_attn.o_proj.bias"
    case .attentionOutputNorm: "post_attention_layernorm.weight"
    // Where there are two norms, "post attention" is before the feed-forward part; where there are four, it is what it says.
    case .feedForwardNorm:
      placement == .before ? "post_attention_layernorm.weight" : "pre_feedforward_layernorm.weight"
    case .gate: "mlp.gate_proj.weight"
    case .up: "mlp.up_proj.weight"
    case .down: "mlp.down_proj.weight"
    case .feedForwardOutputNorm: "post_feedforward_layernorm.weight"
    }
  }

  private func gguf(_ part: BlockWeight) -> String {
    switch part {
    case .attentionNorm: "attn_norm.weight"
    case .query: "attn_q.weight"
    case .key: "attn_k.weight"
    case .value: "attn_v.weight"
    case .output: "attn_output.weight"
    case .queryBias: "attn_q.bias"
    case .keyBias: "attn_k.bias"
    case .valueBias: "attn_v.bias"
    case .outputBias: "attn_output.bias"
    case .attentionOutputNorm: "post_attention_norm.weight"
    case .feedForwardNorm: "ffn_norm.weight"
    case .gate: "ffn_gate.weight"
    case .up: "ffn_up.weight"
    case .down: "ffn_down.weight"
    case .feedForwardOutputNorm: "post_ffw_norm.weight"
    }
  }
}

extension ModelArchitecture {
  /// All tensors that a model of this kind has.
  var weights: [Weight] {
    var parts = BlockWeight.allCases
    if normPlacement == .before { parts.removeAll { $0 == .attentionOutputNorm || $0 == .feedForwardOutputNorm } }
    if !projectionBias { parts.removeAll { $0 == .queryBias || $0 == .keyBias || $0 == .valueBias } }
    if !outputBias { parts.removeAll { $0 == .outputBias } }
    let ends: [Weight] = tiedUnembedding ? [.embedding, .finalNorm] : [.embedding, .unembedding, .finalNorm]
    return ends + (0..<blocks).flatMap { block in parts.map { Weight.block(block, $0) } }
  }

  /// The shape of a tensor, `[outputs, inputs]` for matrices, and what its lengths mean.
  func shape(of weight: Weight) -> (lengths: [Int], meaning: String) {
    guard case .block(_, let part) = weight else {
      return weight == .finalNorm ? ([width], "[width]") : ([vocabulary, width], "[vocabulary, width]")
    }
    switch part {
    case .attentionNorm, .attentionOutputNorm, .feedForwardNorm, .feedForwardOutputNorm, .outputBias:
      return ([width], "[width]")
    case .query: return ([queryWidth, width], "[heads * head dimension, width]")
    case .key, .value: return ([keyValueWidth, width], "[key-value heads * head dimension, width]")
    case .output: return ([width, queryWidth], "[width, heads * head dimension]")
    case .queryBias: return ([queryWidth], "[heads * head dimension]")
    case .keyBias, .valueBias: return ([keyValueWidth], "[key-value heads * head dimension]")
    case .gate, .up: return ([feedForwardWidth, width], "[feed-forward width, width]")
    case .down: return ([width, feedForwardWidth], "[width, feed-forward width]")
    }
  }
}
