internal import SparseAutoencoders
internal import SweepRecords

/// A code of a run before it is made: of which vector, by which method, at which coefficient, and how it will be cut.
struct PlannedCode: Sendable {
  /// The place of the vector among the request's subjects.
  var row: Int
  /// Of b_dec on the encoder's input.
  var convention: SparseAutoencoder.InputConvention
  var method: DecompositionMethod
  /// The vector is multiplied by it.
  var coefficient: Double
  /// What it is given out at: its cuts, or a pursuit's numbers of atoms.
  var sparsities: [Sparsity]
}

/// When a batch of codes has enough; without effect on any result.
struct BatchLimits: Sendable {
  /// Of all reconstructions.
  var numbers: Int
  /// Of all codes.
  var entries: Int

  /// Reconstructions that stay in the caches while the decoder's rows are added to them, and 64 MB of entries.
  static let standard = BatchLimits(numbers: 3 << 17, entries: 1 << 23)
}

/// The codes of a run in the order in which they are given out.
struct DecompositionPlan: Sendable {
  let request: DecompositionRequest
  /// Rising, without repetition.
  let sparsities: [Sparsity]
  /// Of the batches in which the codes are decoded.
  let limits: BatchLimits
  let codes: [PlannedCode]
  /// Where the codes of each vector lie among them.
  let places: [Range<Int>]

  init(_ request: DecompositionRequest, of autoencoder: SparseAutoencoder, limits: BatchLimits = .standard) {
    var atoms: Set<Int> = []
    for case .atoms(let k) in request.sparsities { atoms.insert(k) }
    let sparsities = atoms.sorted().map { Sparsity.atoms($0) } + (request.sparsities.contains(.all) ? [.all] : [])
    self.request = request
    self.sparsities = sparsities
    self.limits = limits
    var codes: [PlannedCode] = []
    // The SAE's own first.
    let own = autoencoder.convention
    let conventions = [own] + request.inputConventions.filter { $0 != own }
    var seen: Set<Double> = [1]
    let coefficients = request.coefficients.filter { seen.insert($0).inserted }
    let rungs = request.cutsLadder ? sparsities : Array(sparsities.suffix(1))
    places = request.subjects.indices.map { row in
      let first = codes.count
      for convention in conventions {
        for method in request.methods where convention == own || method.dependsOnInputConvention {
          func plan(_ coefficient: Double, _ sparsities: [Sparsity]) {
            codes.append(
              PlannedCode(
                row: row, convention: convention, method: method, coefficient: coefficient, sparsities: sparsities))
          }
          plan(1, DecompositionNaming.sparsities(of: method.rawValue, in: sparsities))
          if method == .encode && !rungs.isEmpty { for coefficient in coefficients { plan(coefficient, rungs) } }
        }
      }
      return first..<codes.count
    }
    self.codes = codes
  }
}
