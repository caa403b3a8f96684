import Diagnostics
import Kernels
import TensorFiles
import Testing

@testable import SparseAutoencoders

/// A planted dictionary: unit rows, and activations that are sparse non-negative combinations of them around a mean.
struct Plant {
  let dictionary: Matrix
  let activations: Matrix

  init(width: Int, dimension: Int, active: Int, tokens: Int, seed: UInt64) {
    dictionary = randomUnitRows(width, dimension, seed: seed, pool: pool)
    var generator = CounterGenerator(seed: seed, stream: 1 << 40)
    var (starts, indices, values) = ([0], [Int32](), [Float]())
    for _ in 0..<tokens {
      var chosen = Set<Int32>()
      while chosen.count < active { chosen.insert(Int32(generator.uniform() * Double(width))) }
      for feature in chosen.sorted() {
        indices.append(feature)
        values.append(Float(2 + 4 * generator.uniform()))
      }
      starts.append(indices.count)
    }
    let codes = SparseRows(columns: width, rowStarts: starts, indices: indices, values: values)
    let mean = (0..<dimension).map { _ in Float(generator.gaussian()) }
    activations = sparseDecode(codes: codes, decoder: dictionary, bias: mean, pool: pool)
  }

  /// The mean over planted rows of the largest cosine with a row of `decoder` (unit rows).
  func meanMaxCosine(_ decoder: Matrix) -> Float {
    let cosines = multiply(dictionary, transposed: decoder, pool: pool)
    return (0..<cosines.rows).map { cosines.row($0).max() ?? 0 }.reduce(0, +) / Float(cosines.rows)
  }
}

struct TrainingTests {
  static func settings(
    _ kind: SAETrainingSettings.Kind, width: Int = 32, sparsity: Int = 3, steps: Int = 60, batch: Int = 64
  ) -> SAETrainingSettings {
    var settings = SAETrainingSettings(
      kind: kind, width: width, sparsity: sparsity, steps: steps, batch: batch, learningRate: 0.01, seed: 7)
    settings.revivalInterval = 10
    return settings
  }

  @Test(arguments: SAETrainingSettings.Kind.allCases)
  func recoversAPlantedDictionary(_ kind: SAETrainingSettings.Kind) throws {
    let plant = Plant(width: 32, dimension: 16, active: 3, tokens: 8000, seed: 3)
    let training = try SAETraining(
      settings: Self.settings(kind, width: 40, steps: 600, batch: 256), activations: plant.activations, pool: pool)
    var state = training.initialState(pool: pool)
    #expect(plant.meanMaxCosine(state.parameters.decoder) < 0.75)
    var unexplained: [Double] = []
    training.train(&state, until: .max, pool: pool) { unexplained.append($0.unexplainedVariance) }
    #expect(state.step == 600 && unexplained.count == 600)
    #expect(unexplained[599] < 0.15 && unexplained[0] > 0.3)

    let made = try training.finish(state, metadata: .init(source: "planted"), pool: pool)
    #expect(plant.meanMaxCosine(made.autoencoder.decoderRows(0..<40)) > 0.9)
    #expect(made.heldOut.tokens == 800)
    #expect(made.heldOut.explainedVariance > 0.85)
    #expect(abs(made.heldOut.l0 - 3) < 0.05)
    switch kind {
    case .topK: #expect(made.autoencoder.architecture == .topK(3, rescalesByDecoderNorm: false))
    case .batchTopK:
      #expect(made.autoencoder.architecture == .jumpReLU)
      #expect(made.autoencoder.thresholds == Array(repeating: try #require(made.threshold), count: 40))
    }
    // Folded back: it explains the activations as they came.
    #expect(made.autoencoder.statistics(on: plant.activations, pool: pool).explainedVariance > 0.85)
    // And travels.
    let copy = try SparseAutoencoder(safetensors: try made.autoencoder.serialized(), named: "trained")
    let some = plant.activations.rows(0..<5)
    #expect(copy.encode(some, pool: pool) == made.autoencoder.encode(some, pool: pool))
  }

  @Test func gradientAgreesWithPyTorch() throws {
    let file = try SafetensorsFile(path: Golden.path("topk-gradient-expected.safetensors"))
    let parameters = TrainingState.Parameters(
      encoder: try Golden.matrix("W_enc", in: file).transposed(), decoder: try Golden.matrix("W_dec", in: file),
      encoderBias: try file.tensor(named: "b_enc").floats(), decoderBias: try file.tensor(named: "b_dec").floats())
    let pass = TrainingGradient(
      of: parameters, kind: .topK, sparsity: 4, on: try Golden.matrix("x", in: file), pool: pool)
    let codes = try Golden.matrix("subtracted/codes", in: file)
    #expect(relativeDifference(pass.codes.dense().elements, codes.elements) < 1e-5)
    let loss = try file.tensor(named: "subtracted/loss").floats()[0]
    #expect(abs(Float(pass.loss) - loss) < 1e-5 * loss)
    let encoder = try Golden.matrix("subtracted/grad/W_enc", in: file).transposed()
    #expect(relativeDifference(pass.gradient.encoder.elements, encoder.elements) < 1e-5)
    let decoder = try Golden.matrix("subtracted/grad/W_dec", in: file)
    #expect(relativeDifference(pass.gradient.decoder.elements, decoder.elements) < 1e-5)
    let biases = [("b_enc", pass.gradient.encoderBias), ("b_dec", pass.gradient.decoderBias)]
    for (name, found) in biases {
      #expect(relativeDifference(found, try file.tensor(named: "subtracted/grad/\(name)").floats()) < 1e-5, "\(name)")
    }
  }

