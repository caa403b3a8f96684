package import Kernels

/// The encoder's lines for some vectors: what gives their codes at every coefficient, for both conventions of b_dec on the input.
///
/// Before the non-linearity a feature is a line in the coefficient: `pre(c) = fma(a(c), slope, intercept)` (methods.md, "The
/// coefficient axis, exactly"). Made by one pass over W_enc. The code of the vector itself is the one at c = 1.
package struct Encoding: Sendable {
  let dimension: Int
  let unitScale: SparseAutoencoder.OutputScale
  /// Products with the encoder's columns, `[n, F]`.
  let projections: Matrix
  let courses: [SampleCourse]
  let subtracted: FeatureLines
  let kept: FeatureLines

  /// Number of vectors.
  package var count: Int { projections.rows }

  /// The slopes of one vector's lines (those of the gate for a gated SAE), `[F]`.
  package func slopes(_ row: Int) -> [Float] { kept.slopes(projections.row(row)) }

  /// pre(0): the pre-activations of the zero vector (those of the gate for a gated SAE), `[F]`.
  package func intercepts(_ convention: SparseAutoencoder.InputConvention) -> [Float] { lines(convention).intercepts }

  /// The slopes of a gated SAE's magnitudes, `[F]`; nil for other architectures.
  package func magnitudeSlopes(_ row: Int) -> [Float]? { kept.magnitudeSlopes(projections.row(row)) }

  /// The magnitudes' pre-activations of the zero vector, `[F]`; nil for other architectures.
  package func magnitudeIntercepts(_ convention: SparseAutoencoder.InputConvention) -> [Float]? {
    lines(convention).magnitudeIntercepts
  }

  /// a(c): what the slopes are multiplied by at a coefficient. At 0 it is 0, so that the zero vector is u = 0.
  package func amplitude(_ row: Int, coefficient: Float) -> Float {
    courses[row].amplitude(coefficient, dimension: dimension)
  }

  /// How the decoder's output for `coefficient` times the vector is brought back to the vector's scale.
  ///
  /// With a normalisation of each sample the zero vector has factor 0; its code is decoded by `SparseAutoencoder.unitScale`.
  package func outputScale(_ row: Int, coefficient: Float) -> SparseAutoencoder.OutputScale {
    courses[row].outputScale(coefficient, dimension: dimension) ?? unitScale
  }

  /// The pre-activations (those of the gate for a gated SAE) at a coefficient, `[F]`.
  package func preActivations(
    _ row: Int, coefficient: Float, convention: SparseAutoencoder.InputConvention
  ) -> [Float] {
    lines(convention).preActivations(projections.row(row), amplitude: amplitude(row, coefficient: coefficient))
  }

  /// The code of `coefficient` times the vector, dense, `[F]`.
  package func code(_ row: Int, coefficient: Float, convention: SparseAutoencoder.InputConvention) -> [Float] {
    lines(convention).code(projections.row(row), amplitude: amplitude(row, coefficient: coefficient))
  }

  /// The same as entries, indices rising, values above 0.
  package func entries(
    _ row: Int, coefficient: Float, convention: SparseAutoencoder.InputConvention
  ) -> (indices: [Int32], values: [Float]) {
    guard let active = lines(convention).active else {
      return SparseAutoencoder.entries(code(row, coefficient: coefficient, convention: convention))
    }
    return active.code(of: projections, row: row, amplitude: amplitude(row, coefficient: coefficient))
  }

  /// F, the number of features.
  package var width: Int { projections.columns }

  /// The code of the zero vector, dense, `[F]`.
  package func zeroCode(_ convention: SparseAutoencoder.InputConvention) -> [Float] { lines(convention).zeroCode }

  private func lines(_ convention: SparseAutoencoder.InputConvention) -> FeatureLines {
    convention == .subtracted ? subtracted : kept
  }
}

