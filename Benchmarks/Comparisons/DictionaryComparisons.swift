internal import Decomposition
internal import Diagnostics
internal import Foundation
internal import Kernels
internal import SparseAutoencoders
internal import SweepRecords
internal import TensorFiles

/// Matrix products with weights that were packed once, as a model's are, or that are read as they lie in an SAE's file.
struct ProductComparison: Comparison {
  private enum Weights {
    case packed(PackedMatrix)
    case rowMajor(Matrix)
  }
  private var factors: [String: (x: Matrix, weights: Weights)] = [:]
  private var results: [String: Matrix] = [:]
  private let pool: ThreadPool

  init(_ inputs: Inputs) throws {
    pool = inputs.pool
    let file = try inputs.file("gemm")
    for name in file.tensorNames where name.hasSuffix(".x") {
      let shape = String(name.dropLast(2))
      let (x, weights) = (try inputs.matrix(name, in: file), try inputs.matrix("\(shape).w", in: file))
      if shape.hasSuffix("row-major") {
        factors[shape] = (x, .rowMajor(weights))
      } else {
        factors[shape] = (x, .packed(PackedMatrix(weights, pool: pool)))
        results[shape] = Matrix(rows: x.rows, columns: weights.rows)
      }
    }
  }

  mutating func result() throws -> SafetensorsWriter {
    var writer = SafetensorsWriter()
    for shape in factors.keys.sorted() {
      multiply(shape)
      guard let y = results[shape] else { continue }
      try writer.add(shape, shape: [y.rows, y.columns], floats: y.elements)
    }
    return writer
  }

  mutating func run(_ part: String) throws { multiply(part) }

  private mutating func multiply(_ shape: String) {
    guard let (x, weights) = factors[shape] else { return }
    switch weights {
    case .rowMajor(let weights): results[shape] = Kernels.multiply(x, weights, pool: pool)
    case .packed(let weights):
      guard var y = results.removeValue(forKey: shape) else { return }
      Kernels.multiply(x, weights, into: &y, pool: pool)
      results[shape] = y
    }
  }
}

/// Activations through an SAE's encoder.
struct EncodeComparison: Comparison {
  private let autoencoder: SparseAutoencoder
  private let vectors: Matrix
  private let pool: ThreadPool

  init(_ inputs: Inputs) throws {
    pool = inputs.pool
    let file = try inputs.file("vectors")
    vectors = try inputs.matrix("vectors", in: file)
    autoencoder = try SparseAutoencoder(contentsOf: "\(inputs.folder)/sae")
  }

  mutating func result() throws -> SafetensorsWriter {
    var writer = SafetensorsWriter()
    for count in [1, 16, 64] {
      let codes = autoencoder.encode(vectors.rows(0..<count), pool: pool).dense()
      try writer.add("\(count)", shape: [codes.rows, codes.columns], floats: codes.elements)
    }
    return writer
  }

  mutating func run(_ part: String) throws {
    guard let count = Int(part) else { return }
    _ = autoencoder.encode(vectors.rows(0..<count), pool: pool)
  }
}

/// One vector's codes at 1 or 64 coefficients, with reconstructions and metrics.
struct LadderComparison: Comparison {
  private let autoencoder: SparseAutoencoder
  private let vector: [Float]
  private let pool: ThreadPool

  init(_ inputs: Inputs) throws {
    pool = inputs.pool
    vector = try inputs.matrix("vectors", in: try inputs.file("vectors")).row(0)
    autoencoder = try SparseAutoencoder(contentsOf: "\(inputs.folder)/sae")
    _ = autoencoder.decoderNorms(pool: pool)
  }

  /// As many coefficients from -4 to 4 without 0; with 1 among them where they are 64.
  private static func coefficients(_ count: Int) -> [Double] {
    guard count > 1 else { return [1] }
    return (1...count / 2).flatMap { index -> [Double] in
      let size = 8 * Double(index) / Double(count)
      return [-size, size]
    }
  }

  mutating func result() throws -> SafetensorsWriter {
    var writer = SafetensorsWriter()
    var codes = Matrix(rows: 0, columns: autoencoder.width)
    var coefficients: [Float] = []
    try decompose(64) { variant in
      coefficients.append(Float(variant.coefficient))
      codes.append(rows: Matrix(rows: 1, columns: autoencoder.width, elements: variant.code.dense))
    }
    try writer.add("coefficients", shape: [coefficients.count], floats: coefficients)
    try writer.add("codes", shape: [codes.rows, codes.columns], floats: codes.elements)
    return writer
  }

