import Diagnostics
import Foundation
import Kernels
import SparseAutoencoders
import SweepRecords
import Testing

@testable import Decomposition

struct DecompositionReportTests {
  private func json(_ report: DecompositionReport) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: JSONEncoder().encode(report)) as? [String: Any])
  }

  @Test func hasTheShapeOfTheInterface() throws {
    let autoencoder = try Golden.autoencoder("gemma-scope/params.npz")
    let vector = try Golden.input("gemma-scope").row(1)
    let report = try DecompositionReport.make(autoencoder, vector: vector, method: .encode, layer: 14, pool: pool)
    #expect(report.count == 1)
    let object = try json(report[0])
    #expect(
      Set(object.keys) == [
        "method", "sparsity", "coefficient", "convention", "width", "layer", "vector_norm", "l0", "cosine",
        "relative_error", "norm_ratio", "zero_overlap", "zero_jaccard", "bias_share", "negative_share", "features",
      ])
    #expect(object["method"] as? String == "encode" && object["sparsity"] as? String == "all")
    #expect(object["width"] as? Int == 48 && object["layer"] as? Int == 14)
    let features = try #require(object["features"] as? [[String: Any]])
    #expect(features.count == object["l0"] as? Int)
    let dense = autoencoder.encode(Matrix([vector], columns: 16), pool: pool).dense().row(0)
    let order = dense.indices.filter { dense[$0] != 0 }.sorted { (-dense[$0], $0) < (-dense[$1], $1) }
    #expect(features.map { $0["index"] as? Int } == order)
    #expect(features.allSatisfy { Set($0.keys) == ["index", "coefficient", "projection", "in_zero_vector"] })
    #expect((features[0]["coefficient"] as? NSNumber)?.floatValue == dense[order[0]])
  }

  @Test func climbsCoefficientsAndSparsitiesInTheOrderGiven() throws {
    let autoencoder = try Golden.autoencoder("jumprelu")
    let vector = try Golden.input("jumprelu").row(1)
    for method in DecompositionMethod.allCases where method != .pairDifference {
      let sparsities: [Sparsity] = method.isPursuit ? [.atoms(5), .atoms(2)] : [.all, .atoms(2)]
      let reports = try DecompositionReport.make(
        autoencoder, vector: vector, method: method, sparsities: sparsities, coefficients: [2, -1, 0, 1],
        activations: .init(medianNorm: 4, mean: Array(repeating: 0.1, count: 16)), withReconstruction: true,
        pool: pool)
      #expect(reports.map(\.coefficient) == [2, 2, -1, -1, 0, 0, 1, 1])
      #expect(reports.map(\.sparsity) == sparsities + sparsities + sparsities + sparsities)
      for report in reports {
        let scaled = vector.map { $0 * Float(report.coefficient) }
        // The multiple by itself is the same decomposition.
        let alone = try DecompositionReport.make(
          autoencoder, vector: scaled, method: method, sparsities: [report.sparsity],
          activations: .init(medianNorm: 4, mean: Array(repeating: 0.1, count: 16)), withReconstruction: true,
          pool: pool)[0]
        #expect(abs(report.metrics.vectorNorm - alone.metrics.vectorNorm) < 1e-6)
        #expect(report.metrics.l0 == alone.metrics.l0)
        #expect(relativeDifference(report.reconstruction ?? [], alone.reconstruction ?? []) < 1e-5)
        #expect(abs((report.metrics.cosine ?? 0) - (alone.metrics.cosine ?? 0)) < 1e-5)
        #expect(report.features.map(\.index) == alone.features.map(\.index))
      }
      #expect(try json(reports[4])["cosine"] is NSNull)
      #expect(try json(reports[1])["sparsity"] as? Int == 2)
      #expect((try json(reports[1])["reconstruction"] as? [Any])?.count == 16)
    }
  }

  @Test func chooses() throws {
    let autoencoder = try Golden.autoencoder("standard")
    let input = try Golden.input("standard")
    let pursuit = try DecompositionReport.make(
      autoencoder, vector: input.row(0), method: .gradientPursuitSigned, pool: pool)
    #expect(pursuit.map(\.sparsity) == [.atoms(32)] && pursuit[0].metrics.l0 == 32)
    let with = try DecompositionReport.make(
      autoencoder, vector: input.row(0), method: .encode, withReconstruction: true, pool: pool)[0]
    let without = try DecompositionReport.make(
      autoencoder, vector: input.row(0), method: .encode, convention: "without-bias", withReconstruction: true,
      pool: pool)[0]
    #expect(with.convention == "with-bias" && with.features == without.features)
    var sum = try #require(without.reconstruction)
    add(1, autoencoder.decoderBias, to: &sum)
    #expect(with.reconstruction == sum)
    let pairs = PairActivations(positive: input.rows(0..<2), negative: input.rows(2..<4))
    let difference = try DecompositionReport.make(
      autoencoder, vector: input.row(0), method: .pairDifference, sparsities: [.atoms(3)], pairs: pairs, pool: pool)
    #expect(difference[0].features.count == 3)
  }

  /// Tokens of answers of different lengths: each pair counts the same, and codes are averaged, not activations.
  @Test func pairDifferenceOfTokensIsTheMeanOfTheirCodes() throws {
    let autoencoder = try Golden.autoencoder("standard")
    let input = try Golden.input("standard")
    let pairs = PairActivations(
      positive: .init(input.rows(0..<3), counts: [1, 2]), negative: .init(input.rows(3..<6), counts: [2, 1]))
    let report = try DecompositionReport.make(
      autoencoder, vector: input.row(0), method: .pairDifference, pairs: pairs, pool: pool)[0]
    func code(_ row: Int) -> [Float] {
      autoencoder.encoding(of: input.rows(row..<row + 1), pool: pool).code(
        0, coefficient: 1, convention: autoencoder.convention)
    }
    let weights: [Float] = [0.5, 0.25, 0.25, -0.25, -0.25, -0.5]
    var expected = [Float](repeating: 0, count: autoencoder.width)
    for row in 0..<6 { for (index, value) in code(row).enumerated() { expected[index] += weights[row] * value } }
    for feature in report.features { #expect(abs(feature.coefficient - expected[feature.index]) < 1e-5) }
    #expect(report.features.count == expected.filter { $0 != 0 }.count)
  }

  @Test func refuses() throws {
    let autoencoder = try Golden.autoencoder("standard")
    let vector = try Golden.input("standard").row(0)
    func refusal(
      _ method: DecompositionMethod, _ sparsities: [Sparsity] = [], _ coefficients: [Double] = [1],
      convention: String? = nil, pairs: PairActivations? = nil, vector other: [Float]? = nil
    ) -> String? {
      do {
        _ = try DecompositionReport.make(
          autoencoder, vector: other ?? vector, method: method, sparsities: sparsities, coefficients: coefficients,
          pairs: pairs, convention: convention, pool: pool)
        return nil
      } catch { return error.subject }
    }
    #expect(refusal(.encode) == nil)
    #expect(refusal(.pairDifference) == "pair-difference")
    let row = Matrix([vector], columns: 16)
    #expect(refusal(.pairDifference, [], [2], pairs: .init(positive: row, negative: row)) == "coefficients")
    #expect(refusal(.gradientPursuit, [.atoms(2), .all]) == "sparsity")
    #expect(refusal(.encode, [], [.nan]) == "coefficient")
    #expect(refusal(.encodeMinusZero, convention: "with-bias") == "convention")
    #expect(refusal(.encodeScaled) == "encode-scaled")
    #expect(refusal(.encode, vector: [1]) == "vector vector")
    #expect(refusal(.gradientPursuit, [], [1e300]) == "coefficient")
    #expect(refusal(.gradientPursuit, [], [1e30]) == "vector vector")
  }
}
