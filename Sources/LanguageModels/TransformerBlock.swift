internal import Diagnostics
internal import Kernels

/// The weights of one block.
struct TransformerBlock: Sendable {
  let attentionNorm: [Float]
  let query: LinearLayer
  let key: LinearLayer
  let value: LinearLayer
  let output: LinearLayer
  /// Of the attention's output; nil where the architecture has none.
  let attentionOutputNorm: [Float]?
  let feedForwardNorm: [Float]
  let gate: LinearLayer
  let up: LinearLayer
  let down: LinearLayer
  let feedForwardOutputNorm: [Float]?

  init(_ index: Int, _ source: WeightSource, pool: ThreadPool) throws(InputError) {
    let architecture = source.architecture
    func layer(_ weight: BlockWeight, bias: BlockWeight? = nil) throws(InputError) -> LinearLayer {
      var values: [Float]?
      if let bias { values = try source.vector(.block(index, bias)) }
      return LinearLayer(weight: try source.packed(.block(index, weight), pool: pool), bias: values)
    }
    let isNormedTwice = architecture.normPlacement == .beforeAndAfter
    let projectionBias = architecture.projectionBias
    attentionNorm = try source.vector(.block(index, .attentionNorm))
    query = try layer(.query, bias: projectionBias ? .queryBias : nil)
    key = try layer(.key, bias: projectionBias ? .keyBias : nil)
    value = try layer(.value, bias: projectionBias ? .valueBias : nil)
    output = try layer(.output, bias: architecture.outputBias ? .outputBias : nil)
    attentionOutputNorm = isNormedTwice ? try source.vector(.block(index, .attentionOutputNorm)) : nil
    feedForwardNorm = try source.vector(.block(index, .feedForwardNorm))
    gate = try layer(.gate)
    up = try layer(.up)
    down = try layer(.down)
    feedForwardOutputNorm = isNormedTwice ? try source.vector(.block(index, .feedForwardOutputNorm)) : nil
  }
}

/// `y = x W^T + b`.
struct LinearLayer: Sendable {
  let weight: PackedMatrix
  let bias: [Float]?

  /// `[rows, inputs]` to `[rows, outputs]`.
  func apply(_ x: Matrix, pool: ThreadPool) -> Matrix {
    var y = multiply(x, weight, pool: pool)
    if let bias { for row in 0..<y.rows { add(1, bias, toRow: row, of: &y) } }
    return y
  }
}
