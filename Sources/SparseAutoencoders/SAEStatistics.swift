package import Kernels

/// How well an SAE explains some activations, and how many of its features it uses for them.
package struct SAEStatistics: Sendable, Hashable {
  package var tokens: Int
  /// 1 - (sum of squared errors) / (sum of squared distances from the mean activation); not a number where all are equal.
  package var explainedVariance: Double
  /// The mean number of active features.
  package var l0: Double
  /// The share of features that no activation used.
  package var deadShare: Double

  package init(tokens: Int, explainedVariance: Double, l0: Double, deadShare: Double) {
    self.tokens = tokens
    self.explainedVariance = explainedVariance
    self.l0 = l0
    self.deadShare = deadShare
  }

  /// The statistics of codes and the reconstructions made of them.
  init(activations: Matrix, codes: SparseRows, reconstructions: Matrix) {
    precondition(activations.rows == codes.rows && activations.rows == reconstructions.rows, "one code a token")
    var error = 0.0
    for row in 0..<activations.rows {
      var difference = activations.row(row)
      add(-1, reconstructions.row(row), to: &difference)
      error += dotInDouble(difference, difference)
    }
    var used = [Bool](repeating: false, count: codes.columns)
    for index in codes.indices { used[Int(index)] = true }
    tokens = activations.rows
    explainedVariance = 1 - error / Self.variance(of: activations)
    l0 = Double(codes.indices.count) / Double(activations.rows)
    deadShare = Double(used.count { !$0 }) / Double(codes.columns)
  }

  /// The sum of squared distances from the mean.
  static func variance(of activations: Matrix) -> Double {
    let mean = columnMeans(activations).map(Float.init)
    var variance = 0.0
    for row in 0..<activations.rows {
      var difference = activations.row(row)
      add(-1, mean, to: &difference)
      variance += dotInDouble(difference, difference)
    }
    return variance
  }
}

extension SparseAutoencoder {
  /// Explained variance, L0 and the share of dead features on activations `[tokens, d]`, under the file's own convention.
  /// - Precondition: the activations are of the SAE's dimension.
  package func statistics(on activations: Matrix, pool: ThreadPool) -> SAEStatistics {
    let codes = encode(activations, pool: pool)
    let scales = outputScales(of: activations)
    let reconstructions = decode(codes, addingDecoderBias: true, scales: scales, pool: pool)
    return SAEStatistics(activations: activations, codes: codes, reconstructions: reconstructions)
  }
}
