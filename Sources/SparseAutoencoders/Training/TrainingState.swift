package import Diagnostics
internal import Foundation
internal import Kernels
internal import TensorFiles

/// Everything a training has come to after some steps: from here it goes on bit for bit, wherever it was stopped.
package struct TrainingState: Sendable, Equatable {
  /// What is trained, or one of Adam's moments of it.
  struct Parameters: Sendable, Equatable {
    /// Encoder directions as rows, `[F, d]`: W_enc transposed.
    var encoder: Matrix
    /// W_dec, `[F, d]`, rows of unit norm.
    var decoder: Matrix
    /// `[F]`.
    var encoderBias: [Float]
    /// `[d]`; subtracted from the input and added to the output.
    var decoderBias: [Float]

    static func zeros(width: Int, dimension: Int) -> Parameters {
      Parameters(
        encoder: Matrix(rows: width, columns: dimension), decoder: Matrix(rows: width, columns: dimension),
        encoderBias: Array(repeating: 0, count: width), decoderBias: Array(repeating: 0, count: dimension))
    }
  }
  /// Steps done.
  package internal(set) var step: Int
  let settings: SAETrainingSettings
  var parameters: Parameters
  var firstMoments: Parameters
  var secondMoments: Parameters
  /// Steps since each feature was last active, `[F]`.
  var idleSteps: [Int]

  /// The state before the first step: random unit decoder rows, the encoder their transpose, b_dec as given.
  init(settings: SAETrainingSettings, dimension: Int, decoderBias: [Float], pool: ThreadPool) {
    self.settings = settings
    let decoder = randomUnitRows(settings.width, dimension, seed: settings.seed, pool: pool)
    parameters = Parameters(
      encoder: decoder, decoder: decoder, encoderBias: Array(repeating: 0, count: settings.width),
      decoderBias: decoderBias)
    firstMoments = .zeros(width: settings.width, dimension: dimension)
    secondMoments = firstMoments
    idleSteps = Array(repeating: 0, count: settings.width)
    step = 0
  }

  /// One step of Adam along a gradient. Written out: through key paths the matrices would be copied.
  mutating func descend(_ gradient: Parameters, _ adam: Adam, pool: ThreadPool) {
    adamStep(
      adam, step: step + 1, parameters: &parameters.encoder, gradient: gradient.encoder,
      first: &firstMoments.encoder, second: &secondMoments.encoder, pool: pool)
    adamStep(
      adam, step: step + 1, parameters: &parameters.decoder, gradient: gradient.decoder,
      first: &firstMoments.decoder, second: &secondMoments.decoder, pool: pool)
    adamStep(
      adam, step: step + 1, parameters: &parameters.encoderBias, gradient: gradient.encoderBias,
      first: &firstMoments.encoderBias, second: &secondMoments.encoderBias, pool: pool)
    adamStep(
      adam, step: step + 1, parameters: &parameters.decoderBias, gradient: gradient.decoderBias,
      first: &firstMoments.decoderBias, second: &secondMoments.decoderBias, pool: pool)
  }
}

/// Independent directions, uniform on the sphere, `[rows, dimension]`: row i draws from stream i of the seed.
func randomUnitRows(_ rows: Int, _ dimension: Int, seed: UInt64, pool: ThreadPool) -> Matrix {
  var directions = Matrix(rows: rows, columns: dimension)
  for row in 0..<rows {
    var generator = CounterGenerator(seed: seed, stream: UInt64(row))
    directions.setRow(row, (0..<dimension).map { _ in Float(generator.gaussian()) })
  }
  normaliseRows(&directions, pool: pool)
  return directions
}

// The checkpoint: a safetensors file with the settings in its metadata.
extension TrainingState {
  private static let settingsKey = "training"

  /// The state as a safetensors file; `init(serialized:)` gives it back bit for bit.
  package func serialized() throws(InputError) -> [UInt8] {
    var writer = SafetensorsWriter(metadata: [Self.settingsKey: try Self.text(settings)])
    let (width, dimension) = (parameters.decoder.rows, parameters.decoder.columns)
    for (name, part) in [("parameter", parameters), ("first", firstMoments), ("second", secondMoments)] {
      try writer.add("\(name).encoder", shape: [width, dimension], floats: part.encoder.elements)
      try writer.add("\(name).decoder", shape: [width, dimension], floats: part.decoder.elements)
      try writer.add("\(name).encoder_bias", shape: [width], floats: part.encoderBias)
      try writer.add("\(name).decoder_bias", shape: [dimension], floats: part.decoderBias)
    }
    try writer.add("idle_steps", shape: [width], integers: idleSteps)
    try writer.add("step", shape: [1], integers: [step])
    return writer.bytes()
  }

  /// Reads a checkpoint of a training with these settings.
  package init(
    serialized bytes: [UInt8], named name: String, settings: SAETrainingSettings
  ) throws(InputError) {
    let file = try SafetensorsFile(bytes: bytes, name: name)
    guard let text = file.metadata[Self.settingsKey], text == (try Self.text(settings)) else {
      throw InputError(
        "\(name): __metadata__.\(Self.settingsKey)", expected: "a checkpoint of this training",
        found: file.metadata[Self.settingsKey] == nil ? "a file that is none" : "one with other settings",
        remedy: "start the training again from step 0")
    }
    let width = settings.width
    let bias = try file.tensor(named: "parameter.decoder_bias")
    try bias.require(shape: [nil])
    func part(_ name: String) throws(InputError) -> Parameters {
      func floats(_ key: String, _ shape: [Int]) throws(InputError) -> [Float] {
        let tensor = try file.tensor(named: "\(name).\(key)")
        try tensor.require(shape: shape)
        return try tensor.floats(requireFinite: true)
      }
      let dimension = bias.shape[0]
      return Parameters(
        encoder: Matrix(rows: width, columns: dimension, elements: try floats("encoder", [width, dimension])),
        decoder: Matrix(rows: width, columns: dimension, elements: try floats("decoder", [width, dimension])),
        encoderBias: try floats("encoder_bias", [width]), decoderBias: try floats("decoder_bias", [dimension]))
    }
    func integers(_ key: String, count: Int) throws(InputError) -> [Int] {
      let tensor = try file.tensor(named: key)
      try tensor.require(shape: [count])
      let values = try tensor.integers()
      guard values.allSatisfy({ $0 >= 0 && $0 <= settings.steps }) else {
        throw InputError(tensor.subject, expected: "numbers of steps up to \(settings.steps)", found: "others")
      }
      return values
    }
    self.settings = settings
    parameters = try part("parameter")
    firstMoments = try part("first")
    secondMoments = try part("second")
    idleSteps = try integers("idle_steps", count: width)
    step = try integers("step", count: 1)[0]
  }

  private static func text(_ settings: SAETrainingSettings) throws(InputError) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    do { return String(decoding: try encoder.encode(settings), as: UTF8.self) } catch {
      throw InputError("training", expected: "settings of finite numbers", found: "others")
    }
  }
}
