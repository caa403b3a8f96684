internal import Diagnostics
internal import Foundation
internal import Kernels
internal import Steering
internal import SweepRecords
internal import TensorFiles

/// From contrast pairs to steering vectors and their controls.
extension TaskRun {
  func extract(_ work: ExtractWork) throws -> TaskResult {
    let prompted = try model(work.model, layers: work.layers)
    let contrast = try ContrastSet(json: try bytes(work.contrast), name: "contrast set")
    let pairs = try contrast.tokenized(
      work.from..<work.to, template: prompted.template, tokenizer: prompted.tokenizer)
    let extraction = Extraction(model: prompted.model, layers: work.layers, read: work.read, keepsTokens: true)
    let (activations, streams) = try extraction.activations(of: pairs, from: executor.streams(of: work)) {
      advance(Double($0) / Double(pairs.count))
    }
    executor.keep(streams, of: work)
    var writer = SafetensorsWriter()
    for layer in work.layers {
      if let matrix = activations.positive[layer] { try writer.add("positive.\(layer)", matrix) }
      if let matrix = activations.negative[layer] { try writer.add("negative.\(layer)", matrix) }
      if let matrix = activations.positiveTokens[layer] { try writer.add("positive-tokens.\(layer)", matrix) }
      if let matrix = activations.negativeTokens[layer] { try writer.add("negative-tokens.\(layer)", matrix) }
    }
    if work.read == .answerMean {
      try writer.add("positive-counts", shape: [pairs.count], integers: activations.positiveCounts)
      try writer.add("negative-counts", shape: [pairs.count], integers: activations.negativeCounts)
    }
    let tokens = pairs.reduce(0) { $0 + $1.prompt.count + $1.positive.count + $1.negative.count }
    return TaskResult(
      artifacts: [Artifact(name: "activations", bytes: writer.bytes())], effort: TaskEffort(tokens: tokens))
  }

  func vectors(_ work: VectorsWork) throws -> TaskResult {
    var writer = SafetensorsWriter()
    var rows: [TableRow] = []
    for (index, layer) in work.layers.enumerated() {
      let (original, pairs) = try original(work, layer: layer)
      let made =
        try work.controls.map { try controls($0, of: original, pairs: pairs, layer: layer) }
        ?? [("original", original)] + principalComponent(pairs)
      for (name, vector) in made {
        try writer.add("\(name).\(layer)", vector)
        rows.append(
          TableRow(
            .steeringVector,
            [
              "behaviour": .text(work.behaviour), "layer": .integer(layer), "name": .text(name),
              "norm": Cell(norm(vector)), "pairs": Cell(pairs?.positive.rows),
              "cosine_with_original": Cell(cosine(vector, original)),
            ]))
      }
      guard advance(Double(index + 1) / Double(work.layers.count)) else { throw CancellationError() }
    }
    let name = work.controls == nil ? "vectors" : "controls"
    return TaskResult(artifacts: [Artifact(name: name, bytes: writer.bytes())], rows: rows)
  }

  private typealias Pairs = (positive: Matrix, negative: Matrix)

  /// The vector that steers: the mean difference of the pairs, or the one that was given.
  private func original(_ work: VectorsWork, layer: Int) throws -> (vector: [Float], pairs: Pairs?) {
    var pairs: Pairs?
    let vector: [Float]
    if let given = work.given {
      vector = try GivenVector.read(try bytes(given), name: "given vector", layer: layer)
    } else {
      let (positive, negative) = (
        try stacked("positive.\(layer)", slices: work.slices), try stacked("negative.\(layer)", slices: work.slices)
      )
      pairs = (positive, negative)
      vector = SteeringVectors.meanDifference(positive: positive, negative: negative)
    }
    guard norm(vector) > 0 else {
      throw TaskFault(.task, "the vector of \(work.behaviour) at layer \(layer) is zero: its pairs do not differ there")
    }
    return (vector, pairs)
  }

  private func principalComponent(_ pairs: Pairs?) -> [(String, [Float])] {
    guard let pairs else { return [] }
    return [
      ("pca", SteeringVectors.principalComponent(positive: pairs.positive, negative: pairs.negative, pool: pool))
    ]
  }

  /// Vectors that should not steer. Streams are by layer and kind, so that another layer or control changes no other one.
  private func controls(
    _ controls: VectorsWork.Controls, of original: [Float], pairs: Pairs?, layer: Int
  ) throws -> [(String, [Float])] {
    var vectors: [(String, [Float])] = []
    let (length, stream) = (norm(original), UInt64(layer) << 32)
    if controls.shuffled, let pairs {
      let shuffled = SteeringVectors.shuffled(
        positive: pairs.positive, negative: pairs.negative, norm: length, seed: controls.seed, stream: stream)
      vectors.append(("shuffled-0", shuffled))
    }
    for control in 0..<controls.random {
      let random = SteeringVectors.random(
        dimension: original.count, norm: length, seed: controls.seed, stream: stream + 1 + UInt64(control))
      vectors.append(("random-\(control)", random))
    }
    return vectors
  }

  private func cosine(_ a: [Float], _ b: [Float]) -> Double {
    let length = (dotInDouble(a, a) * dotInDouble(b, b)).squareRoot()
    return length > 0 ? dotInDouble(a, b) / length : .nan
  }
}
