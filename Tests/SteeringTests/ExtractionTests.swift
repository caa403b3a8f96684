import Diagnostics
import Kernels
import LanguageModels
import Steering
import SweepRecords
import Testing

@Suite struct ExtractionTests {
  /// The reading of one answer by a forward pass of the whole completion and a plain mean.
  private func naive(
    _ golden: GoldenModel, _ pair: TokenizedPair, _ answer: [Int], layer: Int, read: ReadPosition
  ) throws -> [Float] {
    let run = BlockRun(blocks: 0..<golden.blocks, capturedLayers: [layer])
    let captured = try golden.model.forward([pair.prompt + answer], run).captured
    let stream = try #require(captured[layer])
    switch read {
    case .firstDifference: return stream.row(pair.prompt.count + pair.commonAnswerTokens)
    case .answerMean:
      return (0..<stream.columns).map { column in
        let sum = answer.indices.reduce(0.0) { $0 + Double(stream[pair.prompt.count + $1, column]) }
        return Float(sum / Double(answer.count))
      }
    }
  }

  @Test(arguments: GoldenModel.names, ReadPosition.allCases)
  func sharedPrefixesEqualFullPasses(name: String, read: ReadPosition) throws {
    let golden = try GoldenModel(name)
    let layers = Array(0..<golden.blocks)
    let found = try Extraction(model: golden.model, layers: layers, read: read).activations(of: golden.pairs)
    for layer in layers {
      let positive = try #require(found.positive[layer])
      let negative = try #require(found.negative[layer])
      #expect(positive.rows == golden.pairs.count && negative.rows == golden.pairs.count)
      for (index, pair) in golden.pairs.enumerated() {
        let matching = try naive(golden, pair, pair.positive, layer: layer, read: read)
        let other = try naive(golden, pair, pair.negative, layer: layer, read: read)
        #expect(positive.row(index) == matching, "pair \(index)")
        #expect(negative.row(index) == other, "pair \(index)")
      }
    }
  }

  @Test(arguments: GoldenModel.names, ReadPosition.allCases)
  func neitherBatchNorThreadsNorOtherLayersChangeABit(name: String, read: ReadPosition) throws {
    let golden = try GoldenModel(name)
    let reference = try Extraction(model: golden.model, layers: [0, 1, 2], read: read, batch: 16).activations(
      of: golden.pairs)
    #expect(
      try Extraction(model: golden.model, layers: [0, 1, 2], read: read, batch: 1).activations(of: golden.pairs)
        == reference)
    #expect(
      try Extraction(model: GoldenModel(name, threads: 2).model, layers: [0, 1, 2], read: read)
        .activations(of: golden.pairs) == reference)
    // A task of one layer, and of a slice of the pairs, gives the same rows.
    let one = try Extraction(model: golden.model, layers: [1], read: read).activations(of: Array(golden.pairs[2..<4]))
    #expect(one.positive[1] == reference.positive[1]?.rows(2..<4))
    #expect(one.negative[1] == reference.negative[1]?.rows(2..<4))
    #expect(Set(one.positive.keys) == [1])
  }

  @Test func whatIsTooLongIsAnError() throws {
    let golden = try GoldenModel("llama-tied")
    let long = TokenizedPair(prompt: Array(repeating: 7, count: 400), positive: [8], negative: [9])
    #expect(throws: InputError.self) {
      try Extraction(model: golden.model, layers: [0], read: .answerMean).activations(of: [long])
    }
  }

  @Test func progressIsTheNumberOfPairsAndCanStop() throws {
    let golden = try GoldenModel("llama-tied")
    let extraction = Extraction(model: golden.model, layers: [0], read: .answerMean, batch: 3)
    var done: [Int] = []
    _ = try extraction.activations(of: golden.pairs) {
      done.append($0)
      return true
    }
    #expect(done == [3, 6, 7])
    #expect(throws: CancellationError.self) { try extraction.activations(of: golden.pairs) { _ in false } }
  }
}
