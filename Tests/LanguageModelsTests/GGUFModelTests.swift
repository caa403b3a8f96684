import Diagnostics
import Foundation
import Kernels
import LanguageModels
import Testing

/// The tiny models as llama.cpp's converter would write them: other names, permuted rows, norms of 1 + w, metadata.
@Suite struct GGUFModelTests {
  @Test(arguments: ["llama", "mistral-without-window", "qwen2", "gemma2"])
  func aConvertedModelGivesTheSameBits(_ family: String) throws {
    let tiny: TinyModel
    switch family {
    case "llama": tiny = TinyModel("llama", changing: ["attention_bias": true, "tie_word_embeddings": false])
    case "mistral-without-window": tiny = TinyModel("mistral", changing: ["sliding_window": NSNull()])
    // llama.cpp's file has no key for the query scale: it is that of the head dimension.
    case "gemma2": tiny = TinyModel("gemma2", changing: ["query_pre_attn_scalar": 8])
    default: tiny = TinyModel(family)
    }
    let tokens = prompt(13)
    func logits(_ model: LanguageModel) throws -> Matrix {
      model.logits(try model.forward([tokens], BlockRun(blocks: 0..<4)).residual)
    }
    let expected = try tiny.loaded(logits)
    var converted = GGUFWriter(converting: tiny)
    converted.pairs["tokenizer.ggml.bos_token_id"] = .integer(1)
    converted.pairs["tokenizer.ggml.eos_token_id"] = .integer(2)
    try converted.loaded { model throws in
      #expect(try logits(model) == expected)
      #expect(model.architecture.beginningOfSequence == 1 && model.architecture.endOfSequence == [2])
    }
  }

  @Test func theLargestGemmaScalesByWidthPerHead() throws {
    var model = GGUFWriter(
      converting: TinyModel("gemma2", changing: ["num_hidden_layers": 46, "query_pre_attn_scalar": 6]))
    #expect(try model.architecture().scoreScale == Float(1 / 6.0.squareRoot()))
    model = GGUFWriter(converting: TinyModel("gemma2", changing: ["query_pre_attn_scalar": 8]))
    #expect(try model.architecture().scoreScale == Float(1 / 8.0.squareRoot()))
  }

  @Test func linearScalingIsRead() throws {
    var model = GGUFWriter(converting: TinyModel("llama"))
    model.pairs["llama.rope.scaling.type"] = .text("linear")
    model.pairs["llama.rope.scaling.factor"] = .number(4)
    #expect(try model.architecture().rotary.scaling == .linear(factor: 4))
    model.pairs["llama.rope.scaling.type"] = nil
    model.pairs["llama.rope.scaling.factor"] = nil
    model.pairs["llama.rope.scale_linear"] = .number(2)
    #expect(try model.architecture().rotary.scaling == .linear(factor: 2))
  }

  @Test(arguments: [
    ("general.architecture", GGUFWriter.Value.text("mamba")), ("general.architecture", .text("mistral")),
    ("llama.expert_count", .integer(8)), ("llama.attention.sliding_window", .integer(4)),
    ("llama.block_count", .integer(0)),
    ("llama.block_count", .integer(1 << 31)), ("llama.attention.head_count", .integer(0)),
    ("llama.attention.head_count", .text("4")), ("llama.attention.head_count_kv", .integer(3)),
    ("llama.embedding_length", .integer(25)), ("llama.attention.key_length", .integer(7)),
    ("llama.attention.value_length", .integer(8)), ("llama.rope.dimension_count", .integer(4)),
    ("llama.attention.layer_norm_rms_epsilon", .number(-1)), ("llama.rope.scaling.type", .text("yarn")),
    ("llama.rope.freq_base", .number(0)), ("llama.context_length", .integer(0)), ("llama.logit_scale", .number(2)),
  ])
  func metadataThatCanNotBeRunIsNamed(_ key: String, _ value: GGUFWriter.Value) throws {
    var model = GGUFWriter(converting: TinyModel("llama"))
    model.pairs[key] = value
    let error = try #require(#expect(throws: InputError.self) { try model.architecture() })
    // A width that the heads don't divide is told of the key that would settle it.
    let named = key == "llama.embedding_length" ? "llama.attention.key_length" : key
    #expect(error.subject.contains(named), "\(error)")
  }

  @Test(arguments: [
    "general.architecture", "llama.block_count", "llama.context_length", "llama.embedding_length",
    "llama.feed_forward_length",
    "llama.attention.head_count", "llama.attention.layer_norm_rms_epsilon",
  ])
  func aMissingKeyIsNamed(_ key: String) throws {
    var model = GGUFWriter(converting: TinyModel("llama"))
    model.pairs[key] = nil
    let error = try #require(#expect(throws: InputError.self) { try model.architecture() })
    #expect(error.subject.contains(key), "\(error)")
  }

  @Test func frequencyDivisorsAreChecked() throws {
    var model = GGUFWriter(converting: TinyModel("llama"))
    for (shape, values) in [([2], [1, 1]), ([3], [1, 0.1, 1]), ([3], [1, -2, 1]), ([3], [1, .nan, 1])]
      as [([Int], [Float])]
    {
      model.tensors["rope_freqs.weight"] = (shape, values)
      let error = try #require(#expect(throws: InputError.self) { try model.architecture() })
      #expect(error.subject.hasSuffix("tensor \"rope_freqs.weight\""), "\(error)")
    }
    model.tensors["rope_freqs.weight"] = ([3], [1, 2, 8])
    #expect(try model.architecture().rotary.divisors == [1, 2, 8])
    model.pairs["llama.rope.scale_linear"] = .number(2)
    #expect(throws: InputError.self) { try model.architecture() }
  }

  @Test func aMissingTensorIsNamed() throws {
    for name in ["token_embd.weight", "blk.2.ffn_gate.weight", "output_norm.weight"] {
      var model = GGUFWriter(converting: TinyModel("llama"))
      model.tensors[name] = nil
      let error = try #require(#expect(throws: InputError.self) { try model.architecture() })
      #expect(error.subject.hasSuffix("tensor \"\(name)\""), "\(error)")
    }
  }

  @Test(arguments: [0, 3, 30, 700, 5000]) func aTruncatedFileIsRefused(_ length: Int) throws {
    let model = GGUFWriter(converting: TinyModel("llama"))
    let error = #expect(throws: InputError.self) {
      try model.written(model.bytes().prefix(length)) { try LanguageModel(path: $0, pool: ThreadPool(threads: 1)) }
    }
    #expect(error?.subject.contains(".gguf") == true)
  }
}
