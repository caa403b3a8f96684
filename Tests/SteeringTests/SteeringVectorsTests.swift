import Kernels
import Steering
import Testing

@Suite struct SteeringVectorsTests {
  let pool = ThreadPool(threads: 1)

  /// Differences = strength along a planted direction + small noise in all others.
  private func planted(
    _ strengths: [Float], noise: Double, dimension: Int = 20
  ) -> (positive: Matrix, negative: Matrix, direction: [Float]) {
    var generator = CounterGenerator(seed: 3, stream: 9)
    let direction = SteeringVectors.random(dimension: dimension, norm: 1, seed: 1, stream: 1)
    var (positive, negative): ([[Float]], [[Float]]) = ([], [])
    for strength in strengths {
      let base = (0..<dimension).map { _ in Float(generator.gaussian()) }
      negative.append(base)
      positive.append(
        zip(base, direction).map { $0 + strength * $1 + Float(noise * generator.gaussian()) })
    }
    return (Matrix(positive, columns: dimension), Matrix(negative, columns: dimension), direction)
  }

  private func cosine(_ a: [Float], _ b: [Float]) -> Float { dot(a, b) / (norm(a) * norm(b)) }

  @Test func theMeanDifferenceIsPlain() {
    let positive = Matrix([[1, 2], [3, 5], [2, 0]], columns: 2)
    let negative = Matrix([[0, 0], [1, 1], [3, 1]], columns: 2)
    let wanted: [Float] = [Float(2.0 / 3), Float(5.0 / 3)]
    #expect(SteeringVectors.meanDifference(positive: positive, negative: negative) == wanted)
  }

  @Test func thePrincipalComponentFindsThePlantedDirection() {
    let (positive, negative, direction) = planted([3, 5, 4, 6, 2, 5, 4, 3], noise: 0.05)
    let mean = SteeringVectors.meanDifference(positive: positive, negative: negative)
    let component = SteeringVectors.principalComponent(positive: positive, negative: negative, pool: pool)
    #expect(cosine(component, direction) > 0.999)
    #expect(abs(norm(component) - norm(mean)) < 1e-5 * norm(mean))
    let reversed = SteeringVectors.principalComponent(positive: negative, negative: positive, pool: pool)
    #expect(cosine(reversed, direction) < -0.999)
  }

  @Test func mixedSignsHideADirectionFromTheMeanButNotFromTheComponent() {
    let (positive, negative, direction) = planted([6, -5, 6, -5, 6, -5, 6, -6], noise: 0.4)
    let mean = SteeringVectors.meanDifference(positive: positive, negative: negative)
    let component = SteeringVectors.principalComponent(positive: positive, negative: negative, pool: pool)
    #expect(abs(cosine(component, direction)) > 0.99)
    #expect(abs(cosine(component, direction)) > abs(cosine(mean, direction)))
    #expect(dot(component, mean) > 0)
  }

  @Test func theComponentIsAnEigenvector() {
    let (positive, negative, _) = planted([1, 2, 1, 3, 2], noise: 1)
    let component = SteeringVectors.principalComponent(positive: positive, negative: negative, pool: pool)
    let differences = (0..<5).map { row in zip(positive.row(row), negative.row(row)).map { $0 - $1 } }
    var image = [Float](repeating: 0, count: 20)
    for difference in differences {
      let weight = dot(difference, component)
      for column in image.indices { image[column] += weight * difference[column] }
    }
    #expect(cosine(image, component) > 0.9999)
    // No difference's own direction catches more of the energy.
    func energy(_ direction: [Float]) -> Float {
      differences.reduce(0) { $0 + dot($1, direction) * dot($1, direction) } / dot(direction, direction)
    }
    #expect(differences.allSatisfy { energy($0) <= energy(component) * 1.0001 })
  }

  @Test func pairsThatDoNotDifferGiveAZeroVector() {
    let same = Matrix([[1, 2], [3, 4]], columns: 2)
    #expect(SteeringVectors.principalComponent(positive: same, negative: same, pool: pool) == [0, 0])
    #expect(SteeringVectors.rescaled([0, 0], to: 5) == [0, 0])
  }

