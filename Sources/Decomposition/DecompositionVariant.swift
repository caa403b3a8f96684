package import SparseAutoencoders
package import SweepRecords

/// One decomposition: a vector taken apart by a method, cut to a sparsity, at a coefficient, and put together again.
package struct DecompositionVariant: Sendable {
  /// The place of the vector among the request's subjects.
  package var subject: Int
  package var behaviour: String
  package var method: DecompositionMethod
  package var sparsity: Sparsity
  /// `with-bias` or `without-bias`: whether b_dec is part of the reconstruction.
  package var convention: String
  /// Whether b_dec is subtracted from the encoder's input.
  package var inputConvention: SparseAutoencoder.InputConvention
  /// Whether the input convention is what the SAE's own file says.
  package var isConfigured: Bool
  /// The vector was multiplied by it.
  package var coefficient: Double
  /// F, the SAE's number of features.
  package var width: Int
  package var code: SignedCode
  /// `[d]`.
  package var reconstruction: [Float]
  package var metrics: DecompositionMetrics
  /// d_j . v / ||d_j|| of all features at coefficient 1, `[F]`.
  var projections: [Float]
  /// The zero vector's code.
  var zero: ZeroCode

  /// Whether its reconstruction is an output of the task: as configured, at coefficient 1.
  package var isStored: Bool { isConfigured && coefficient == 1 }

  /// The name under which its reconstruction is stored.
  package var tensor: String { DecompositionNaming.tensor(behaviour, method.rawValue, sparsity, convention) }

  /// The code's features by falling magnitude of their coefficients (ties: lower index), at most `limit`.
  package func features(limit: Int? = nil) -> [DecomposedFeature] {
    code.byFallingMagnitude.prefix(limit ?? code.count).map { place in
      let feature = code.indices[place]
      return DecomposedFeature(
        index: Int(feature), coefficient: code.values[place],
        projection: projections[Int(feature)] * Float(coefficient), inZeroVector: zero.contains(feature))
    }
  }

  /// The row of the table `decomposition`.
  package func row(layer: Int, sae: String) -> TableRow {
    var cells = names(layer: layer, sae: sae)
    cells.merge(metrics.cells) { first, _ in first }
    cells["width"] = .integer(width)
    cells["input_convention"] = .text(inputConvention.rawValue)
    cells["configured"] = Cell(isConfigured)
    cells["coefficient"] = .real(coefficient)
    return TableRow(.decomposition, cells)
  }

  /// The row of the table `decomposition_feature`, without the tokens that the feature promotes.
  package func row(of feature: DecomposedFeature, rank: Int, layer: Int, sae: String) -> TableRow {
    var cells = names(layer: layer, sae: sae)
    cells["rank"] = .integer(rank)
    cells["feature"] = .integer(feature.index)
    cells["coefficient"] = Cell(feature.coefficient)
    cells["projection"] = Cell(feature.projection)
    cells["in_zero_vector"] = Cell(feature.inZeroVector)
    return TableRow(.decompositionFeature, cells)
  }

  private func names(layer: Int, sae: String) -> [String: Cell] {
    [
      "behaviour": .text(behaviour), "layer": .integer(layer), "sae": .text(sae), "method": .text(method.rawValue),
      "sparsity": .text(sparsity.description), "convention": .text(convention),
    ]
  }
}

/// A feature of a decomposition.
package struct DecomposedFeature: Sendable, Equatable, Encodable {
  package var index: Int
  /// Its coefficient in the code: the SAE's own activation, or a multiple of a unit-norm decoder row for pursuits.
  package var coefficient: Float
  /// d_j . v / ||d_j||.
  package var projection: Float
  /// Whether it is active for the zero vector too.
  package var inZeroVector: Bool

  private enum CodingKeys: String, CodingKey {
    case index, coefficient, projection
    case inZeroVector = "in_zero_vector"
  }
}
