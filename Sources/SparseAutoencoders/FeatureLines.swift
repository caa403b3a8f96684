internal import Kernels

/// The lines `pre = fma(amplitude, slope, intercept)` of some features under one convention, and the non-linearity above them:
/// the one place where codes are made.
struct FeatureLines: Sendable {
  private let architecture: SparseAutoencoder.Architecture
  /// The factor of `expectedAverage`, 1 otherwise; part of the slopes.
  private let factor: Float
  /// What a feature's whole line is multiplied by: the decoder norms where the SAE rescales by them.
  private let featureScales: [Float]?
  private let magnitudeScales: [Float]?
  private let thresholds: [Float]?
  /// pre(0); that of the gate for a gated SAE.
  let intercepts: [Float]
  let magnitudeIntercepts: [Float]?
  /// The lines as one pass makes codes of them; nil where features compete.
  let active: ActiveLines?

  /// - Parameters:
  ///   - columns: the features.
  ///   - subtractedProjection: w_j . b_dec of all features, `[F]`, where b_dec is subtracted from the input; nil where it is kept.
  init(
    of autoencoder: SparseAutoencoder, columns: Range<Int>, subtractedProjection: [Float]?, pool: ThreadPool
  ) {
    architecture = autoencoder.architecture
    if case .expectedAverage(let factor) = autoencoder.normalization { self.factor = factor } else { factor = 1 }
    let biases = autoencoder.biases
    let subtracted = subtractedProjection.map { Array($0[columns]) }
    var intercepts = Array(biases.encoder[columns])
    if let subtracted { for index in intercepts.indices { intercepts[index] -= subtracted[index] } }
    if case .topK(_, true) = architecture {
      let scales = Array(autoencoder.decoderNorms(pool: pool)[columns])
      for index in intercepts.indices { intercepts[index] *= scales[index] }
      featureScales = scales
    } else {
      featureScales = nil
    }
    self.intercepts = intercepts
    thresholds = biases.thresholds.map { Array($0[columns]) }
    guard let magnitude = biases.magnitude else {
      (magnitudeScales, magnitudeIntercepts) = (nil, nil)
      active =
        if case .topK = architecture { nil } else {
          ActiveLines(factor: factor, intercepts: intercepts, thresholds: thresholds, magnitudes: nil)
        }
      return
    }
    let scales = magnitude.logScale[columns].map { Elementary.exp($0) }
    magnitudeScales = scales
    var bias = Array(magnitude.bias[columns])
    if let subtracted { for index in bias.indices { bias[index] -= subtracted[index] * scales[index] } }
    magnitudeIntercepts = bias
    active = ActiveLines(
      factor: factor, intercepts: intercepts, thresholds: thresholds, magnitudes: (scales: scales, intercepts: bias))
  }

  /// The slopes for a sample whose products with the encoder are given; those of the gate for a gated SAE.
  func slopes(_ projections: [Float]) -> [Float] {
    var slopes = projections
    if factor != 1 { for index in slopes.indices { slopes[index] *= factor } }
    if let featureScales { for index in slopes.indices { slopes[index] *= featureScales[index] } }
    return slopes
  }

  func magnitudeSlopes(_ projections: [Float]) -> [Float]? {
    guard let magnitudeScales else { return nil }
    return zip(slopes(projections), magnitudeScales).map { $0 * $1 }
  }

  func preActivations(_ projections: [Float], amplitude: Float) -> [Float] {
    Self.line(amplitude, slopes(projections), intercepts)
  }

  /// The dense code of a sample.
  func code(_ projections: [Float], amplitude: Float) -> [Float] {
    let pre = preActivations(projections, amplitude: amplitude)
    guard let slopes = magnitudeSlopes(projections), let magnitudeIntercepts else {
      return activate(pre, magnitudes: nil)
    }
    return activate(pre, magnitudes: Self.line(amplitude, slopes, magnitudeIntercepts))
  }

  /// The dense code of the zero vector.
  var zeroCode: [Float] { activate(intercepts, magnitudes: magnitudeIntercepts) }

  private static func line(_ amplitude: Float, _ slopes: [Float], _ intercepts: [Float]) -> [Float] {
    var pre = intercepts
    add(amplitude, slopes, to: &pre)
    return pre
  }

  private func activate(_ pre: [Float], magnitudes: [Float]?) -> [Float] {
    var code = [Float](repeating: 0, count: pre.count)
    switch architecture {
    case .standard:
      for index in pre.indices where pre[index] > 0 { code[index] = pre[index] }
    case .jumpReLU:
      guard let thresholds else { return code }
      for index in pre.indices where pre[index] > max(thresholds[index], 0) { code[index] = pre[index] }
    case .topK(let k, _):
      for index in topK(pre, k) where pre[index] > 0 { code[index] = pre[index] }
    case .gated:
      guard let magnitudes else { return code }
      for index in pre.indices where pre[index] > 0 && magnitudes[index] > 0 { code[index] = magnitudes[index] }
    }
    return code
  }
}
