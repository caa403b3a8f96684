import Foundation
import Kernels
import LanguageModels
import Steering
import Testing

@Suite struct NeutralTextTests {
  private func contexts(_ golden: GoldenModel) -> [[Int]] {
    let limit = golden.model.architecture.vocabulary
    return [9, 12, 2, 12, 5, 1].enumerated().map { index, count in
      (0..<count).map { 4 + (index * 53 + $0 * 17) % (limit - 4) }
    }
  }

  @Test(arguments: GoldenModel.names)
  func crossEntropyIsThatOfFullPasses(name: String) throws {
    let golden = try GoldenModel(name)
    let contexts = contexts(golden)
    let directions = golden.directions(2)
    for layer in [0, golden.blocks - 1] {
      let found = try NeutralText(model: golden.model, layer: layer)
        .crossEntropy(of: contexts, directions: directions, coefficients: [-1, 0, 2])
      #expect(found.tokens == 8 + 11 + 1 + 11 + 4)
      for (variant, direction) in directions.enumerated() {
        for (index, coefficient) in [-1.0, 0, 2].enumerated() {
          var sum = 0.0
          for context in contexts where context.count > 1 {
            let addition = ResidualAddition(
              layer: layer, vector: direction, coefficient: Float(coefficient), rows: Array(0..<context.count - 1))
            let run = BlockRun(blocks: 0..<golden.blocks, additions: [addition])
            let logits = golden.model.logits(try golden.model.forward([Array(context.dropLast())], run).residual)
            for (row, token) in context.dropFirst().enumerated() {
              let values = logits.row(row).map(Double.init)
              let largest = values.max() ?? 0
              sum += largest + log(values.reduce(0) { $0 + exp($1 - largest) }) - values[token]
            }
          }
          #expect(abs(found.sums[variant][index] - sum) < 1e-4 * sum, "layer \(layer), coefficient \(coefficient)")
        }
      }
    }
  }

  @Test(arguments: GoldenModel.names)
  func neitherBatchNorThreadsNorSlicesChangeABit(name: String) throws {
    let golden = try GoldenModel(name)
    let contexts = contexts(golden)
    func run(_ model: LanguageModel, batch: Int, _ contexts: [[Int]]) throws -> [[Double]] {
      try NeutralText(model: model, layer: 1, batch: batch)
        .crossEntropy(of: contexts, directions: golden.directions(2), coefficients: [0, 1.5]).sums
    }
    let reference = try run(golden.model, batch: 4, contexts)
    #expect(try run(golden.model, batch: 1, contexts) == reference)
    #expect(try run(golden.model, batch: 16, contexts) == reference)
    #expect(try run(GoldenModel(name, threads: 2).model, batch: 4, contexts) == reference)
  }

  @Test func strongSteeringBreaksTheModel() throws {
    // Text that the model itself finds likely, so that there is something to break.
    let golden = try GoldenModel("llama-tied")
    let written = try golden.model.sample(
      [SamplingRequest(prompt: [5, 6], maximumTokens: 30, temperature: 0)], batch: 1)
    let context = [5, 6] + written[0].tokens
    let sums = try NeutralText(model: golden.model, layer: 1)
      .crossEntropy(of: [context], directions: golden.directions(1), coefficients: [0, 30]).sums[0]
    #expect(sums[1] > sums[0])
  }

  @Test func nothingToPredictIsNothing() throws {
    let golden = try GoldenModel("llama-tied")
    let found = try NeutralText(model: golden.model, layer: 1)
      .crossEntropy(of: [[5], []], directions: golden.directions(1), coefficients: [1])
    #expect(found.tokens == 0 && found.sums == [[0]])
  }
}
