import Foundation
import Kernels
import LanguageModels
import Steering
import SweepRecords
import Testing

/// Shared prefixes and batches against a full forward pass of each case: bit for bit.
@Suite struct PropensityTests {
  @Test(arguments: GoldenModel.names, SteeredPositions.allCases)
  func sharedEqualsNaive(name: String, positions: SteeredPositions) throws {
    let golden = try GoldenModel(name)
    for layer in 0..<golden.blocks {
      for score in AnswerScore.allCases {
        let naive = try NaivePropensity(model: golden.model, layer: layer, positions: positions, score: score)
          .evaluate(golden.pairs, directions: golden.directions(2), coefficients: [-1.5, 0, 2])
        let shared = try Propensity(model: golden.model, layer: layer, positions: positions, score: score)
          .evaluate(golden.pairs, directions: golden.directions(2), coefficients: [-1.5, 0, 2])
        #expect(shared == naive, "layer \(layer), \(score)")
        #expect(!naive.joined().joined().contains { !$0.isFinite })
      }
    }
  }

  @Test(arguments: GoldenModel.names)
  func neitherBatchNorRowLimitNorThreadsChangeABit(name: String) throws {
    let golden = try GoldenModel(name)
    let (coefficients, directions) = ([-2.0, 0.5, 1], golden.directions(3))
    for positions in SteeredPositions.allCases {
      let reference = try Propensity(model: golden.model, layer: 1, positions: positions, score: .perToken)
        .evaluate(golden.pairs, directions: directions, coefficients: coefficients)
      for (batch, rowLimit) in [(1, 1), (1, 768), (2, 7), (16, 40)] {
        let other = try Propensity(
          model: golden.model, layer: 1, positions: positions, score: .perToken, rowLimit: rowLimit, batch: batch
        ).evaluate(golden.pairs, directions: directions, coefficients: coefficients)
        #expect(other == reference, "batch \(batch), \(rowLimit) rows")
      }
      let threaded = try Propensity(
        model: GoldenModel(name, threads: 2).model, layer: 1, positions: positions, score: .perToken
      ).evaluate(golden.pairs, directions: directions, coefficients: coefficients)
      #expect(threaded == reference)
    }
  }

  @Test func aQuestionsScoreDoesNotDependOnTheOthers() throws {
    let golden = try GoldenModel("llama-tied")
    let propensity = Propensity(model: golden.model, layer: 1, positions: .scored, score: .perToken)
    let together = try propensity.evaluate(golden.pairs, directions: golden.directions(2), coefficients: [1, 3])
    for (index, pair) in golden.pairs.enumerated() {
      let alone = try propensity.evaluate([pair], directions: [golden.directions(2)[1]], coefficients: [3])
      #expect(alone[0][0][0] == together[1][index][1])
    }
  }

  @Test func steeringChangesTheScoreAndMoreOfItMore() throws {
    let golden = try GoldenModel("llama-tied")
    for positions in SteeredPositions.allCases {
      let values = try Propensity(model: golden.model, layer: 0, positions: positions, score: .perToken)
        .evaluate(golden.pairs, directions: golden.directions(1), coefficients: [0, 0.01, 4])[0]
      for (index, curve) in values.enumerated() {
        #expect(curve[0] != curve[2], "\(positions), question \(index)")
        #expect(abs(curve[1] - curve[0]) < abs(curve[2] - curve[0]), "\(positions), question \(index)")
      }
    }
  }

  @Test func positionsDiffer() throws {
    let golden = try GoldenModel("llama-tied")
    let values = try SteeredPositions.allCases.map {
      try Propensity(model: golden.model, layer: 0, positions: $0, score: .perToken)
        .evaluate(golden.pairs, directions: golden.directions(1), coefficients: [2])[0][0][0]
    }
    #expect(Set(values).count == 3)
  }

  @Test func aScoreIsALogProbabilityRatio() throws {
    let golden = try GoldenModel("llama-tied")
    let pair = golden.pairs[0]
    func logProbability(_ answer: [Int]) throws -> [Double] {
      let tokens = pair.prompt + answer.dropLast()
      let residual = try golden.model.forward([tokens], BlockRun(blocks: 0..<golden.blocks)).residual
      let logits = golden.model.logits(residual)
      return answer.enumerated().map { index, token in
        let row = logits.row(pair.prompt.count - 1 + index).map(Double.init)
        let largest = row.max() ?? 0
        return row[token] - largest - log(row.reduce(0) { $0 + exp($1 - largest) })
      }
    }
    let (matching, other) = (try logProbability(pair.positive), try logProbability(pair.negative))
    func score(_ score: AnswerScore) throws -> Double {
      try Propensity(model: golden.model, layer: 1, positions: .scored, score: score)
        .evaluate([pair], directions: golden.directions(1), coefficients: [0])[0][0][0]
    }
    let (m, o) = (matching.reduce(0, +), other.reduce(0, +))
    let (sum, perToken) = (try score(.sum), try score(.perToken))
    #expect(abs(sum - (m - o)) < 1e-4)
    #expect(abs(perToken - (m / 3 - o / 5)) < 1e-4)
  }

  @Test func lettersAreALogitDifferenceAndWholeAnswersAreNot() throws {
    let golden = try GoldenModel("llama-tied")
    let (letters, whole) = (golden.pairs[3], golden.pairs[4])
    let tokens = letters.prompt + [12]
    let residual = try golden.model.forward([tokens], BlockRun(blocks: 0..<golden.blocks)).residual
    let logits = golden.model.logits(residual).row(tokens.count - 1)
    let wanted = Double(logits[34]) - Double(logits[35])
    for score in AnswerScore.allCases {
      let found = try Propensity(model: golden.model, layer: 0, positions: .scored, score: score)
        .evaluate([letters, whole], directions: golden.directions(1), coefficients: [0])[0]
      #expect(abs(found[0][0] - wanted) < 1e-6)
      #expect(abs(found[1][0] - wanted) > 1e-6)
    }
  }

  @Test func progressRisesToOneAndCanStop() throws {
    let golden = try GoldenModel("llama-tied")
    let propensity = Propensity(model: golden.model, layer: 1, positions: .scored, score: .sum, rowLimit: 8, batch: 2)
    var shares: [Double] = []
    _ = try propensity.evaluate(golden.pairs, directions: golden.directions(2), coefficients: [0, 1]) {
      shares.append($0)
      return true
    }
    #expect(shares == shares.sorted() && abs((shares.last ?? 0) - 1) < 1e-9 && shares.count > 4)
    #expect(throws: CancellationError.self) {
      try propensity.evaluate(golden.pairs, directions: golden.directions(2), coefficients: [1]) { _ in false }
    }
  }

  @Test func nothingToDoIsNothingDone() throws {
    let golden = try GoldenModel("llama-tied")
    let propensity = Propensity(model: golden.model, layer: 1, positions: .scored, score: .sum)
    #expect(try propensity.evaluate([TokenizedPair](), directions: golden.directions(1), coefficients: [1]) == [[]])
    #expect(try propensity.evaluate(golden.pairs, directions: [], coefficients: [0, 1]).isEmpty)
  }
}
