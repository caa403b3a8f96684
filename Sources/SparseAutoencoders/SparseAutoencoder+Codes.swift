package import Kernels

extension SparseAutoencoder {
  /// What brings a decoder's output back to the scale of the activations: `x = y * factor + shift`.
  package struct OutputScale: Sendable, Hashable {
    package var factor: Float
    package var shift: Float

    package init(factor: Float, shift: Float) {
      self.factor = factor
      self.shift = shift
    }

    /// The same without the sample's mean: for differences of reconstructions.
    package var withoutShift: OutputScale { OutputScale(factor: factor, shift: 0) }
  }

  /// The output scale without a sample's own: 1 / factor of `expectedAverage`, 1 otherwise.
  package var unitScale: OutputScale {
    if case .expectedAverage(let factor) = normalization { return OutputScale(factor: 1 / factor, shift: 0) }
    return OutputScale(factor: 1, shift: 0)
  }

  /// Codes of activations `[n, d]` as sparse rows `[n, F]`, indices rising, values above 0: bit for bit `Encoding.code` at 1.
  ///
  /// Works through blocks of rows, and of features unless the SAE is a top-k one, so that memory does not grow with n F.
  /// - Parameter convention: that of the file unless given.
  package func encode(
    _ activations: Matrix, convention: InputConvention? = nil, pool: ThreadPool
  ) -> SparseRows {
    precondition(activations.columns == dimension, "activations must be of the SAE's dimension")
    var (starts, indices, values) = ([0], [Int32](), [Float]())
    let rowsAtOnce = max(16, min(1024, (1 << 24) / min(width, featuresAtOnce)))
    for start in stride(from: 0, to: activations.rows, by: rowsAtOnce) {
      let block = activations.rows(start..<min(start + rowsAtOnce, activations.rows))
      for row in encodedBlock(block, convention: convention ?? self.convention, pool: pool) {
        indices.append(contentsOf: row.indices)
        values.append(contentsOf: row.values)
        starts.append(indices.count)
      }
    }
    return SparseRows(columns: width, rowStarts: starts, indices: indices, values: values)
  }

  /// The activations through encoder and decoder, everything undone, `[n, d]`.
  package func reconstruct(_ activations: Matrix, pool: ThreadPool) -> Matrix {
    let codes = encode(activations, pool: pool)
    return decode(codes, addingDecoderBias: true, scales: outputScales(of: activations), pool: pool)
  }

  /// The output scale of each activation `[n, d]`; nil where all have `unitScale`.
  package func outputScales(of activations: Matrix) -> [OutputScale]? {
    guard normalizesEachSample else { return nil }
    let courses = centred(activations).courses
    return courses.map { $0.outputScale(1, dimension: dimension) ?? unitScale }
  }

  /// z W_dec, plus b_dec where asked for, brought to each row's scale: `[n, F]` to `[n, d]`.
  ///
  /// Every output is one chain of fused multiply-adds over rising feature index; b_dec is added to its end.
  /// - Parameter scales: one a row; `unitScale` for all where nil.
  package func decode(
    _ codes: SparseRows, addingDecoderBias: Bool, scales: [OutputScale]? = nil, pool: ThreadPool
  ) -> Matrix {
    precondition(scales.map { $0.count == codes.rows } ?? true, "one scale a row")
    var output = decodedUnscaled(RowWeights(sparse: codes), pool: pool)
    if addingDecoderBias { add(1, decoderBias, toRowsOf: &output, pool: pool) }
    if scales == nil && unitScale.factor == 1 { return output }
    for row in 0..<output.rows {
      let scale = scales?[row] ?? unitScale
      output.setRow(row, output.row(row).map { $0 * scale.factor + scale.shift })
    }
    return output
  }

  /// z W_dec at the decoder's own scale, `[codes.rows, d]`: `decode` before bias and output scale. For ladders it adds in another order
  /// (see `LadderRows`), so that the last bits of the same code may differ.
  package func decodedUnscaled(_ codes: RowWeights, pool: ThreadPool) -> Matrix {
    precondition(codes.sparse.columns == width, "codes must be of the SAE's width")
    return decoder.sums(of: scaledForDecoder(codes, pool: pool), pool: pool)
  }

  /// What one unit of each named feature adds to a reconstruction before the output scale, float32, `[indices.count, d]`:
  /// W_dec's rows, divided by their norms where the SAE rescales by them.
  package func decoderRows(_ indices: [Int]) -> Matrix {
    normalizedIfRescaled(decoder.gathering(rows: indices))
  }

  /// As `decoderRows(_:)`, for consecutive features.
  package func decoderRows(_ range: Range<Int>) -> Matrix { normalizedIfRescaled(decoder.rows(range)) }

