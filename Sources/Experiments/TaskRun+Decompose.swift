internal import Decomposition
internal import Diagnostics
internal import Foundation
internal import Kernels
internal import LanguageModels
internal import SparseAutoencoders
internal import Steering
internal import SweepRecords
internal import TensorFiles
internal import Tokenization

/// Taking vectors apart through one SAE.
extension TaskRun {
  /// How many of a variant's features get a row, by falling magnitude.
  static let featureRows = 20

  func decompose(_ work: DecomposeWork) throws -> TaskResult {
    let layer = work.sae.layer
    let norms = try norms(work.statistics, layer: layer)
    let autoencoder = try self.autoencoder(work)
    let subjects = try work.vectors.map { reference in
      DecompositionRequest.Subject(
        behaviour: reference.behaviour, vector: try vector(reference.tensor, in: reference.source),
        pairs: try pairs(reference, layer: layer))
    }
    // The SAE by itself has a task of its own: its row and its zero vector.
    let isInspection = subjects.isEmpty
    var writer = SafetensorsWriter()
    var rows = isInspection ? try descriptions(of: autoencoder, work) : []
    var features: [(row: Int, feature: Int)] = []
    let request = DecompositionRequest(
      subjects: subjects, methods: try work.methods.map { try DecompositionMethod.named($0) },
      sparsities: work.sparsities, coefficients: work.coefficients,
      activations: ActivationReference(norms: norms.sorted, mean: norms.mean), seed: work.seed,
      wantsCoefficientAxis: true)
    let decomposer = try Decomposer(autoencoder, request, memory: executor.decompositions, pool: pool)
    let extras = try decomposer.run(checkpoint: { fraction in
      guard advance(0.9 * fraction) else { throw CancellationError() }
    }) { variant in
      rows.append(variant.row(layer: layer, sae: work.sae.name))
      guard variant.isStored else { return }
      try writer.add(variant.tensor, variant.reconstruction)
      for (rank, feature) in variant.features(limit: Self.featureRows).enumerated() {
        features.append((rows.count, feature.index))
        rows.append(variant.row(of: feature, rank: rank, layer: layer, sae: work.sae.name))
      }
    }
    for (name, values) in extras.tensors where (name == "zero-vector") == isInspection { try writer.add(name, values) }
    for (behaviour, axis) in extras.coefficientAxes {
      func tensor(_ part: String) -> String { CoefficientAxis.tensor(behaviour, part) }
      try writer.add(tensor("starts"), axis.starts)
      try writer.add(tensor("l0"), shape: [axis.l0.count], integers: axis.l0)
      try writer.add(tensor("zero-overlap"), axis.zeroOverlap)
    }
    try name(features, in: &rows, through: autoencoder, model: work.model)
    let encoded = isInspection ? 1 : subjects.count * max(1, work.coefficients.count)
    return TaskResult(
      artifacts: [Artifact(name: "reconstructions", bytes: writer.bytes())], rows: rows,
      effort: TaskEffort(features: autoencoder.width * encoded))
  }

  /// The layer's activations of a harvest slice [tokens, d], outliers left out.
  func sample(of work: DecomposeWork) throws -> Matrix {
    guard let sample = work.sample else {
      throw TaskFault(.task, "an SAE is measured on activations, but none are named")
    }
    let activations = try stacked("layer.\(work.sae.layer)", slices: [sample])
    let kept = ActivationNorms.kept(rowNorms(activations, pool: pool))
    return kept.count == activations.rows ? activations : activations.gathering(rows: kept)
  }

  private func pairs(_ reference: VectorReference, layer: Int) throws -> Decomposition.PairActivations? {
    guard !reference.pairs.isEmpty else { return nil }
    return Decomposition.PairActivations(
      positive: try side("positive", reference.pairs, layer: layer),
      negative: try side("negative", reference.pairs, layer: layer))
  }

  /// One side's activations: its tokens, where the vector was read as a mean over them.
  private func side(
    _ name: String, _ slices: [InputReference], layer: Int
  ) throws -> Decomposition.PairActivations.Side {
    guard try slices.allSatisfy({ try tensors($0).contains("\(name)-counts") }) else {
      return .init(try stacked("\(name).\(layer)", slices: slices))
    }
    let counts = try slices.flatMap { try tensors($0).tensor(named: "\(name)-counts").integers() }
    let rows = try stacked("\(name)-tokens.\(layer)", slices: slices)
    guard counts.allSatisfy({ $0 > 0 }), counts.reduce(0, +) == rows.rows else {
      throw InputError("\(name)-counts", expected: "counts that add up to \(rows.rows) tokens", found: "others")
    }
    return .init(rows, counts: counts)
  }

  /// Adds to feature rows the tokens that the feature's decoder row promotes most, through final norm and unembedding.
  private func name(
    _ features: [(row: Int, feature: Int)], in rows: inout [TableRow], through autoencoder: SparseAutoencoder,
    model reference: ModelReference
  ) throws {
    let indices = Array(Set(features.map(\.feature))).sorted()
    guard !indices.isEmpty else { return }
    let prompted = try executor.model(reference, inputs: inputs)
    var names: [Int: String] = [:]
    for start in stride(from: 0, to: indices.count, by: 64) {
      let chosen = Array(indices[start..<min(start + 64, indices.count)])
      let logits = prompted.model.logits(autoencoder.decoderRows(chosen))
      for (row, feature) in chosen.enumerated() {
        let tokens = topK(logits.row(row), 5).map { prompted.tokenizer.text(of: $0) ?? "" }
        names[feature] = String(decoding: try JSONEncoder().encode(tokens), as: UTF8.self)
      }
    }
    for (row, feature) in features { rows[row].cells["promoted_tokens"] = Cell(names[feature]) }
  }
}
