import Kernels
import SparseAutoencoders
import SweepRecords
import TensorFiles
import Testing

@testable import Decomposition

struct PursuitTests {
  static let rules = [
    PursuitRule(isSigned: false, step: .gradient), PursuitRule(isSigned: true, step: .gradient),
    PursuitRule(isSigned: false, step: .leastSquares), PursuitRule(isSigned: true, step: .leastSquares),
  ]

  private func codes(
    _ vectors: [(vector: [Float], rule: PursuitRule)], _ sparsities: [Int], _ rows: Matrix, pool: ThreadPool = pool,
    memory: Int = 1 << 30
  ) throws -> [[SignedCode]] {
    let dictionary = UnitDictionary(try dictionaryAutoencoder(rows), memory: memory, pool: pool)
    return try PursuitBatch.run(vectors, sparsities: sparsities, dictionary: dictionary, pool: pool) { _ in }
  }

  /// A dictionary whose rows share a component (so that coefficients are clamped) and are not of unit norm, and some
  /// vectors.
  private var correlated: (rows: Matrix, vectors: [[Float]]) {
    var rows = gaussianMatrix(40, 12, seed: 3)
    for index in 0..<rows.rows { rows.setRow(index, rows.row(index).map { ($0 + 0.8) * Float(1 + index % 3) }) }
    let vectors = gaussianMatrix(6, 12, seed: 4)
    return (rows, (0..<vectors.rows).map { vectors.row($0) })
  }

  @Test(arguments: ["sparse", "dense"], [false, true])
  func agreesWithGoldenData(_ vector: String, _ signed: Bool) throws {
    let file = try SafetensorsFile(path: "\(Golden.folder)/pursuit-expected.safetensors")
    let dictionary = try file.tensor(named: "dictionary")
    let rows = Matrix(rows: dictionary.shape[0], columns: dictionary.shape[1], elements: try dictionary.floats())
    let kind = "\(vector)/\(signed ? "signed" : "nonnegative")"
    let support = try file.tensor(named: "\(kind)/support").integers()
    let expected = try file.tensor(named: "\(kind)/coefficients").floats()
    let found = try codes(
      [(try file.tensor(named: "\(vector)/vector").floats(), PursuitRule(isSigned: signed, step: .gradient))],
      Array(1...support.count), rows)[0]
    var clamped = 0
    for (step, code) in found.enumerated() {
      let coefficients = Array(expected.dropFirst(step * support.count).prefix(step + 1))
      clamped += coefficients.count { $0 == 0 }
      let active = zip(support, coefficients).filter { $0.1 != 0 }.map(\.0).sorted()
      #expect(code.indices.map(Int.init) == active)
      #expect(relativeDifference(support.prefix(step + 1).map { code.dense[$0] }, coefficients) < 1e-5)
    }
    #expect((clamped > 0) == (kind == "dense/nonnegative"))
  }

  @Test(arguments: rules)
  func agreesWithTheSlowReference(_ rule: PursuitRule) throws {
    let (rows, vectors) = correlated
    let unit = (0..<rows.rows).map { index in
      let row = rows.row(index).map(Double.init)
      return row.map { $0 / PursuitReference.dot(row, row).squareRoot() }
    }
    let steps = 7
    let found = try codes(vectors.map { ($0, rule) }, Array(1...steps), rows)
    for (vector, codes) in zip(vectors, found) {
      let expected =
        rule.step == .gradient
        ? PursuitReference.gradient(vector, unit, steps: steps, signed: rule.isSigned)
        : PursuitReference.matching(vector, unit, steps: steps, signed: rule.isSigned)
      for (code, state) in zip(codes, expected) {
        let dense = state.code.map { abs($0) < 1e-12 ? 0 : Float($0) }
        #expect(code.indices == SignedCode(dense: dense).indices)
        #expect(relativeDifference(code.dense, dense) < 2e-5)
      }
    }
  }

  @Test func nonNegativeLeastSquaresHoldsSomeAtZero() throws {
    let (rows, vectors) = correlated
    let rule = PursuitRule(isSigned: false, step: .leastSquares)
    let found = try codes(vectors.map { ($0, rule) }, [7], rows)
    #expect(found.contains { $0[0].count < 7 })
    #expect(found.allSatisfy { $0[0].values.allSatisfy { $0 > 0 } })
  }

  @Test func bitsDependOnNeitherThreadsNorBatchNorPacking() throws {
    let (rows, vectors) = correlated
    let all = vectors.flatMap { vector in Self.rules.map { (vector: vector, rule: $0) } }
    let together = try codes(all, [2, 9], rows)
    #expect(try codes(all, [2, 9], rows, pool: ThreadPool(threads: 1)) == together)
    #expect(try codes(all, [2, 9], rows, memory: 0) == together)
    for (index, one) in all.enumerated() {
      #expect(try codes([one], [2, 9], rows)[0] == together[index])
      #expect(try codes([one], [2], rows)[0][0] == together[index][0])
    }
  }

  /// Rescaled rows are divided twice.
  @Test(arguments: ["standard", "topk-rescaled", "jumprelu"])
  func dictionariesAreTheSamePackedOrMadeAgain(_ name: String) throws {
    let autoencoder = try Golden.autoencoder(name)
    let vectors = try Golden.input(name)
    var (packed, made) = (Matrix(rows: 0, columns: autoencoder.width), Matrix(rows: 0, columns: autoencoder.width))
    UnitDictionary(autoencoder, pool: pool).project(vectors, into: &packed, pool: pool)
    UnitDictionary(autoencoder, memory: 0, pool: pool).project(vectors, into: &made, pool: pool)
    #expect(packed == made)
  }

  @Test(arguments: rules)
  func endsWhereNothingIsLeft(_ rule: PursuitRule) throws {
    let (rows, _) = correlated
    let zero = try codes([([Float](repeating: 0, count: 12), rule)], [1, 5], rows)[0]
    #expect(zero.allSatisfy { $0.count == 0 })
    // More atoms asked for than there are; two of three are one direction, one is dead.
    let few = Matrix([[2, 0, 0], [0, 0, 0], [3, 0, 0], [0, -1, 0]], columns: 3)
    let found = try codes([([4, 6, 1], rule)], [1, 3, 1_000_000_000_000], few)[0]
    #expect(found.allSatisfy { code in code.indices.allSatisfy { $0 != 1 } })
    #expect(found[2] == found[1])
    if rule.isSigned {
      #expect(found[0].dense == [0, 0, 0, -6])
      #expect(found[1].dense == [4, 0, 0, -6])
    } else {
      #expect(found[1].dense == [4, 0, 0, 0])
      // Nothing correlates positively.
      #expect(try codes([([-4, 6, 1], rule)], [2], few)[0][0].count == 0)
    }
  }

  @Test func tiesGoToTheLowerIndex() throws {
    let rows = Matrix([[0, 0, 1], [1, 0, 0], [0, 1, 0]], columns: 3)
    for rule in Self.rules {
      #expect(try codes([([2, 2, 2], rule)], [1], rows)[0][0].indices == [0])
    }
  }
}