  @Test(arguments: SAETrainingSettings.Kind.allCases)
  func gradientAgreesWithFiniteDifferences(_ kind: SAETrainingSettings.Kind) throws {
    let batch = gaussianMatrix(12, 6, seed: 1)
    var state = TrainingState(
      settings: Self.settings(kind, width: 10, sparsity: 2), dimension: 6,
      decoderBias: gaussianMatrix(1, 6, seed: 2).row(0),
      pool: pool)
    state.parameters.encoderBias = gaussianMatrix(1, 10, seed: 3).row(0).map { $0 * 0.2 }
    func pass(_ parameters: TrainingState.Parameters) -> TrainingGradient {
      TrainingGradient(of: parameters, kind: kind, sparsity: 2, on: batch, pool: pool)
    }
    let reference = pass(state.parameters)
    var checked = 0
    func check(_ part: WritableKeyPath<TrainingState.Parameters, [Float]>) {
      let gradient = reference.gradient[keyPath: part]
      for index in gradient.indices {
        var (low, high) = (state.parameters, state.parameters)
        let step: Float = 0.004
        low[keyPath: part][index] -= step
        high[keyPath: part][index] += step
        let (below, above) = (pass(low), pass(high))
        // Where the selection changes the loss has a kink.
        guard below.codes.indices == reference.codes.indices, above.codes.indices == reference.codes.indices,
          below.codes.rowStarts == above.codes.rowStarts
        else { continue }
        let slope = Float((above.loss - below.loss) / Double(2 * step))
        #expect(abs(slope - gradient[index]) < 2e-3 * max(1, abs(slope)))
        checked += 1
      }
    }
    check(\.encoder.elements)
    check(\.decoder.elements)
    check(\.encoderBias)
    check(\.decoderBias)
    #expect(checked > 100)
  }

  @Test(arguments: SAETrainingSettings.Kind.allCases)
  func stoppingAndThreadsChangeNothing(_ kind: SAETrainingSettings.Kind) throws {
    let plant = Plant(width: 48, dimension: 20, active: 3, tokens: 700, seed: 4)
    let settings = Self.settings(kind)
    let one = ThreadPool(threads: 1)
    let training = try SAETraining(settings: settings, activations: plant.activations, pool: pool)
    let alone = try SAETraining(settings: settings, activations: plant.activations, pool: one)
    #expect(training.training == alone.training && training.heldOut == alone.heldOut)

    var whole = training.initialState(pool: pool)
    training.train(&whole, until: 60, pool: pool)
    var single = alone.initialState(pool: one)
    alone.train(&single, until: 60, pool: one)
    #expect(whole == single)

    var part = training.initialState(pool: one)
    for stop in [1, 23, 24, 50] {
      training.train(&part, until: stop, pool: pool)
      #expect(part.step == stop)
      let bytes = try part.serialized()
      let restored = try TrainingState(serialized: bytes, named: "checkpoint", settings: settings)
      #expect(restored == part)
      #expect(try restored.serialized() == bytes)
      part = restored
    }
    training.train(&part, until: 1000, pool: one)
    #expect(part == whole)
  }

  @Test func revivesDeadFeatures() throws {
    let plant = Plant(width: 32, dimension: 16, active: 3, tokens: 2000, seed: 5)
    var settings = Self.settings(.topK, width: 40, steps: 100, batch: 128)
    settings.revivalShare = 1
    let training = try SAETraining(settings: settings, activations: plant.activations, pool: pool)
    var state = training.initialState(pool: pool)
    for feature in 0..<10 { state.parameters.encoderBias[feature] = -1000 }
    training.train(&state, until: 9, pool: pool)
    #expect(state.idleSteps[0..<10].allSatisfy { $0 == 9 })
    #expect(state.parameters.encoderBias[3] < -999)
    training.train(&state, until: 10, pool: pool)
    #expect(state.idleSteps[0..<10].allSatisfy { $0 == 0 })
    #expect(state.parameters.encoderBias[0..<10].allSatisfy { $0 == 0 })
    #expect(state.parameters.encoder.row(3) == state.parameters.decoder.row(3))
    #expect(abs(norm(state.parameters.decoder.row(3)) - 1) < 1e-6)
    #expect(state.parameters.decoder.row(3) != state.parameters.decoder.row(4))
    training.train(&state, until: 20, pool: pool)
    #expect(state.idleSteps[0..<10].count { $0 < 10 } >= 8, "revived features are used")
  }

