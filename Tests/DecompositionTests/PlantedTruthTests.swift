import Kernels
import SparseAutoencoders
import SweepRecords
import Testing

@testable import Decomposition

/// The two findings of Mayne et al. with a truth that is known (methods.md, section 6).
///
/// Features 0 to 5 are orthonormal and carry the truth z*, three of them negatively; 6 to 8 are the anti-aligned
/// partners (cosine -0.8) of the negative ones; the rest are random. Activations are mu + sparse non-negative codes.
struct PlantedTruthTests {
  static let truth: [Int: Float] = [0: 5, 1: 4, 2: 6, 3: -5, 4: -6, 5: -4]
  static let partners = [3: 6, 4: 7, 5: 8]
  let autoencoder: SparseAutoencoder
  let pairs: PairActivations
  let vector: [Float]
  let mean: [Float]
  let norms: [Float]

  init() throws {
    let (width, dimension) = (384, 192)
    var basis: [[Float]] = []
    let random = gaussianMatrix(width + 16, dimension, seed: 11)
    for row in 0..<9 { basis.append(Self.unit(random.row(row), orthogonalTo: basis)) }
    var dictionary = Matrix(rows: width, columns: dimension)
    for feature in 0..<width {
      dictionary.setRow(feature, feature < 6 ? basis[feature] : Self.unit(random.row(feature + 16), orthogonalTo: []))
    }
    for (feature, partner) in Self.partners {
      var row = [Float](repeating: 0, count: dimension)
      add(-0.8, basis[feature], to: &row)
      add(0.6, basis[partner], to: &row)
      dictionary.setRow(partner, row)
    }
    let mu = Self.unit(random.row(12), orthogonalTo: basis).map { $0 * 60 }
    let onMean = multiply(Matrix([mu], columns: dimension), transposed: dictionary, pool: pool).elements
    var generator = CounterGenerator(seed: 12, stream: 0)
    let bias = onMean.map { -$0 + 0.1 * Float(generator.gaussian()) }
    autoencoder = try SparseAutoencoder(
      architecture: .jumpReLU, convention: .kept, metadata: .init(source: "planted"),
      encoder: dictionary.transposed(), decoder: dictionary, encoderBias: bias, decoderBias: mu,
      thresholds: Array(repeating: 2.5, count: width))
    // A base of a few random features is common to both sides; h+ has the positive part of z*, h- the negative one.
    var sides = (positive: Matrix(rows: 0, columns: dimension), negative: Matrix(rows: 0, columns: dimension))
    for _ in 0..<24 {
      var base = mu
      for _ in 0..<3 { add(3, dictionary.row(9 + Int(generator.next() % UInt64(width - 9))), to: &base) }
      var (positive, negative) = (base, base)
      for (feature, value) in Self.truth.sorted(by: { $0.key < $1.key }) {
        if value > 0 { add(value, basis[feature], to: &positive) } else { add(-value, basis[feature], to: &negative) }
      }
      sides.positive.append(rows: Matrix([positive], columns: dimension))
      sides.negative.append(rows: Matrix([negative], columns: dimension))
    }
    pairs = PairActivations(positive: sides.positive, negative: sides.negative)
    vector = zip(columnMeans(sides.positive), columnMeans(sides.negative)).map { Float($0 - $1) }
    mean = mu
    norms = (rowNorms(sides.positive, pool: pool) + rowNorms(sides.negative, pool: pool)).sorted()
  }

  private static func unit(_ vector: [Float], orthogonalTo basis: [[Float]]) -> [Float] {
    var vector = vector
    for direction in basis { add(-dot(direction, vector), direction, to: &vector) }
    let length = norm(vector)
    return vector.map { $0 / length }
  }

  private func decomposed(_ methods: [DecompositionMethod], _ sparsities: [Sparsity]) throws -> [DecompositionVariant] {
    try variants(
      autoencoder,
      DecompositionRequest(
        subjects: [.init(behaviour: "planted", vector: vector, pairs: pairs)], methods: methods,
        sparsities: sparsities, activations: .init(norms: norms, mean: mean), seed: 1))
  }