  @Test func controlsHaveTheNormThatIsAskedFor() {
    let (positive, negative, direction) = planted(Array(repeating: 4, count: 60), noise: 0.1)
    let shuffled = SteeringVectors.shuffled(positive: positive, negative: negative, norm: 2.5, seed: 1, stream: 2)
    let random = SteeringVectors.random(dimension: 20, norm: 2.5, seed: 1, stream: 2)
    #expect(abs(norm(shuffled) - 2.5) < 1e-5)
    #expect(abs(norm(random) - 2.5) < 1e-5)
    // What the pairs have in common is gone, although little else is left.
    let real = SteeringVectors.meanDifference(positive: positive, negative: negative)
    #expect(cosine(real, direction) > 0.99)
    for seed in 1...20 {
      let one = SteeringVectors.shuffled(positive: positive, negative: negative, norm: 1, seed: UInt64(seed), stream: 2)
      #expect(abs(cosine(one, direction)) < 0.8)
    }
  }

  @Test func controlsAreDeterminedBySeedAndStream() {
    let (positive, negative, _) = planted([1, 2, 3, 4, 5, 6, 7, 8], noise: 1)
    func shuffled(_ seed: UInt64, _ stream: UInt64) -> [Float] {
      SteeringVectors.shuffled(positive: positive, negative: negative, norm: 1, seed: seed, stream: stream)
    }
    func random(_ seed: UInt64, _ stream: UInt64) -> [Float] {
      SteeringVectors.random(dimension: 20, norm: 1, seed: seed, stream: stream)
    }
    #expect(shuffled(1, 1) == shuffled(1, 1) && random(1, 1) == random(1, 1))
    #expect(shuffled(1, 1) != shuffled(2, 1) && random(1, 1) != random(2, 1))
    #expect(shuffled(1, 1) != shuffled(1, 3) && random(1, 1) != random(1, 2))
  }

  @Test func randomDirectionsAreUnrelated() {
    let vectors = (0..<40).map { SteeringVectors.random(dimension: 400, norm: 1, seed: 7, stream: $0) }
    var cosines: [Float] = []
    for (index, vector) in vectors.enumerated() { cosines += vectors[..<index].map { dot($0, vector) } }
    let mean = cosines.reduce(0, +) / Float(cosines.count)
    let square = cosines.reduce(0) { $0 + $1 * $1 } / Float(cosines.count)
    #expect(abs(mean) < 0.01)
    // 1 / d.
    #expect(abs(square * 400 - 1) < 0.2)
  }

  @Test func threadsChangeNoBit() {
    let (positive, negative, _) = planted((0..<50).map { Float($0 % 7) }, noise: 1, dimension: 64)
    #expect(
      SteeringVectors.principalComponent(positive: positive, negative: negative, pool: pool)
        == SteeringVectors.principalComponent(positive: positive, negative: negative, pool: ThreadPool(threads: 2)))
  }
}

@Suite struct ActivationNormsTests {
  private func norms(_ values: [Float]) -> ActivationNorms {
    ActivationNorms(Matrix(values.map { [$0, 0] }, columns: 2), pool: ThreadPool(threads: 1))
  }

  @Test func percentilesAreInterpolated() {
    let found = norms([30, 10, 20, 40, 50])
    #expect(found.sorted == [10, 20, 30, 40, 50])
    #expect(found.mean == [30, 0])
    #expect(found.percentile(0) == 10)
    #expect(found.percentile(100) == 50)
    #expect(found.median == 30)
    #expect(found.percentile(25) == 20)
    #expect(found.percentile(60) == 34)
    #expect(found.excluded == 0)
  }

  @Test func outliersBeyondSixMediansAreLeftOutOfNormsAndMean() {
    let found = norms([1, 1, 2, 1, 1, 6, 6.5, 100])
    // The median is 1 or 2 (upper middle: 2); 6 times 2 keeps 6.5.
    #expect(found.excluded == 1)
    #expect(found.sorted == [1, 1, 1, 1, 2, 6, 6.5])
    #expect(abs(found.mean[0] - 18.5 / 7) < 1e-6)
    #expect(norms([1, 1, 1, 1, 6, 6.5]).excluded == 1)
  }

  @Test func aRankIsTheShareBelow() {
    let found = norms([1, 2, 2, 3])
    #expect(found.rank(of: 0.5) == 0)
    #expect(found.rank(of: 2) == 25)
    #expect(found.rank(of: 2.5) == 75)
    #expect(found.rank(of: 9) == 100)
  }

  @Test func withoutActivationsThereIsNothing() {
    let found = ActivationNorms(sorted: [], mean: [], excluded: 0)
    #expect(found.median.isNaN && found.rank(of: 1).isNaN)
    #expect(ActivationNorms.kept([]).isEmpty)
    #expect(ActivationNorms.kept([1, .infinity, 1, 1]) == [0, 2, 3])
  }
}
