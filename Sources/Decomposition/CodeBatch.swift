internal import Kernels
internal import SparseAutoencoders
internal import SweepRecords

/// A code cut to a sparsity, and its reconstruction with and without b_dec.
struct CutCode: Sendable {
  var code: SignedCode
  var withoutBias: [Float]
  /// Nil where the method has no such convention.
  var withBias: [Float]?
  /// The share of the vector's energy that the negative coefficients' part of the reconstruction has: ||z- W_dec||^2;
  /// nil where there was no need for it.
  var negativeEnergy: Double?
}

/// Codes, cut to sparsities, that go through the decoder together.
struct CodeBatch {
  private var builder: SparseRowsBuilder
  private var cuts: [Cut] = []
  /// How many cuts each code has.
  private var counts: [Int] = []
  private let autoencoder: SparseAutoencoder

  private struct Cut: Sendable {
    var whole: WholeCode
    var code: SignedCode
    /// Its row, and whether the next one is that of its negative part.
    var row: Int
    var hasNegativePart: Bool
  }

  init(_ autoencoder: SparseAutoencoder) {
    self.autoencoder = autoencoder
    builder = SparseRowsBuilder(columns: autoencoder.width)
  }

  /// The cuts in the order of `append`, `[rowCount, F]`; some are followed by the row of their negative part. O(entries).
  var rows: SparseRows { builder.built }

  var rowCount: Int { builder.count }

  /// Entries of all rows.
  var entryCount: Int { builder.entries }

  /// Adds a code cut to these sparsities.
  /// - Parameter withNegativeEnergy: whether the part of the negative coefficients is decoded too.
  mutating func append(_ whole: WholeCode, cutTo sparsities: [Sparsity], withNegativeEnergy: Bool) {
    let decoded = whole.decoded ?? whole.code.values
    for sparsity in sparsities {
      let places = whole.code.places(ofLargest: sparsity)
      cuts.append(
        Cut(whole: whole, code: whole.code.keeping(places), row: builder.count, hasNegativePart: withNegativeEnergy))
      builder.append(whole.code.indices, decoded, at: places)
      if withNegativeEnergy {
        builder.append(whole.code.indices, decoded, at: places.filter { whole.code.values[$0] < 0 })
      }
    }
    counts.append(sparsities.count)
  }

  /// The codes with their reconstructions, by a pass over the decoder of their own.
  func decoded(pool: ThreadPool) -> [[CutCode]] {
    finished(autoencoder.decodedUnscaled(rows, pool: pool), pool: pool)
  }

  /// The codes with their reconstructions, in the order of `append`.
  /// - Parameter decoded: `rows` times W_dec, at the decoder's own scale, `[rows, d]`.
  func finished(_ decoded: Matrix, pool: ThreadPool) -> [[CutCode]] {
    precondition(decoded.rows == rowCount, "one row of output a row of codes")
    let finished = pool.map(cuts.count) { [cuts, autoencoder] place in
      let cut = cuts[place]
      let (output, whole) = (decoded.row(cut.row), cut.whole)
      var result = CutCode(
        code: cut.code, withoutBias: whole.finished(output, bias: whole.fixedBias, autoencoder),
        withBias: whole.bias.map { whole.finished(output, bias: $0, autoencoder) })
      if cut.hasNegativePart {
        let part = decoded.row(cut.row + 1).map { $0 * whole.scale.factor }
        result.negativeEnergy = dotInDouble(part, part)
      }
      return result
    }
    var next = 0
    return counts.map { count in
      defer { next += count }
      return Array(finished[next..<next + count])
    }
  }
}

extension WholeCode {
  /// What the decoder made of the code or a cut of it, brought to the vector's scale, with a multiple of b_dec.
  fileprivate func finished(_ output: [Float], bias: Float, _ autoencoder: SparseAutoencoder) -> [Float] {
    var output = output
    if bias != 0 { add(bias, autoencoder.decoderBias, to: &output) }
    // Where nothing is scaled too: so no zero is negative.
    return output.map { $0 * scale.factor + scale.shift }
  }
}

/// Collects rows of a sparse matrix.
private struct SparseRowsBuilder {
  private let columns: Int
  private var starts = [0]
  private var indices: [Int32] = []
  private var values: [Float] = []

  init(columns: Int) { self.columns = columns }

  /// Number of rows.
  var count: Int { starts.count - 1 }
  /// Number of entries of all rows.
  var entries: Int { indices.count }

  var built: SparseRows { SparseRows(columns: columns, rowStarts: starts, indices: indices, values: values) }

  /// A row of the entries at some places, rising.
  mutating func append(_ indices: [Int32], _ values: [Float], at places: [Int]) {
    if places.count == indices.count {
      self.indices += indices
      self.values += values
    } else {
      for place in places {
        self.indices.append(indices[place])
        self.values.append(values[place])
      }
    }
    starts.append(self.indices.count)
  }
}
