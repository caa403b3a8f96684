internal import Kernels
internal import SparseAutoencoders
internal import SweepRecords

/// A code of the plan, decoded.
struct DecodedCode: Sendable {
  var planned: PlannedCode
  /// One a sparsity.
  var cuts: [CutCode]
  /// The encoder's own, where the code is made of those of one input.
  var activations: WholeCode.Activations?
}

/// Codes of a plan that go through the decoder together, and the places in the plan that they are of.
struct PlannedBatch {
  private(set) var codes: CodeBatch
  private var members: [(place: Int, planned: PlannedCode, wholes: [WholeCode])] = []
  private let hasZero: Bool
  private let dimension: Int
  private let limits: BatchLimits

  /// - Parameter zero: the zero vector's code, decoded before the others.
  init(_ autoencoder: SparseAutoencoder, limits: BatchLimits, zero: WholeCode? = nil) {
    codes = CodeBatch(autoencoder)
    hasZero = zero != nil
    dimension = autoencoder.dimension
    self.limits = limits
    if let zero { codes.append(zero, cutTo: [.all], withNegativeEnergy: false) }
  }

  /// Whether it makes no sense to add more.
  var isFull: Bool {
    codes.rowCount * dimension >= limits.numbers || codes.entryCount >= limits.entries
  }

  /// Adds codes of a plan until there are enough, one place at least.
  /// - Parameter make: makes one code, or one for each sparsity, on any thread; nil for a place that is left out.
  mutating func fill(
    _ places: [Int], of plan: DecompositionPlan, pool: ThreadPool, make: @Sendable (PlannedCode) -> [WholeCode]?
  ) {
    let together = 4 * pool.threads
    for first in stride(from: 0, to: places.count, by: together) {
      let some = places[first..<min(places.count, first + together)]
      let made = pool.map(some.count) { make(plan.codes[some[first + $0]]) }
      for (place, wholes) in zip(some, made) {
        guard let wholes else { continue }
        append(wholes, of: plan.codes[place], at: place)
        if isFull { return }
      }
    }
  }

  /// Adds what a method made.
  private mutating func append(_ wholes: [WholeCode], of planned: PlannedCode, at place: Int) {
    members.append((place, planned, wholes))
    for whole in wholes {
      let cuts = planned.method.isPursuit ? [.all] : planned.sparsities
      codes.append(whole, cutTo: cuts, withNegativeEnergy: planned.method.isSigned)
    }
  }

  /// The codes by their places in the plan, and the zero vector's where it is part of the batch.
  /// - Parameter cuts: of the batch; each code's, one code after the other.
  func decoded(_ cuts: [[CutCode]]) -> (codes: [Int: DecodedCode], zero: CutCode?) {
    var rest = cuts[...]
    let zero = hasZero ? rest.removeFirst().first : nil
    var decoded: [Int: DecodedCode] = [:]
    for (place, planned, wholes) in members {
      let own = rest.prefix(wholes.count).flatMap(\.self)
      rest = rest.dropFirst(wholes.count)
      decoded[place] = DecodedCode(planned: planned, cuts: own, activations: wholes.first?.activations)
    }
    return (decoded, zero)
  }
}
