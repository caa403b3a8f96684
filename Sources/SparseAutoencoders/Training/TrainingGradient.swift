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
    // (x - b_dec) E^T + b_enc = x E^T + (b_enc - E b_dec): no centred copy of the batch.
    let decoderBias = Matrix(rows: 1, columns: batch.columns, elements: parameters.decoderBias)
    let inner = multiply(decoderBias, transposed: parameters.encoder, pool: pool).elements
    var pre = multiply(batch, transposed: parameters.encoder, pool: pool)
    add(1, zip(parameters.encoderBias, inner).map { $0 - $1 }, toRowsOf: &pre, pool: pool)
    codes =
      switch kind {
      case .topK: SparseRows(largestPerRow: sparsity, of: pre, pool: pool)
      case .batchTopK: SparseRows(largest: sparsity * batch.rows, of: pre, pool: pool)
      }
    var residuals = multiply(codes, parameters.decoder, pool: pool)
    add(1, parameters.decoderBias, toRowsOf: &residuals, pool: pool)
    add(-1, batch, to: &residuals, pool: pool)
    self.residuals = residuals

    // d loss / d reconstruction = 2 residual / n; the factor goes into the sparse side. Selection and ReLU pass the gradient to
    // the active entries alone.
    let factor = 2 / Float(batch.rows)
    let byCodes = sparseProject(residuals, decoder: parameters.decoder, at: codes, pool: pool).scaled(by: factor)
    let byEncoderBias = byCodes.columnSums()
    // The encoder sees x - b_dec: the part of b_dec is one row for all tokens.
    var byEncoder = multiply(byCodes.transposed(), batch, pool: pool)
    for feature in byEncoderBias.indices where byEncoderBias[feature] != 0 {
      add(-byEncoderBias[feature], parameters.decoderBias, toRow: feature, of: &byEncoder)
    }
    gradient = TrainingState.Parameters(
      encoder: byEncoder, decoder: multiply(codes.transposed().scaled(by: factor), residuals, pool: pool),
      encoderBias: byEncoderBias,
      decoderBias: Self.byDecoderBias(residuals, factor, byEncoderBias, parameters.encoder, pool: pool))
  }

  /// b_dec acts twice: on the output, and with the opposite sign on the input.
  private static func byDecoderBias(
    _ residuals: Matrix, _ factor: Float, _ byEncoderBias: [Float], _ encoder: Matrix, pool: ThreadPool
  ) -> [Float] {
    let ones = Matrix(rows: 1, columns: residuals.rows, repeating: factor)
    var sum = multiply(ones, residuals, pool: pool).elements
    let bias = Matrix(rows: 1, columns: byEncoderBias.count, elements: byEncoderBias)
    add(-1, multiply(bias, encoder, pool: pool).elements, to: &sum)
    return sum
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

extension SparseRows {
  fileprivate func scaled(by factor: Float) -> SparseRows { replacing(values: values.map { $0 * factor }) }
}
