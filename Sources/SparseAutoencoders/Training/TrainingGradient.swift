internal import Kernels

/// One forward and backward pass over a batch: the loss is the mean over tokens of the squared error.
struct TrainingGradient {
  /// The codes of the batch, `[n, F]`.
  let codes: SparseRows
  /// Reconstruction minus input, `[n, d]`.
  let residuals: Matrix
  /// The gradient of the loss by everything that is trained.
  var gradient: TrainingState.Parameters

  /// - Parameter batch: scaled activations `[n, d]`.
  init(
    of parameters: TrainingState.Parameters, kind: SAETrainingSettings.Kind, sparsity: Int, on batch: Matrix,
    pool: ThreadPool
  ) {
    var centred = batch
    add(1, parameters.decoderBias.map { -$0 }, toRowsOf: &centred, pool: pool)
    var pre = multiply(centred, transposed: parameters.encoder, pool: pool)
    add(1, parameters.encoderBias, toRowsOf: &pre, pool: pool)
    codes =
      switch kind {
      case .topK: SparseRows(largestPerRow: sparsity, of: pre, pool: pool)
      case .batchTopK: SparseRows(largest: sparsity * batch.rows, of: pre, pool: pool)
      }
    var residuals = multiply(codes, parameters.decoder, pool: pool)
    add(1, parameters.decoderBias, toRowsOf: &residuals, pool: pool)
    add(-1, batch, to: &residuals, pool: pool)
    self.residuals = residuals

    // d loss / d reconstruction = 2 residual / n. Selection and ReLU pass the gradient to the active entries alone.
    var outer = residuals
    scale(&outer, by: 2 / Float(batch.rows), pool: pool)
    let byCodes = sparseProject(outer, decoder: parameters.decoder, at: codes, pool: pool)
    let encoderBias = byCodes.columnSums()
    // b_dec acts twice: on the output, and with the opposite sign on the input.
    var decoderBias = [Float](repeating: 0, count: batch.columns)
    for row in 0..<outer.rows { add(1, outer.row(row), to: &decoderBias) }
    let inner = multiply(
      Matrix(rows: 1, columns: encoderBias.count, elements: encoderBias), parameters.encoder, pool: pool)
    add(-1, inner.elements, to: &decoderBias)
    gradient = TrainingState.Parameters(
      encoder: multiply(byCodes.transposed(), centred, pool: pool),
      decoder: multiply(codes.transposed(), outer, pool: pool), encoderBias: encoderBias, decoderBias: decoderBias)
  }

  /// The mean over tokens of the squared error.
  var loss: Double {
    residuals.rows == 0 ? 0 : dotInDouble(residuals.elements, residuals.elements) / Double(residuals.rows)
  }
}

/// S B for a matrix in memory.
func multiply(_ s: SparseRows, _ b: Matrix, pool: ThreadPool) -> Matrix {
  multiply(s, rowMajor: b.elements.span.bytes, type: .float32, columns: b.columns, pool: pool)
}
