import Kernels
import SweepRecords
import Testing

@testable import Decomposition

/// Numbers worked out by hand.
struct MetricsTests {
  @Test func comparesVectorAndReconstruction() {
    let code = SignedCode(dense: [3, 0, -4, 0])
    var metrics = DecompositionMetrics(vector: [3, 4], code: code, norms: [1, 2, 5, 5, 6, 7, 8, 9])
    metrics.compare([3, 4], with: [4, 3])
    #expect(metrics.vectorNorm == 5)
    #expect(metrics.normPercentile == 25)
    #expect(metrics.l0 == 2)
    #expect(metrics.cosine == 24.0 / 25)
    #expect(abs((metrics.relativeError ?? 0) - 2.0.squareRoot() / 5) < 1e-15)
    #expect(metrics.normRatio == 1)
    #expect(metrics.negativeShare == 16.0 / 25)
    var empty = DecompositionMetrics(vector: [3, 4], code: SignedCode(dense: [0]), norms: [])
    empty.compare([3, 4], with: [0, 0])
    #expect(empty.cosine == nil && empty.relativeError == 1 && empty.normRatio == 0 && empty.negativeShare == nil)
    #expect(empty.normPercentile == nil)
  }

  @Test func comparesWithTheZeroCode() {
    let zero = ZeroCode(SignedCode(dense: [5, 4, 3, 0, 0, 1]))
    let code = SignedCode(dense: [6, 0, 1, 2, 0, 3])
    #expect(zero.setOverlap(with: code) == .init(share: 0.75, jaccard: 0.6))
    #expect(
      zero.valueOverlap(with: code)
        == .init(massShare: 7.0 / 12, cosine: (30 + 3 + 3) / (51.0.squareRoot() * 50.0.squareRoot())))
    // {0, 5} and {0, 1}; {0, 5, 3} and {0, 1, 2}.
    #expect(zero.topOverlaps([2, 3, 100], with: code) == [0.5, 1.0 / 3, 0.75])
    let empty = SignedCode(dense: [0, 0, 0, 0, 0, 0])
    #expect(zero.setOverlap(with: empty) == .init(share: nil, jaccard: 0))
    #expect(zero.valueOverlap(with: empty) == .init() && zero.topOverlaps([5], with: empty) == [nil])
    #expect(ZeroCode(empty).setOverlap(with: empty) == .init())
  }

  @Test func countsSigns() {
    let values = (0..<200).map { Float($0 % 3 == 0 ? -$0 : $0) }
    // Of 100 to 199 every third, from 102 to 198.
    #expect(SignBaselines.negatives(amongLargest: values) == 33)
    var counts = DecompositionMetrics.SignCounts()
    let slopes = values.indices.map { Float($0 % 2 == 0 ? -1 : 1) }
    counts.count(SignedCode(dense: values), slopes: slopes, projections: slopes.map { $0 / 2 })
    #expect(counts.negative == 33 && counts.negativeProjection == 50)
  }

  @Test func findsTheMostAntiAlignedPartner() throws {
    let rows = Matrix([[2, 0], [-0.8, 0.6], [0, 3], [-3, -4], [0, 0]], columns: 2)
    let decoder = DecoderDirections(try dictionaryAutoencoder(rows), pool: pool)
    #expect(
      SpuriousFeatures.find(in: SignedCode(dense: [1, 3, 2, 0, 0]), firing: [true, false, false, false, false]) == [
        1, 2,
      ])
    let worst = try #require(SpuriousFeatures.worst([1, 2], decoder: decoder, pool: pool))
    // Cosines of 1: -0.8, 1, 0.6, 0; of 2: 0, 0.6, 1, -0.8. The stronger feature is named.
    #expect(worst.feature == 1 && worst.partner == 0 && abs(worst.cosine + 0.8) < 1e-6)
    #expect(SpuriousFeatures.worst([4], decoder: decoder, pool: pool) == nil)
    #expect(SpuriousFeatures.worst([], decoder: decoder, pool: pool) == nil)
  }

  @Test func cutsCodes() {
    let code = SignedCode(dense: [1, -3, 0, 3, -2, 1])
    #expect(code.indices == [0, 1, 3, 4, 5] && code.count == 5)
    #expect(code.cut(to: .atoms(2)).dense == [0, -3, 0, 3, 0, 0])
    #expect(code.cut(to: .atoms(1)).dense == [0, -3, 0, 0, 0, 0])
    #expect(code.cut(to: .atoms(4)).dense == [1, -3, 0, 3, -2, 0])
    #expect(code.cut(to: .atoms(9)) == code && code.cut(to: .all) == code)
    #expect(code.positivePart.dense == [1, 0, 0, 3, 0, 1] && code.negativePart.dense == [0, -3, 0, 0, -2, 0])
    #expect(code.byFallingMagnitude.map { code.indices[$0] } == [1, 3, 4, 0, 5])
    #expect(SignedCode(width: 4, indices: [1, 2], values: [0, 1]).indices == [2])
  }

  @Test func knowsTheMedian() {
    #expect(ActivationReference(norms: [1, 2, 9], mean: nil).medianNorm == 2)
    #expect(ActivationReference(norms: [1, 2, 4, 9], mean: nil).medianNorm == 3)
    #expect(ActivationReference(norms: [], mean: nil).medianNorm == nil)
  }
}
