import Foundation
import Kernels
import LanguageModels
import TensorFiles
import Testing

/// What transformers computes with the same weights (Tests/Golden/README.md).
@Suite struct GoldenTests {
  static let folders = ["llama-tied", "llama-untied-sharded", "llama3-rope", "gemma2"]
  static let files = ["llama-f16", "llama3-rope-f16"]

  static func path(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Golden/\(name)").path
  }

  private func load(_ name: String) throws -> (model: LanguageModel, expected: SafetensorsFile) {
    (
      try LanguageModel(path: Self.path(name), pool: ThreadPool(threads: 1)),
      try SafetensorsFile(path: Self.path("\(name)/expected.safetensors"))
    )
  }

  @Test(arguments: folders) func logitsAndResidualStreamsAreThoseOfTransformers(_ name: String) throws {
    let (model, expected) = try load(name)
    let all = 0..<model.architecture.blocks
    for prompt in 0..<2 {
      let ids = try expected.tensor(named: "prompt\(prompt)/ids").integers()
      let result = try model.forward([ids], BlockRun(blocks: all, capturedLayers: Array(all)))
      for layer in all {
        let wanted = try expected.tensor(named: "prompt\(prompt)/residual\(layer)").floats()
        let found = try #require(result.captured[layer])
        #expect(largestRelativeRowError(found, wanted) < 1e-5)
      }
      let wanted = try expected.tensor(named: "prompt\(prompt)/logits").floats()
      #expect(largestDifference(model.logits(result.residual).elements, wanted) < 1e-4)
    }
  }

  @Test(arguments: files) func llamaCppFilesGiveTheSameLogits(_ name: String) throws {
    let model = try LanguageModel(path: Self.path("\(name).gguf"), pool: ThreadPool(threads: 1))
    let expected = try SafetensorsFile(path: Self.path("\(name)-expected.safetensors"))
    for prompt in 0..<2 {
      let ids = try expected.tensor(named: "prompt\(prompt)/ids").integers()
      let result = try model.forward([ids], BlockRun(blocks: 0..<model.architecture.blocks))
      let wanted = try expected.tensor(named: "prompt\(prompt)/logits").floats()
      #expect(largestDifference(model.logits(result.residual).elements, wanted) < 1e-4)
    }
  }

  @Test(arguments: folders) func greedyContinuationsAreThoseOfTransformers(_ name: String) throws {
    let (model, expected) = try load(name)
    var requests: [SamplingRequest] = []
    var wanted: [[Int]] = []
    for prompt in 0..<2 {
      let ids = try expected.tensor(named: "prompt\(prompt)/ids").integers()
      wanted.append(try expected.tensor(named: "prompt\(prompt)/continuation").integers())
      requests.append(SamplingRequest(prompt: ids, maximumTokens: 8, temperature: 0))
    }
    #expect(try model.sample(requests, batch: 2).map(\.tokens) == wanted)
  }

  @Test(arguments: folders) func steeringIsThatOfAHookOnTheBlock(_ name: String) throws {
    let (model, expected) = try load(name)
    let vector = try expected.tensor(named: "vector").floats()
    let coefficient = try expected.tensor(named: "coefficient").floats()[0]
    for prompt in 0..<2 {
      let ids = try expected.tensor(named: "prompt\(prompt)/ids").integers()
      let last = ids.count - 1
      for (kind, rows) in [("last", [last]), ("all", Array(0...last))] {
        let addition = ResidualAddition(layer: 1, vector: vector, coefficient: coefficient, rows: rows)
        let run = BlockRun(blocks: 0..<model.architecture.blocks, additions: [addition])
        let logits = model.logits(try model.forward([ids], run).residual)
        let wanted = try expected.tensor(named: "prompt\(prompt)/steered_\(kind)").floats()
        #expect(largestDifference(logits.elements, wanted) < 1e-4)
      }
    }
  }

  @Test func descriptionsAreThoseOfTheFiles() throws {
    let gemma = try LanguageModel.describe(ModelFiles(path: Self.path("gemma2"))).architecture
    #expect(gemma.family == .gemma2 && gemma.normPlacement == .beforeAndAfter && gemma.tiedUnembedding)
    #expect(gemma.windows == [4, nil, 4, nil] && gemma.attentionSoftcap == 6 && gemma.finalSoftcap == 5)
    #expect(gemma.scoreScale == Float(1 / 24.0.squareRoot()) && gemma.beginningOfSequence == 2)
    let sharded = try LanguageModel.describe(ModelFiles(path: Self.path("llama-untied-sharded"))).architecture
    #expect(sharded.headDimension == 24 && !sharded.tiedUnembedding && sharded.rotary.base == 100_000)
    let scaled = try LanguageModel.describe(ModelFiles(path: Self.path("llama3-rope"))).architecture
    #expect(
      scaled.rotary.scaling
        == .llama3(factor: 32, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContext: 64))
    let gguf = try LanguageModel.describe(ModelFiles(path: Self.path("llama-f16.gguf"))).architecture
    let tied = try LanguageModel.describe(ModelFiles(path: Self.path("llama-tied"))).architecture
    #expect(gguf == tied)
  }

  /// llama.cpp's stored divisors and the formula of the configuration are two ways to the same frequencies.
  @Test func storedFrequencyDivisorsAgreeWithTheFormula() throws {
    let stored = try LanguageModel.describe(ModelFiles(path: Self.path("llama3-rope-f16.gguf"))).architecture.rotary
    let computed = try LanguageModel.describe(ModelFiles(path: Self.path("llama3-rope"))).architecture.rotary
    #expect(stored.divisors != nil && computed.divisors == nil)
    for (a, b) in zip(stored.frequencies(dimension: 16), computed.frequencies(dimension: 16)) {
      #expect(abs(a - b) <= 1e-6 * b)
    }
  }
}

/// The largest absolute difference; infinite where the counts differ.
func largestDifference(_ a: [Float], _ b: [Float]) -> Float {
  a.count == b.count ? zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) } : .infinity
}

/// The largest distance of a row from its reference, as a share of the reference's norm.
func largestRelativeRowError(_ found: Matrix, _ wanted: [Float]) -> Double {
  guard found.elements.count == wanted.count else { return .infinity }
  return (0..<found.rows).reduce(0) { largest, row in
    let pairs = zip(found.row(row), wanted[row * found.columns..<(row + 1) * found.columns])
    let error = pairs.reduce(0.0) { $0 + pow(Double($1.0) - Double($1.1), 2) }
    let norm = pairs.reduce(0.0) { $0 + pow(Double($1.1), 2) }
    return max(largest, (error / norm).squareRoot())
  }
}