/// How one sample's lines run over the coefficient, and how its reconstruction is undone.
enum SampleCourse: Sendable, Equatable {
  /// a(c) = c.
  case proportional
  /// `constantNorm`: a(c) = sign(c) sqrt(d) / norm.
  case sign(norm: Float)
  /// `layerNorm`: the slope is of the centred sample, a(c) = c / (|c| deviation + 1e-5).
  case centred(mean: Float, deviation: Float)

  func amplitude(_ coefficient: Float, dimension: Int) -> Float {
    switch self {
    case .proportional: return coefficient
    case .sign(let norm):
      guard coefficient != 0, norm > 0 else { return 0 }
      let amplitude = Float(dimension).squareRoot() / norm
      return coefficient < 0 ? -amplitude : amplitude
    case .centred(_, let deviation): return coefficient / (abs(coefficient) * deviation + 1e-5)
    }
  }

  /// The sample's own output scale; nil where all have the SAE's.
  func outputScale(_ coefficient: Float, dimension: Int) -> SparseAutoencoder.OutputScale? {
    switch self {
    case .proportional: return nil
    case .sign(let norm):
      return SparseAutoencoder.OutputScale(factor: abs(coefficient) * norm / Float(dimension).squareRoot(), shift: 0)
    case .centred(let mean, let deviation):
      return SparseAutoencoder.OutputScale(factor: abs(coefficient) * deviation, shift: coefficient * mean)
    }
  }
}

extension SparseAutoencoder {
  /// The lines of some vectors `[n, d]`, by one pass over W_enc. Complexity: O(n d F).
  /// - Precondition: the vectors are of the SAE's dimension.
  package func encoding(of vectors: Matrix, pool: ThreadPool) -> Encoding {
    precondition(vectors.columns == dimension, "vectors must be of the SAE's dimension")
    let (inputs, courses) = centred(vectors)
    let features = 0..<width
    let (projections, bias) = projectionsWithBias(of: inputs, pool: pool)
    return Encoding(
      dimension: dimension, unitScale: unitScale, projections: projections, courses: courses,
      subtracted: FeatureLines(of: self, columns: features, subtractedProjection: bias, pool: pool),
      kept: FeatureLines(of: self, columns: features, subtractedProjection: nil, pool: pool))
  }

  /// What the products are taken of (centred samples where the SAE centres them), and how each sample's lines run.
  func centred(_ samples: Matrix) -> (inputs: Matrix, courses: [SampleCourse]) {
    switch normalization {
    case .none, .expectedAverage:
      return (samples, Array(repeating: .proportional, count: samples.rows))
    case .constantNorm:
      return (samples, (0..<samples.rows).map { .sign(norm: norm(samples.row($0))) })
    case .layerNorm:
      var inputs = samples
      let ones = [Float](repeating: 1, count: dimension)
      let courses = (0..<samples.rows).map { index in
        var row = samples.row(index)
        let mean = dot(row, ones) / Float(dimension)
        for position in row.indices { row[position] -= mean }
        inputs.setRow(index, row)
        let deviation = (dot(row, row) / Float(max(1, dimension - 1))).squareRoot()
        return SampleCourse.centred(mean: mean, deviation: deviation)
      }
      return (inputs, courses)
    }
  }

  /// Products with the encoder's columns, `[n, F]`, and those of b_dec, `[F]`: in the same pass the first time.
  private func projectionsWithBias(of inputs: Matrix, pool: ThreadPool) -> (inputs: Matrix, bias: [Float]) {
    if let known = knownBiasProjection {
      return (encoder.multiplied(by: inputs, columns: 0..<width, pool: pool), known)
    }
    var extended = inputs
    extended.append(rows: Matrix(rows: 1, columns: dimension, elements: decoderBias))
    let products = encoder.multiplied(by: extended, columns: 0..<width, pool: pool)
    remember(biasProjection: products.row(inputs.rows))
    return (products.rows(0..<inputs.rows), products.row(inputs.rows))
  }

  /// w_j . b_dec, `[F]`: a pass over W_enc the first time.
  func biasProjection(pool: ThreadPool) -> [Float] {
    projectionsWithBias(of: Matrix(rows: 0, columns: dimension), pool: pool).bias
  }
}