  /// `decoderRows(_:)` of all features brought to unit norm, packed as float32; a dead row stays as it is.
  package func packedUnitRows(pool: ThreadPool) -> PackedMatrix {
    if case .topK(_, true) = architecture {
      // They are divided twice: by what the SAE says their norm is, and by what it is after that.
      return PackedMatrix(outputs: width, inputs: dimension, storage: .float32, pool: pool) { rows, target in
        var unit = decoderRows(rows)
        normaliseRows(&unit, pool: pool)
        let values = unit.elements.span
        for index in values.indices { target[index] = values[index] }
      }
    }
    return decoder.packed(dividedBy: decoderNorms(pool: pool).map { $0 > 0 ? $0 : 1 }, pool: pool)
  }

  /// d_j . v with W_dec's rows as stored, for vectors `[n, d]`: `[n, F]`. Reads the decoder once.
  package func decoderProjections(_ vectors: Matrix, pool: ThreadPool) -> Matrix {
    precondition(vectors.columns == dimension, "vectors must be of the SAE's dimension")
    return decoder.projections(of: vectors, pool: pool)
  }

  /// `decoderProjections` of vectors `[n, d]`, `[n, F]`, and `decodedUnscaled` of codes, `[codes.rows, d]`, by one read of the
  /// decoder, which gives its norms too if they are not known yet. An SAE that rescales by them needs a read before that.
  package func decoderPass(
    projecting vectors: Matrix, decoding codes: RowWeights, pool: ThreadPool
  ) -> (projections: Matrix, decoded: Matrix) {
    precondition(vectors.columns == dimension, "vectors must be of the SAE's dimension")
    precondition(codes.sparse.columns == width, "codes must be of the SAE's width")
    let scaled = scaledForDecoder(codes, pool: pool)
    let pass = decoder.pass(
      multiplying: vectors, adding: scaled, wantsNorms: knownDecoderNorms == nil, pool: pool)
    if let norms = pass.norms { remember(decoderNorms: norms) }
    return (pass.products, pass.sums)
  }

  /// What W_dec's rows as stored are multiplied by.
  private func scaledForDecoder(_ codes: RowWeights, pool: ThreadPool) -> RowWeights {
    guard case .topK(_, true) = architecture else { return codes }
    precondition(codes.ladders.isEmpty, "features that compete have no ladder")
    return RowWeights(sparse: codes.sparse.divided(byColumn: decoderNorms(pool: pool)))
  }

  /// The encoder's directions w_j of the named features as rows, float32, `[indices.count, d]`.
  package func encoderColumns(_ indices: [Int]) -> Matrix { encoder.gathering(columns: indices) }

  private func normalizedIfRescaled(_ rows: Matrix) -> Matrix {
    guard case .topK(_, true) = architecture else { return rows }
    var rows = rows
    for index in 0..<rows.rows {
      let row = rows.row(index)
      let norm = norm(row)
      if norm > 0 { rows.setRow(index, row.map { $0 / norm }) }
    }
    return rows
  }

  private func encodedBlock(
    _ activations: Matrix, convention: InputConvention, pool: ThreadPool
  ) -> [(indices: [Int32], values: [Float])] {
    var rows = Array(repeating: (indices: [Int32](), values: [Float]()), count: activations.rows)
    let (inputs, courses) = centred(activations)
    let amplitudes = courses.map { $0.amplitude(1, dimension: dimension) }
    let subtracted = convention == .subtracted ? biasProjection(pool: pool) : nil
    for start in stride(from: 0, to: width, by: featuresAtOnce) {
      let columns = start..<min(start + featuresAtOnce, width)
      let projections = encoder.multiplied(by: inputs, columns: columns, pool: pool)
      let lines = FeatureLines(of: self, columns: columns, subtractedProjection: subtracted, pool: pool)
      guard let active = lines.active else {
        for row in rows.indices {
          rows[row] = Self.entries(lines.code(projections.row(row), amplitude: amplitudes[row]))
        }
        continue
      }
      let found = active.codes(of: projections, amplitudes: amplitudes, first: start, pool: pool)
      for row in rows.indices {
        rows[row].indices += found[row].indices
        rows[row].values += found[row].values
      }
    }
    return rows
  }

  /// What is above 0 in a dense code `[F]`.
  static func entries(_ code: [Float]) -> (indices: [Int32], values: [Float]) {
    let places = code.indices.filter { code[$0] > 0 }
    return (places.map { Int32(truncatingIfNeeded: $0) }, places.map { code[$0] })
  }

  /// Features encoded together: all of them where they compete.
  private var featuresAtOnce: Int {
    if case .topK = architecture { width } else { 1 << 14 }
  }
}
