import SparseAutoencoders
import SweepRecords
import Testing

@testable import Decomposition

struct DecompositionPlanTests {
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
