import Kernels
import SparseAutoencoders
import SweepRecords
import Testing

@testable import Decomposition

struct DecompositionPlanTests {
  /// Whole codes of an encoder without competing features go through the decoder as rungs, cuts and all others as rows.
  @Test(arguments: Golden.autoencoders)
  func rungsOfOneLadderGoThroughTheDecoderTogether(_ name: String) throws {
    let autoencoder = try Golden.autoencoder(name)
    let encoded = EncodedVectors(
      [try Golden.input(name).row(0), try Golden.input(name).row(1)], anchor: nil, of: autoencoder, pool: pool)
    var batch = CodeBatch(autoencoder)
    for coefficient in [2, -1, 1] as [Float] {
      for row in 0..<2 {
        batch.append(
          encoded.encode(row, coefficient: coefficient, convention: autoencoder.convention), cutTo: [.atoms(1), .all],
          withNegativeEnergy: false)
      }
    }
    let weights = batch.weights(pool: pool)
    #expect(weights.rows == 12 && batch.rowCount == 12)
    let hasLadders = !name.hasPrefix("topk") && !autoencoder.normalizesEachSample
    #expect(weights.sparse.rows == (hasLadders ? 6 : 12))
    #expect(weights.ladders.map(\.coefficients) == (hasLadders ? [[-1, 1, 2], [-1, 1, 2]] : []))
  }

  @Test func codesAreInTheOrderInWhichTheyAreGivenOut() throws {
    let autoencoder = try Golden.autoencoder("jumprelu")
    let other = SparseAutoencoder.InputConvention.allCases.first { $0 != autoencoder.convention }
    let request = DecompositionRequest(
      subjects: ["a", "b"].map { .init(behaviour: $0, vector: Array(repeating: 1, count: autoencoder.dimension)) },
      methods: [.projection, .encode, .gradientPursuit], sparsities: [.all, .atoms(8), .atoms(2), .atoms(8)],
      coefficients: [2, 1, -1, 2])
    let plan = DecompositionPlan(request, of: autoencoder)
    let all: [Sparsity] = [.atoms(2), .atoms(8), .all]
    #expect(plan.sparsities == all)
    #expect(plan.places == [0..<8, 8..<16])
    for (row, places) in plan.places.enumerated() {
      let codes = plan.codes[places]
      #expect(codes.allSatisfy { $0.row == row })
      #expect(
        codes.map(\.method) == [.projection, .encode, .encode, .encode, .gradientPursuit, .encode, .encode, .encode])
      #expect(codes.map(\.coefficient) == [1, 1, 2, -1, 1, 1, 2, -1])
      #expect(codes.prefix(5).allSatisfy { $0.convention == autoencoder.convention })
      #expect(codes.dropFirst(5).allSatisfy { $0.convention == other })
      #expect(codes.map(\.sparsities) == [all, all, [.all], [.all], [.atoms(2), .atoms(8)], all, [.all], [.all]])
    }
    var cut = request
    cut.cutsLadder = true
    #expect(DecompositionPlan(cut, of: autoencoder).codes[2].sparsities == all)
    cut.subjects = []
    #expect(DecompositionPlan(cut, of: autoencoder).codes.isEmpty)
  }
}