  @Test func theBiasDominatesTheVectorsCode() throws {
    let found = try decomposed([.encode, .encodeScaled, .encodeAnchored], [.all])
    let metrics = try found.stored(.encode, .all, "with-bias").metrics
    #expect(metrics.normPercentile == 0)
    #expect(try #require(metrics.zero.l0) > 50)
    // By chance it would be the share of all features that are active for the zero vector: less than a third.
    #expect(try #require(metrics.zero.l0) * 3 < autoencoder.width)
    #expect(try #require(metrics.zero.overlap) > 0.7)
    #expect(try #require(metrics.zero.jaccard) > 0.7)
    #expect(try #require(metrics.zero.massShare) > 0.7)
    #expect(try #require(metrics.zero.cosine) > 0.9)
    #expect(try #require(metrics.zero.biasShare) > 0.75)
    #expect(try #require(metrics.zero.top[1]) >= 0.7)
    #expect(try #require(metrics.cosine) < 0.5)
    // Where the encoder works, around the mean activation, the same vector has another code.
    #expect(try #require(try found.stored(.encodeAnchored).metrics.zero.overlap) < 0.5)
    #expect(try #require(try found.stored(.encodeAnchored).metrics.cosine) > 0.5)
    let scaled = try found.stored(.encodeScaled, .all, "with-bias").metrics
    #expect(try #require(scaled.zero.overlap) < #require(metrics.zero.overlap))
  }

  @Test func negativeProjectionsReadZeroAndTheirPartnersFire() throws {
    let variant = try decomposed([.encode], [.all]).stored(.encode)
    let code = variant.code.dense
    for (feature, value) in Self.truth { #expect((code[feature] > 0) == (value > 0)) }
    for (feature, partner) in Self.partners {
      #expect(code[partner] > 2.5)
      let projection = variant.features().first { $0.index == partner }?.projection
      #expect(try #require(projection) > 0)
      #expect(feature < partner)
    }
    let signs = variant.metrics.signs
    #expect(try #require(signs.spurious) >= 3)
    let worst = try #require(signs.worst)
    #expect(Self.partners.values.contains(worst.feature) || Self.partners.values.contains(worst.partner))
    #expect(abs(worst.cosine + 0.8) < 1e-3)
    #expect(try #require(signs.negative) >= 3)
    #expect(try #require(signs.negativeProjection) >= 3)
    // Half of the largest projections of any direction are negative.
    #expect(try #require(signs.randomNegative) > 35 && #require(signs.randomNegative) < 65)
  }

  @Test(arguments: [DecompositionMethod.pairDifference, .gradientPursuitSigned, .matchingPursuitSigned])
  func signedMethodsRecoverTheTruth(_ method: DecompositionMethod) throws {
    let variant = try decomposed([method], [.atoms(6)]).stored(method, .atoms(6))
    #expect(variant.code.indices == [0, 1, 2, 3, 4, 5])
    for (feature, value) in Self.truth { #expect(abs(variant.code.dense[feature] - value) < 0.15 * abs(value)) }
    #expect(try #require(variant.metrics.cosine) > 0.95)
    // 5 5 + 6 6 + 4 4 on either side.
    #expect(abs(try #require(variant.metrics.negativeShare) - 0.5) < 0.05)
    #expect(abs(try #require(variant.metrics.negativeEnergy) - 0.5) < 0.1)
  }

  @Test(arguments: [DecompositionMethod.gradientPursuit, .matchingPursuit])
  func nonNegativeMethodsRecoverThePositivePart(_ method: DecompositionMethod) throws {
    let found = try decomposed([method, .gradientPursuitSigned], [.atoms(6)])
    let variant = try found.stored(method, .atoms(6))
    for (feature, value) in Self.truth {
      #expect(abs(variant.code.dense[feature] - max(value, 0)) < 0.15 * abs(value))
    }
    #expect(variant.metrics.negativeShare == 0)
    #expect(variant.metrics.negativeEnergy == nil)
    let signed = try found.stored(.gradientPursuitSigned, .atoms(6))
    #expect(try #require(variant.metrics.cosine) < #require(signed.metrics.cosine) - 0.02)
  }

  @Test func whatThePairsCodeMissesIsTheErrorVector() throws {
    var whole: [Float] = []
    let request = DecompositionRequest(
      subjects: [.init(behaviour: "planted", vector: vector, pairs: pairs)], methods: [.pairDifference],
      sparsities: [.all])
    let extras = try Decomposer(autoencoder, request, pool: pool).run { whole = $0.reconstruction }
    #expect(extras.tensors.map(\.name) == ["zero-vector", "planted/pair-difference-error"])
    let error = try #require(extras.pairDifferenceErrors.first?.error)
    add(1, error, to: &whole)
    #expect(relativeDifference(whole, vector) < 1e-5)
  }
}
