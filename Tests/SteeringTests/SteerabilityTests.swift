import Foundation
import Steering
import Testing

@Suite struct SteerabilityTests {
  @Test func slopesErrorsAndSharesAreThoseOfPencilAndPaper() throws {
    // Slopes 2, -1 and 0.5 + the middle one's bend, which is orthogonal to the coefficients.
    let found = Steerability(
      propensities: [[-2, 0, 2], [1, 0.5, -1], [0, 0, 1]], coefficients: [-1, 0, 1])
    #expect(found.slopes == [2, -1, 0.5])
    #expect(abs(found.mean - 0.5) < 1e-15)
    // Deviations 1.5, -1.5, 0: variance 4.5 / 2, over 3 questions.
    #expect(abs(found.standardError - (2.25 / 3).squareRoot()) < 1e-15)
    #expect(abs(found.antiSteerableShare - 1.0 / 3) < 1e-15)
    #expect(found.curve.map(\.coefficient) == [-1, 0, 1])
    #expect(abs(found.curve[2].propensity - 2.0 / 3) < 1e-15)
    // 2, -1, 1 about 2/3: (16 + 25 + 1) / 9 / 2 / 3.
    #expect(abs(found.curve[2].standardError - (42.0 / 9 / 6).squareRoot()) < 1e-15)
    #expect(abs(found.curve[2].accuracy - 2.0 / 3) < 1e-15)
    #expect(found.curve[1].accuracy == 1.0 / 3)
    let probabilities = [2.0, -1, 1].map { 1 / (1 + exp(-$0)) }
    #expect(abs(found.curve[2].probability - probabilities.reduce(0, +) / 3) < 1e-14)
  }

  @Test func unevenCoefficients() {
    // x = 0, 1, 5: mean 2; y = 1, 0, 4: sum (x - 2)(y - 5/3) = 4/3 + 5/3 + 7 = 10, over 4 + 1 + 9.
    let found = Steerability(propensities: [[1, 0, 4]], coefficients: [0, 1, 5])
    #expect(abs(found.slopes[0] - 10.0 / 14) < 1e-15)
    #expect(found.standardError.isNaN)
    #expect(found.curve.allSatisfy { $0.standardError.isNaN })
  }

  @Test(
    arguments: [
      ([1.0, 2, 3, 4], 1.0), ([4, 3, 2, 1], -1), ([1, 4, 9, 16], 1), ([1, 3, 2, 4], 0.8),
      // Ties at their mean rank: ranks 0.5, 0.5, 2, 3 against 0...3.
      ([1, 1, 2, 3], 0.9486832980505138), ([2, 2, 1, 1], -0.8944271909999159),
    ] as [([Double], Double)])
  func ranksCorrelate(curve: [Double], rho: Double) {
    let found = Steerability(propensities: [curve], coefficients: [-1, 0, 1, 2])
    #expect(abs(found.spearman - rho) < 1e-12)
    #expect(abs(found.spearman) <= 1)
  }

  @Test func aFlatCurveHasNoCorrelation() {
    let found = Steerability(propensities: [[1, 1, 1]], coefficients: [-1, 0, 1])
    #expect(found.spearman.isNaN)
    #expect(found.mean == 0)
    #expect(found.antiSteerableShare == 0)
  }

  @Test func probabilitiesKeepToZeroAndOne() {
    #expect(Steerability.probability(0) == 0.5)
    #expect(Steerability.probability(1000) == 1)
    #expect(Steerability.probability(-1000) == 0)
    #expect(abs(Steerability.probability(2) + Steerability.probability(-2) - 1) < 1e-15)
    #expect(Steerability.probability(-30) > 0)
  }
}
