package import Kernels
internal import SparseAutoencoders

/// The activations that a vector was made of, `[pairs, d]` each.
package struct PairActivations: Sendable {
  package var positive: Matrix
  package var negative: Matrix

  package init(positive: Matrix, negative: Matrix) {
    self.positive = positive
    self.negative = negative
  }
}

/// The encoder on the activations of contrast pairs, in its file's own convention.
struct PairDifference: Sendable {
  /// z = mean f(h+) - mean f(h-), and how it decodes: with a normalisation of each sample to the difference of the mean
  /// reconstructions.
  let whole: WholeCode
  /// Features that are active on at least `firingShare` of either side's activations.
  let firing: [Bool]
  /// mean h+ - mean h-, `[d]`.
  let meanDifference: [Double]

  /// A feature that is active on a smaller share of the activations is near silent.
  static let firingShare = 0.01

  /// Complexity: O(pairs d F); memory: O(F) besides the activations.
  init(
    _ pairs: PairActivations, of autoencoder: SparseAutoencoder, pool: ThreadPool, checkpoint: (Double) throws -> Void
  ) rethrows {
    let positive = try Side(pairs.positive, autoencoder, pool) { try checkpoint($0 / 2) }
    let negative = try Side(pairs.negative, autoencoder, pool) { try checkpoint(0.5 + $0 / 2) }
    let code = SignedCode(dense: zip(positive.means, negative.means).map { Float($0 - $1) })
    if autoencoder.normalizesEachSample {
      whole = WholeCode(
        code: code,
        decoded: code.indices.map { Float(positive.scaledMeans[Int($0)] - negative.scaledMeans[Int($0)]) },
        fixedBias: Float(positive.meanFactor - negative.meanFactor),
        scale: .init(factor: 1, shift: Float(positive.meanShift - negative.meanShift)))
    } else {
      whole = WholeCode(code: code, scale: autoencoder.unitScale)
    }
    firing = zip(positive.active, negative.active).map { ofPositive, ofNegative in
      Double(ofPositive) >= Self.firingShare * Double(pairs.positive.rows)
        || Double(ofNegative) >= Self.firingShare * Double(pairs.negative.rows)
    }
    meanDifference = zip(columnMeans(pairs.positive), columnMeans(pairs.negative)).map { $0 - $1 }
  }

  /// mean err(h+) - mean err(h-), where err(h) = h - g(f(h)): exactly what the reconstruction of the whole code misses,
  /// `[d]`.
  func error(missedBy reconstruction: [Float]) -> [Float] {
    zip(meanDifference, reconstruction).map { Float($0 - Double($1)) }
  }

  /// Means over one side's activations, summed over rising index.
  private struct Side {
    var means: [Double]
    /// Means of the codes times their samples' output factors.
    var scaledMeans: [Double] = []
    var meanFactor = 0.0
    var meanShift = 0.0
    /// How many activations each feature is active on.
    var active: [Int32]

    init(
      _ activations: Matrix, _ autoencoder: SparseAutoencoder, _ pool: ThreadPool,
      _ checkpoint: (Double) throws -> Void
    ) rethrows {
      means = [Double](repeating: 0, count: autoencoder.width)
      active = [Int32](repeating: 0, count: autoencoder.width)
      if autoencoder.normalizesEachSample { scaledMeans = means }
      let rowsAtOnce = 512
      for start in stride(from: 0, to: activations.rows, by: rowsAtOnce) {
        try checkpoint(Double(start) / Double(activations.rows))
        let block = activations.rows(start..<min(start + rowsAtOnce, activations.rows))
        add(autoencoder.encode(block, pool: pool), autoencoder.outputScales(of: block))
      }
      let count = Double(activations.rows)
      for index in means.indices { means[index] /= count }
      for index in scaledMeans.indices { scaledMeans[index] /= count }
      meanFactor /= count
      meanShift /= count
    }

    private mutating func add(_ codes: SparseRows, _ scales: [SparseAutoencoder.OutputScale]?) {
      for row in 0..<codes.rows {
        for entry in codes.entries(row) {
          let index = Int(codes.indices[entry])
          means[index] += Double(codes.values[entry])
          active[index] += 1
          if let scales { scaledMeans[index] += Double(codes.values[entry]) * Double(scales[row].factor) }
        }
        if let scales {
          meanFactor += Double(scales[row].factor)
          meanShift += Double(scales[row].shift)
        }
      }
    }
  }
}