  mutating func run(_ part: String) throws { try decompose(Int(part) ?? 1) { _ in } }

  private func decompose(_ count: Int, _ body: (DecompositionVariant) throws -> Void) throws {
    let request = DecompositionRequest(
      subjects: [.init(behaviour: "vector", vector: vector)], methods: [.encode], sparsities: [.all],
      coefficients: Self.coefficients(count), inputConventions: [autoencoder.convention])
    _ = try Decomposer(autoencoder, request, pool: pool).run { variant in
      if variant.convention == "without-bias" { try body(variant) }
    }
  }
}

/// Signed gradient pursuits side by side.
struct PursuitComparison: Comparison {
  private let autoencoder: SparseAutoencoder
  private let vectors: Matrix
  private let atoms: Int
  private let pool: ThreadPool

  init(_ inputs: Inputs) throws {
    pool = inputs.pool
    let file = try inputs.file("pursuit")
    vectors = try inputs.matrix("vectors", in: file)
    atoms = try inputs.number("atoms", in: file)
    let decoder = try inputs.matrix("decoder", in: file)
    autoencoder = try SparseAutoencoder(
      architecture: .standard, convention: .kept, metadata: .init(source: "pursuit"), encoder: decoder.transposed(),
      decoder: decoder, encoderBias: Array(repeating: 0, count: decoder.rows),
      decoderBias: Array(repeating: 0, count: decoder.columns))
  }

  mutating func result() throws -> SafetensorsWriter {
    var writer = SafetensorsWriter()
    var reconstructions = Matrix(rows: 0, columns: vectors.columns)
    try decompose(vectors.rows) { variant in
      reconstructions.append(rows: Matrix(rows: 1, columns: vectors.columns, elements: variant.reconstruction))
    }
    try writer.add(
      "reconstructions", shape: [reconstructions.rows, reconstructions.columns], floats: reconstructions.elements)
    return writer
  }

  /// All vectors, or so many of them.
  mutating func run(_ part: String) throws { try decompose(Int(part) ?? vectors.rows) { _ in } }

  private func decompose(_ count: Int, _ body: (DecompositionVariant) throws -> Void) throws {
    let subjects = (0..<count).map {
      DecompositionRequest.Subject(behaviour: "vector-\($0)", vector: vectors.row($0))
    }
    let request = DecompositionRequest(
      subjects: subjects, methods: [.gradientPursuitSigned], sparsities: [.atoms(atoms)])
    _ = try Decomposer(autoencoder, request, pool: pool).run(each: body)
  }
}

/// Steps of training on one batch, from one state.
struct TrainingComparison: Comparison {
  private let training: SAETraining
  private var state: TrainingState
  private let pool: ThreadPool
  private let steps: Int

  init(_ inputs: Inputs) throws {
    pool = inputs.pool
    let file = try inputs.file("training")
    steps = try inputs.number("steps", in: file)
    var settings = SAETrainingSettings(
      kind: .topK, width: try inputs.number("width", in: file), sparsity: try inputs.number("sparsity", in: file),
      steps: 1 << 20, batch: try inputs.number("batch", in: file), learningRate: 1e-3, seed: 7)
    settings.warmUpShare = 0
    settings.revivalInterval = 1 << 20
    settings.heldOutShare = 1e-3
    training = try SAETraining(
      settings: settings, activations: try inputs.matrix("activations", in: file), pool: pool)
    state = training.initialState(pool: pool)
    let start = try state.serialized()
    try Data(start).write(to: URL(fileURLWithPath: "\(inputs.folder)/training.state.safetensors"))
  }

  mutating func result() throws -> SafetensorsWriter {
    training.train(&state, until: steps, pool: pool)
    let reached = try SafetensorsFile(bytes: try state.serialized(), name: "state")
    var writer = SafetensorsWriter()
    for name in ["parameter.encoder", "parameter.decoder", "parameter.encoder_bias", "parameter.decoder_bias"] {
      try writer.add(name, copyOf: try reached.tensor(named: name))
    }
    return writer
  }

  mutating func run(_ part: String) throws {
    training.train(&state, until: state.step + (Int(part) ?? 1), pool: pool)
  }
}
