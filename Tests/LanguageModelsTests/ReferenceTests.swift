import Kernels
import LanguageModels
import Testing

/// Every family against the plain model in double; prompts are longer than the windows.
@Suite struct ReferenceTests {
  static let cases: [(String, [String: Int])] = [
    ("llama", [:]), ("llama", ["head_dim": 10]), ("llama", ["num_key_value_heads": 4]), ("mistral", [:]),
    ("qwen2", [:]),
    ("gemma2", [:]), ("gemma2", ["num_key_value_heads": 1]),
  ]

  private func agrees(_ tiny: TinyModel, tolerance: Float = 5e-5) throws -> Bool {
    let tokens = prompt(13)
    let (residuals, logits) = ReferenceModel(model: tiny).run(tokens)
    return try tiny.loaded { model in
      let all = 0..<model.architecture.blocks
      let result = try model.forward([tokens], BlockRun(blocks: all, capturedLayers: Array(all)))
      for layer in all {
        let found = try #require(result.captured[layer])
        guard largestRelativeRowError(found, residuals[layer].flatMap { $0.map(Float.init) }) < 1e-5 else {
          return false
        }
      }
      return largestDifference(model.logits(result.residual).elements, logits.flatMap { $0.map(Float.init) })
        < tolerance
    }
  }

  @Test(arguments: cases) func logitsAreThoseOfThePlainModel(_ family: String, _ changes: [String: Int]) throws {
    #expect(try agrees(TinyModel(family, changing: changes)))
  }

  @Test func linearRotaryScalingAndBiasesAreApplied() throws {
    let scaling: [String: Any] = ["type": "linear", "factor": 3.0]
    #expect(try agrees(TinyModel("llama", changing: ["rope_scaling": scaling, "attention_bias": true])))
  }

  /// The comparison sees each of the features: without it, it fails.
  @Test(arguments: [
    ("llama", "rope_theta", 100.0), ("mistral", "sliding_window", 6), ("gemma2", "query_pre_attn_scalar", 20),
  ])
  func aWrongConstantShows(_ family: String, _ key: String, _ value: Double) throws {
    let tiny = TinyModel(family)
    var wrong = tiny
    wrong.configuration[key] = key == "rope_theta" ? value : Int(value)
    let tokens = prompt(13)
    let (_, logits) = ReferenceModel(model: tiny).run(tokens)
    try wrong.loaded { model in
      let result = try model.forward([tokens], BlockRun(blocks: 0..<model.architecture.blocks))
      #expect(largestDifference(model.logits(result.residual).elements, logits.flatMap { $0.map(Float.init) }) > 1e-2)
    }
  }

  @Test func logProbabilitiesAreLogitsLessTheirLogSum() throws {
    try TinyModel("gemma2").loaded { model in
      let tokens = prompt(9)
      let residual = try model.forward([tokens], BlockRun(blocks: 0..<model.architecture.blocks)).residual
      let logits = model.logits(residual)
      let found = model.logProbabilities(residual, of: tokens)
      for row in tokens.indices {
        var total = 0.0
        for logit in logits.row(row) { total += Elementary.exp(Double(logit)) }
        #expect(abs(found[row] - (Double(logits[row, tokens[row]]) - Elementary.log(total))) < 1e-6)
      }
    }
  }

  @Test func weightsRoundedToBFloat16AreNearAndNotTheSame() throws {
    let tiny = TinyModel("llama")
    let tokens = prompt(7)
    func logits(_ weights: WeightStorage) throws -> [Float] {
      try tiny.loaded(weights: weights) { model in
        model.logits(try model.forward([tokens], BlockRun(blocks: 0..<4)).residual).elements
      }
    }
    let (exact, rounded) = (try logits(.asStored), try logits(.bfloat16))
    #expect(try logits(.float32) == exact)
    let difference = largestDifference(exact, rounded)
    #expect(difference > 1e-4 && difference < 0.5)

    // Rounding is to nearest, ties to even: a model that is stored rounded gives the same bits.
    var stored = tiny
    stored.tensors = tiny.tensors.mapValues { ($0.shape, $0.values.map(nearestBFloat16)) }
    let direct = try stored.loaded { model in
      model.logits(try model.forward([tokens], BlockRun(blocks: 0..<4)).residual).elements
    }
    #expect(direct == rounded)
  }
}

/// Of the two neighbours with 16 bits the nearer, or the one whose last bit is 0.
private func nearestBFloat16(_ value: Float) -> Float {
  let below = Float(bitPattern: value.bitPattern & 0xffff_0000)
  let above = Float(bitPattern: (value.bitPattern & 0xffff_0000) &+ 0x1_0000)
  let (down, up) = (abs(value - below), abs(above - value))
  if down == up { return below.bitPattern & 0x1_0000 == 0 ? below : above }
  return down < up ? below : above
}