  @Test func leavesOutliersAndTheLastTokensOut() throws {
    let plant = Plant(width: 32, dimension: 16, active: 3, tokens: 1000, seed: 6)
    var activations = plant.activations
    for row in [3, 500, 999] { activations.setRow(row, activations.row(row).map { $0 * 1000 }) }
    let training = try SAETraining(settings: Self.settings(.topK), activations: activations, pool: pool)
    #expect(training.outliers == 3)
    #expect(training.training.rows == 898 && training.heldOut.rows == 99)
    let norms = rowNorms(training.training, pool: pool)
    #expect(abs(norms.reduce(0, +) / Float(norms.count) - 4) < 1e-4, "mean norm sqrt(16)")
    let last = activations.row(998).map { $0 * training.scale }
    #expect(training.heldOut.row(98) == last)
  }

  @Test func theUntrainedDictionaryHasTheSameL0() throws {
    let plant = Plant(width: 32, dimension: 16, active: 3, tokens: 1000, seed: 6)
    let metadata = SparseAutoencoder.Metadata(source: "untrained", layer: 4)
    let made = try SparseAutoencoder.untrained(
      width: 64, l0: 7.25, seed: 9, activations: plant.activations, metadata: metadata, pool: pool)
    let statistics = made.statistics(on: plant.activations, pool: pool)
    #expect(abs(statistics.l0 - 7.25) < 0.01)
    #expect(statistics.explainedVariance < 0.8)
    #expect(made.decoderNorms(pool: pool).allSatisfy { abs($0 - 1) < 1e-6 })
    #expect(made.encoderColumns([5]).row(0) == made.decoderRows([5]).row(0))
    #expect(made.metadata.layer == 4 && made.architecture == .jumpReLU)
    let again = try SparseAutoencoder.untrained(
      width: 64, l0: 7.25, seed: 9, activations: plant.activations, metadata: metadata, pool: ThreadPool(threads: 1))
    #expect(try made.serialized() == again.serialized())
    let other = try SparseAutoencoder.untrained(
      width: 64, l0: 7.25, seed: 10, activations: plant.activations, metadata: metadata, pool: pool)
    #expect(try made.serialized() != other.serialized())
    #expect(throws: InputError.self) {
      try SparseAutoencoder.untrained(
        width: 8, l0: 7, seed: 1, activations: plant.activations, metadata: metadata, pool: pool)
    }
  }

  @Test func refusesSettingsAndDataWithoutSense() throws {
    let activations = gaussianMatrix(50, 4, seed: 1)
    func expectRefusal(_ subject: String, _ activations: Matrix, _ change: (inout SAETrainingSettings) -> Void) {
      var settings = Self.settings(.topK)
      change(&settings)
      let error = #expect(throws: InputError.self) {
        try SAETraining(settings: settings, activations: activations, pool: pool)
      }
      #expect(error?.subject == subject)
    }
    expectRefusal("training: width", activations) { $0.width = 0 }
    expectRefusal("training: sparsity", activations) { $0.sparsity = 33 }
    expectRefusal("training: steps", activations) { $0.steps = 0 }
    expectRefusal("training: batch", activations) { $0.batch = .max }
    expectRefusal("training: learning rate", activations) { $0.learningRate = .nan }
    expectRefusal("training: decay", activations) { $0.decayShare = -1 }
    expectRefusal("training: revival interval", activations) { $0.revivalInterval = 0 }
    expectRefusal("training: activations", activations.rows(0..<3)) { _ in }
    expectRefusal("training: activations", Matrix(rows: 50, columns: 4)) { _ in }
    var broken = activations
    broken[7, 2] = .nan
    let error = #expect(throws: InputError.self) {
      try SAETraining(settings: Self.settings(.topK), activations: broken, pool: pool)
    }
    #expect(error?.found == "nan at [7, 2]")
  }

  @Test func refusesCheckpointsOfOtherTrainings() throws {
    let training = try SAETraining(
      settings: Self.settings(.topK), activations: gaussianMatrix(100, 4, seed: 1), pool: pool)
    let bytes = try training.initialState(pool: pool).serialized()
    var other = Self.settings(.topK)
    other.seed += 1
    #expect(throws: InputError.self) { try TrainingState(serialized: bytes, named: "c", settings: other) }
    for count in [0, 7, 100, bytes.count - 1] {
      #expect(throws: InputError.self) {
        try TrainingState(serialized: Array(bytes.prefix(count)), named: "c", settings: training.settings)
      }
    }
    let wider = try SAETraining(
      settings: Self.settings(.topK), activations: gaussianMatrix(100, 5, seed: 1), pool: pool)
    #expect(throws: InputError.self) { try wider.require(training.initialState(pool: pool)) }
  }
}
