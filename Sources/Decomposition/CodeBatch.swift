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
  private var ladders: [BatchedLadder] = []
  private var cuts: [Cut] = []
  /// How many cuts each code has.
  private var counts: [Int] = []
  private let autoencoder: SparseAutoencoder

  private struct Cut: Sendable {
    var whole: WholeCode
    var code: SignedCode
    var place: Place
    /// Whether the next row is that of its negative part.
    var hasNegativePart: Bool
  }

  private enum Place {
    case sparse(row: Int)
    case rung(ladder: Int, rung: Int)
  }

  /// The rungs of one ladder.
  private struct BatchedLadder {
    var ladder: CoefficientLadder
    /// In the order of `append`.
    var coefficients: [Float] = []
    /// Entries of their codes.
    var entries: [Int32] = []

    /// The rungs by rising coefficient.
    var order: [Int] { coefficients.indices.sorted { (coefficients[$0], $0) < (coefficients[$1], $1) } }

    var rows: LadderRows {
      ladder.rows(at: order.map { coefficients[$0] }, of: rising(entries, below: ladder.width))
    }
  }

  init(_ autoencoder: SparseAutoencoder) {
    self.autoencoder = autoencoder
    builder = SparseRowsBuilder(columns: autoencoder.width)
  }

  /// What goes through the decoder, `rowCount` rows: cuts in the order of `append`, some followed by the row of their negative part,
  /// then ladders. O(entries + ladders (F + F / 128 rungs)).
  func weights(pool: ThreadPool) -> RowWeights {
    RowWeights(sparse: builder.built, ladders: pool.map(ladders.count) { [ladders] in ladders[$0].rows })
  }

  /// O(ladders), as `entryCount`.
  var rowCount: Int { ladders.reduce(builder.count) { $0 + $1.coefficients.count } }

  /// Entries of all codes.
  var entryCount: Int { ladders.reduce(builder.entries) { $0 + $1.entries.count } }

  /// Adds a code cut to these sparsities.
  /// - Parameter withNegativeEnergy: whether the part of the negative coefficients is decoded too.
  mutating func append(_ whole: WholeCode, cutTo sparsities: [Sparsity], withNegativeEnergy: Bool) {
    let decoded = whole.decoded ?? whole.code.values
    for sparsity in sparsities {
      if sparsity == .all, let rung = whole.rung {
        precondition(!withNegativeEnergy && whole.decoded == nil, "an encoder's own code is decoded as it is")
        cuts.append(Cut(whole: whole, code: whole.code, place: add(rung, whole.code), hasNegativePart: false))
        continue
      }
      let places = whole.code.places(ofLargest: sparsity)
      cuts.append(
        Cut(
          whole: whole, code: whole.code.keeping(places), place: .sparse(row: builder.count),
          hasNegativePart: withNegativeEnergy))
      builder.append(whole.code.indices, decoded, at: places)
      if withNegativeEnergy {
        builder.append(whole.code.indices, decoded, at: places.filter { whole.code.values[$0] < 0 })
      }
    }
    counts.append(sparsities.count)
  }

  private mutating func add(_ rung: WholeCode.Rung, _ code: SignedCode) -> Place {
    let known = ladders.firstIndex { $0.ladder.isOfSameVector(as: rung.ladder) }
    if known == nil { ladders.append(BatchedLadder(ladder: rung.ladder)) }
    let ladder = known ?? ladders.count - 1
    ladders[ladder].coefficients.append(rung.coefficient)
    ladders[ladder].entries += code.indices
    return .rung(ladder: ladder, rung: ladders[ladder].coefficients.count - 1)
  }

  /// The codes with their reconstructions, by a pass over the decoder of their own.
  func decoded(pool: ThreadPool) -> [[CutCode]] {
    finished(autoencoder.decodedUnscaled(weights(pool: pool), pool: pool), pool: pool)
  }

  /// The codes with their reconstructions, in the order of `append`.
  /// - Parameter decoded: what `weights` made of W_dec, at the decoder's own scale, `[rows, d]`.
  func finished(_ decoded: Matrix, pool: ThreadPool) -> [[CutCode]] {
    precondition(decoded.rows == rowCount, "one row of output a row of codes")
    let rungRows = rungRows
    let finished = pool.map(cuts.count) { [cuts, autoencoder] place in
      let cut = cuts[place]
      let row =
        switch cut.place {
        case .sparse(let row): row
        case .rung(let ladder, let rung): rungRows[ladder][rung]
        }
      let (output, whole) = (decoded.row(row), cut.whole)
      var result = CutCode(
        code: cut.code, withoutBias: whole.finished(output, bias: whole.fixedBias, autoencoder),
        withBias: whole.bias.map { whole.finished(output, bias: $0, autoencoder) })
      if cut.hasNegativePart {
        let part = decoded.row(row + 1).map { $0 * whole.scale.factor }
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

extension CodeBatch {
  /// The row of each rung of each ladder.
  private var rungRows: [[Int]] {
    var first = builder.count
    return ladders.map { member in
      var rows = Array(repeating: 0, count: member.coefficients.count)
      for (place, rung) in member.order.enumerated() { rows[rung] = first + place }
      first += rows.count
      return rows
    }
  }
}

extension WholeCode {
  /// What the decoder made of the code or a cut of it, brought to the vector's scale, with a multiple of b_dec.
  fileprivate func finished(_ output: [Float], bias: Float, _ autoencoder: SparseAutoencoder) -> [Float] {
    var output = output
    if bias != 0 { add(bias, autoencoder.decoderBias, to: &output) }
    // Where nothing is scaled too: so no zero is negative.
    for index in output.indices { output[index] = output[index] * scale.factor + scale.shift }
    return output
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
