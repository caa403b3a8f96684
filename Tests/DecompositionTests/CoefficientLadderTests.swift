import Kernels
import SparseAutoencoders
import SweepRecords
import Testing

@testable import Decomposition

/// The ladder against evaluating the code at every coefficient.
struct CoefficientLadderTests {
  static let names = [
    "standard", "jumprelu", "gated", "topk", "standard-layer-norm", "gated-constant-norm", "standard-expected-average",
  ]

  private func check(
    _ autoencoder: SparseAutoencoder, _ vectors: Matrix, alsoAt more: [Float] = []
  ) throws -> (steps: Int, active: Int) {
    let encoding = autoencoder.encoding(of: vectors, pool: pool)
    var (steps, active) = (0, 0)
    for row in 0..<vectors.rows {
      for convention in SparseAutoencoder.InputConvention.allCases {
        let ladder = CoefficientLadder(encoding, row: row, convention: convention, of: autoencoder)
        let functions = CoefficientSteps(ladder)
        let breaks = functions?.starts ?? []
        steps += breaks.count
        let greatest = Float.greatestFiniteMagnitude
        let coefficients =
          breaks.flatMap { [$0.nextDown, $0, $0.nextUp] }.filter(\.isFinite)
          + stride(from: Float(-6), through: 6, by: 0.37) + [0, -0.0, 1, greatest / 1e6, -greatest / 1e6] + more
        let zero = Set(SignedCode(dense: encoding.zeroCode(convention)).indices)
        for coefficient in coefficients {
          let expected = SignedCode(
            dense: encoding.code(row, coefficient: coefficient, convention: convention))
          active += expected.count
          #expect(ladder.code(at: coefficient) == expected)
          guard let functions else { continue }
          #expect(functions.l0(at: coefficient) == expected.count)
          let common = expected.indices.count { zero.contains($0) }
          #expect(
            functions.zeroOverlap(at: coefficient)
              == (expected.count == 0 ? nil : Double(common) / Double(expected.count)))
        }
      }
    }
    return (steps, active)
  }

  @Test(arguments: names)
  func isExactForGoldenAutoencoders(_ name: String) throws {
    let autoencoder = try Golden.autoencoder(name)
    let found = try check(autoencoder, try Golden.input(name).rows(0..<3))
    #expect(found.active > 1000)
    #expect((found.steps > 100) == !(name.contains("norm") || name == "topk"))
  }

  @Test func isExactWhereLinesAreFlatOrCancel() throws {
    // Slopes of 0 and next to 0, thresholds that intercepts touch, negative thresholds.
    let width = 24
    var encoder = gaussianMatrix(2, width, seed: 5)
    for feature in 0..<6 { encoder[0, feature] = [0, 1e-30, -1e-30, 1e-3, -1e-3, 1][feature] }
    for feature in 0..<6 { encoder[1, feature] = 0 }
    let thresholds: [Float] = (0..<width).map { [1, 0.5, 0, -2][$0 % 4] }
    let bias: [Float] = (0..<width).map { feature -> Float in
      let threshold: Float = thresholds[feature]
      return feature % 3 == 0 ? threshold : threshold.nextDown * Float(1 + feature % 2)
    }
    let autoencoder = try SparseAutoencoder(
      architecture: .jumpReLU, convention: .kept, metadata: .init(source: "test"), encoder: encoder,
      decoder: gaussianMatrix(width, 2, seed: 6), encoderBias: bias, decoderBias: [0, 0], thresholds: thresholds)
    let found = try check(
      autoencoder, Matrix([[1, 0], [-2, 0.5]], columns: 2),
      alsoAt: [1e-7, -1e-7, .leastNonzeroMagnitude, 1e10, 3e38, -3e38])
    #expect(found.steps > 20)
  }

  @Test func stepsAreWhereTheClosedFormSays() throws {
    let autoencoder = try SparseAutoencoder(
      architecture: .jumpReLU, convention: .kept, metadata: .init(source: "test"),
      encoder: Matrix([[1, -2, 0, 4]], columns: 4), decoder: Matrix(rows: 4, columns: 1, repeating: 1),
      encoderBias: [-1, 3, 5, 0], decoderBias: [0], thresholds: [0.5, 1, 6, -3])
    let encoding = autoencoder.encoding(of: Matrix([[1]], columns: 1), pool: pool)
    let ladder = CoefficientLadder(encoding, row: 0, convention: .kept, of: autoencoder)
    // c - 1 > 0.5; -2 c + 3 > 1; 5 > 6 never; 4 c > max(-3, 0).
    let steps = try #require(CoefficientSteps(ladder))
    #expect(steps.starts == [Float(0).nextUp, Float(1), Float(1.5).nextUp])
    #expect([-1, 0, 0.5, 1, 1.25, 1.5, 2].map { steps.l0(at: $0) } == [1, 1, 2, 1, 1, 1, 2])
    #expect(steps.zeroOverlap(at: 0.5) == 0.5)
    #expect(steps.zeroOverlap(at: 2) == 0)
    // Feature 1: 3 / (3 + 1); feature 3: 0.
    let lines = ValueLines(encoding, row: 0, convention: .kept)
    #expect(lines.biasShare(of: ladder.code(at: 0.5), amplitude: 0.5) == 0.375)
    let axis = try #require(CoefficientAxis(ladder))
    #expect(axis.starts == [-Float.greatestFiniteMagnitude] + steps.starts)
    #expect(axis.l0 == [1, 2, 1, 2] && axis.zeroOverlap == [1, 0.5, 0, 0])
  }

  /// A gate and its magnitude open on the same side, or one of them always.
  @Test func twoBoundsOfAFeatureAreOne() {
    #expect(ActiveSide.from(1).common(with: .from(2)) == .from(2))
    #expect(ActiveSide.upTo(1).common(with: .upTo(2)) == .upTo(1))
    #expect(ActiveSide.wholeAxis.common(with: .upTo(2)) == .upTo(2))
    #expect(ActiveSide.upTo(2).common(with: .wholeAxis) == .upTo(2))
    let lines = FeatureBounds(
      slopes: [1, -1, 0, 0, 2], intercepts: [0, 0, 1, -1, -6], thresholds: nil,
      magnitudes: ValueLines(slopes: [0.5, -2, 0, 0, 0], intercepts: [-1, 4, 3, 3, 1]))
    #expect(lines.side(of: 0) == .from(Float(2).nextUp))
    #expect(lines.side(of: 1) == .upTo(-.leastNonzeroMagnitude))
    #expect(lines.side(of: 2) == .wholeAxis && lines.side(of: 3) == nil)
    #expect(lines.side(of: 4) == .from(Float(3).nextUp))
  }

  @Test(arguments: names)
  func axisIsTheLadderOverAllCoefficients(_ name: String) throws {
    let autoencoder = try Golden.autoencoder(name)
    let request = DecompositionRequest(
      subjects: [.init(behaviour: "b", vector: try Golden.input(name).row(0))], methods: [.encode], sparsities: [.all],
      wantsCoefficientAxis: true)
    let axes = try Decomposer(autoencoder, request, pool: pool).run { _ in }.coefficientAxes
    let encoding = autoencoder.encoding(of: try Golden.input(name).rows(0..<1), pool: pool)
    let ladder = CoefficientLadder(encoding, row: 0, convention: autoencoder.convention, of: autoencoder)
    guard let steps = CoefficientSteps(ladder)?.starts else {
      #expect(axes.isEmpty)
      return
    }
    let axis = try #require(axes.first?.axis)
    #expect(axes.count == 1 && Array(axis.starts.suffix(steps.count)) == steps)
    for (index, start) in axis.starts.enumerated() {
      let end = index + 1 < axis.starts.count ? axis.starts[index + 1].nextDown : Float.greatestFiniteMagnitude
      for coefficient in [start, start / 2 + end / 2, end] {
        let code = SignedCode(
          dense: encoding.code(0, coefficient: coefficient, convention: autoencoder.convention))
        #expect(axis.l0[index] == code.count)
        #expect(axis.zeroOverlap[index].isNaN == (code.count == 0))
      }
    }
  }
}
