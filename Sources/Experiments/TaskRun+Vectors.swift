internal import Diagnostics
internal import Foundation
internal import Kernels
internal import Steering
internal import SweepRecords
internal import TensorFiles

/// From contrast pairs to steering vectors and their controls.
extension TaskRun {
  func extract(_ work: ExtractWork) throws -> TaskResult {
    let prompted = try executor.model(work.model, inputs: inputs)
    let contrast = try ContrastSet(json: try bytes(work.contrast), name: "contrast set")
    let pairs = try contrast.tokenized(
      work.from..<work.to, template: prompted.template, tokenizer: prompted.tokenizer)
    let extraction = Extraction(model: prompted.model, layers: work.layers, read: work.read)
    let activations = try extraction.activations(of: pairs) { advance(Double($0) / Double(pairs.count)) }
    var writer = SafetensorsWriter()
    for layer in work.layers {
      if let matrix = activations.positive[layer] { try writer.add("positive.\(layer)", matrix) }
      if let matrix = activations.negative[layer] { try writer.add("negative.\(layer)", matrix) }
    }
    return TaskResult(artifacts: [Artifact(name: "activations", bytes: writer.bytes())])
  }

  func vectors(_ work: VectorsWork) throws -> TaskResult {
    var writer = SafetensorsWriter()
    var rows: [TableRow] = []
    for (index, layer) in work.layers.enumerated() {
      let made = try vectors(work, layer: layer)
      for (name, vector) in made.vectors {
        try writer.add("\(name).\(layer)", vector)
        rows.append(
          TableRow(
            .steeringVector,
            [
              "behaviour": .text(work.behaviour), "layer": .integer(layer), "name": .text(name),
              "norm": Cell(norm(vector)), "pairs": Cell(made.pairs),
              "cosine_with_original": Cell(cosine(vector, made.vectors[0].vector)),
            ]))
      }
      guard advance(Double(index + 1) / Double(work.layers.count)) else { throw CancellationError() }
    }
    return TaskResult(artifacts: [Artifact(name: "vectors", bytes: writer.bytes())], rows: rows)
  }

  private func vectors(
    _ work: VectorsWork, layer: Int
  ) throws -> (vectors: [(name: String, vector: [Float])], pairs: Int?) {
    var vectors: [(name: String, vector: [Float])] = []
    var pairs: (positive: Matrix, negative: Matrix)?
    if let given = work.given {
      vectors.append(("original", try GivenVector.read(try bytes(given), name: "given vector", layer: layer)))
    } else {
      let positive = try stacked("positive.\(layer)", slices: work.slices)
      let negative = try stacked("negative.\(layer)", slices: work.slices)
      pairs = (positive, negative)
      vectors.append(("original", SteeringVectors.meanDifference(positive: positive, negative: negative)))
      vectors.append(("pca", SteeringVectors.principalComponent(positive: positive, negative: negative, pool: pool)))
    }
    let original = vectors[0].vector
    let length = norm(original)
    guard length > 0 else {
      throw TaskFault(.task, "the vector of \(work.behaviour) at layer \(layer) is zero: its pairs do not differ there")
    }
    // Streams are by layer and kind, so that another layer or control changes no other one.
    let stream = UInt64(layer) << 32
    if work.shuffledControl, let pairs {
      vectors.append(
        (
          "shuffled-0",
          SteeringVectors.shuffled(
            positive: pairs.positive, negative: pairs.negative, norm: length, seed: work.seed, stream: stream)
        ))
    }
    for control in 0..<work.randomControls {
      vectors.append(
        (
          "random-\(control)",
          SteeringVectors.random(
            dimension: original.count, norm: length, seed: work.seed, stream: stream + 1 + UInt64(control))
        ))
    }
    return (vectors, pairs?.positive.rows)
  }

  private func cosine(_ a: [Float], _ b: [Float]) -> Double {
    let length = (dotInDouble(a, a) * dotInDouble(b, b)).squareRoot()
    return length > 0 ? dotInDouble(a, b) / length : .nan
  }
}
