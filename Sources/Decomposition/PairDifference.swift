package import Kernels
internal import SparseAutoencoders

/// The activations that a vector was made of: one a pair and side, or all those over which a side's mean was read.
///
/// An SAE is made for the activations of single tokens. Where a vector was read as a mean over an answer's tokens, the code of the
/// mean is not the mean of the codes (a mean of 14 tokens falls below most thresholds), so give the tokens.
package struct PairActivations: Sendable, Equatable {
  /// One side's activations.
  package struct Side: Sendable, Equatable {
    /// `[rows, d]`, pair by pair.
    package var rows: Matrix
    /// What each row counts for in the side's mean; they add up to 1.
    let weights: [Double]

    /// - Parameter counts: how many consecutive rows belong to each pair; nil for one.
    /// - Precondition: the counts are above 0 and add up to the rows.
    package init(_ rows: Matrix, counts: [Int]? = nil) {
      self.rows = rows
      let counts = counts ?? Array(repeating: 1, count: rows.rows)
      precondition(counts.allSatisfy { $0 > 0 } && counts.reduce(0, +) == rows.rows, "every row belongs to a pair")
      weights = counts.flatMap { Array(repeating: 1 / Double($0) / Double(counts.count), count: $0) }
    }

    /// The mean activation, in double sums over ascending rows, `[d]`.
    var mean: [Double] {
      var sums = [Double](repeating: 0, count: rows.columns)
      for row in 0..<rows.rows {
        let values = rows.row(row)
        for index in sums.indices { sums[index] += weights[row] * Double(values[index]) }
      }
      return sums
    }
  }

  package var positive: Side
  package var negative: Side

  package init(positive: Side, negative: Side) {
    self.positive = positive
    self.negative = negative
  }

  /// One activation a pair, `[pairs, d]` each.
  package init(positive: Matrix, negative: Matrix) {
    self.init(positive: Side(positive), negative: Side(negative))
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
    let positive = try SideMeans(pairs.positive, autoencoder, pool) { try checkpoint($0 / 2) }
    let negative = try SideMeans(pairs.negative, autoencoder, pool) { try checkpoint(0.5 + $0 / 2) }
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
      Double(ofPositive) >= Self.firingShare * Double(pairs.positive.rows.rows)
        || Double(ofNegative) >= Self.firingShare * Double(pairs.negative.rows.rows)
    }
    meanDifference = zip(pairs.positive.mean, pairs.negative.mean).map { $0 - $1 }
  }

  /// mean err(h+) - mean err(h-), where err(h) = h - g(f(h)): exactly what the reconstruction of the whole code misses,
  /// `[d]`.
  func error(missedBy reconstruction: [Float]) -> [Float] {
    zip(meanDifference, reconstruction).map { Float($0 - Double($1)) }
  }

  /// Means over one side's activations, summed over rising index.
  private struct SideMeans {
    var means: [Double]
    /// Means of the codes times their samples' output factors.
    var scaledMeans: [Double] = []
    var meanFactor = 0.0
    var meanShift = 0.0
    /// How many activations each feature is active on.
    var active: [Int32]

    init(
      _ side: PairActivations.Side, _ autoencoder: SparseAutoencoder, _ pool: ThreadPool,
      _ checkpoint: (Double) throws -> Void
    ) rethrows {
      means = [Double](repeating: 0, count: autoencoder.width)
      active = [Int32](repeating: 0, count: autoencoder.width)
      if autoencoder.normalizesEachSample { scaledMeans = means }
      let activations = side.rows
      let rowsAtOnce = 512
      for start in stride(from: 0, to: activations.rows, by: rowsAtOnce) {
        try checkpoint(Double(start) / Double(activations.rows))
        let block = activations.rows(start..<min(start + rowsAtOnce, activations.rows))
        add(autoencoder.encode(block, pool: pool), autoencoder.outputScales(of: block), side.weights[start...])
      }
    }

    private mutating func add(
      _ codes: SparseRows, _ scales: [SparseAutoencoder.OutputScale]?, _ weights: ArraySlice<Double>
    ) {
      for row in 0..<codes.rows {
        let weight = weights[weights.startIndex + row]
        for entry in codes.entries(row) {
          let index = Int(codes.indices[entry])
          means[index] += weight * Double(codes.values[entry])
          active[index] += 1
          if let scales { scaledMeans[index] += weight * Double(codes.values[entry]) * Double(scales[row].factor) }
        }
        if let scales {
          meanFactor += weight * Double(scales[row].factor)
          meanShift += weight * Double(scales[row].shift)
        }
      }
    }
  }
}
