internal import Kernels
internal import SparseAutoencoders
internal import SweepRecords

/// A method's code before it is cut to a sparsity, and what brings it and its cuts back to vectors:
/// `v_hat = (z W_dec + bias b_dec) factor + shift`.
struct WholeCode: Sendable {
  /// z.
  var code: SignedCode
  /// What goes through the decoder in place of z, one value an entry: where samples of different scale were averaged,
  /// or where z counts unit-norm rows. Nil for z itself.
  var decoded: [Float]?
  /// The multiple of b_dec that belongs to the code even without bias: what is left of a difference between samples of
  /// different scale.
  var fixedBias: Float = 0
  /// The multiple of b_dec that `with-bias` adds; nil where the method has no such convention.
  var bias: Float?
  var scale: SparseAutoencoder.OutputScale
  /// The encoder's own activations, where the code is made of those of one input: what is compared with f(0).
  var activations: Activations?

  struct Activations: Sendable {
    /// f(c v), at the amplitude a(c).
    var code: SignedCode
    var amplitude: Float
  }
}

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

/// Brings codes back to vectors, many in one pass.
struct Reconstruction {
  let autoencoder: SparseAutoencoder
  let pool: ThreadPool

  /// The codes cut to these sparsities with their reconstructions, in the order codes, sparsities.
  ///
  /// - Parameter withNegativeEnergy: whether the part of the negative coefficients is decoded too.
  func cut(_ wholes: [WholeCode], to sparsities: [Sparsity], withNegativeEnergy: Bool) -> [[CutCode]] {
    let places = wholes.map { whole in sparsities.map { whole.code.places(ofLargest: $0) } }
    var rows = SparseRowsBuilder(columns: autoencoder.width)
    for (whole, cuts) in zip(wholes, places) {
      for kept in cuts {
        rows.append(whole, kept)
        if withNegativeEnergy { rows.append(whole, kept.filter { whole.code.values[$0] < 0 }) }
      }
    }
    let identity = SparseAutoencoder.OutputScale(factor: 1, shift: 0)
    let decoded = autoencoder.decode(
      rows.built, addingDecoderBias: false, scales: Array(repeating: identity, count: rows.count), pool: pool)
    var row = 0
    func next() -> [Float] {
      row += 1
      return decoded.row(row - 1)
    }
    return zip(wholes, places).map { whole, cuts in
      cuts.map { kept in
        let output = next()
        var cut = CutCode(
          code: whole.code.keeping(kept), withoutBias: finished(output, whole, bias: whole.fixedBias),
          withBias: whole.bias.map { finished(output, whole, bias: $0) })
        if withNegativeEnergy {
          let part = next().map { $0 * whole.scale.factor }
          cut.negativeEnergy = dotInDouble(part, part)
        }
        return cut
      }
    }
  }

  private func finished(_ output: [Float], _ whole: WholeCode, bias: Float) -> [Float] {
    var output = output
    if bias != 0 { add(bias, autoencoder.decoderBias, to: &output) }
    let scale = whole.scale
    if scale.factor == 1 && scale.shift == 0 { return output }
    return output.map { $0 * scale.factor + scale.shift }
  }
}

/// Collects rows of a sparse matrix.
private struct SparseRowsBuilder {
  let columns: Int
  private var starts = [0]
  private var indices: [Int32] = []
  private var values: [Float] = []

  init(columns: Int) { self.columns = columns }

  var count: Int { starts.count - 1 }

  var built: SparseRows { SparseRows(columns: columns, rowStarts: starts, indices: indices, values: values) }

  mutating func append(_ whole: WholeCode, _ places: [Int]) {
    let decoded = whole.decoded ?? whole.code.values
    for place in places {
      indices.append(whole.code.indices[place])
      values.append(decoded[place])
    }
    starts.append(indices.count)
  }
}
