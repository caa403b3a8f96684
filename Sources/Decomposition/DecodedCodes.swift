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
  private(set) var batch: CodeBatch
  private var members: [(place: Int, planned: PlannedCode, wholes: [WholeCode])] = []
  private let hasZero: Bool

  /// Reconstructions that are made at once: they stay in the caches while the decoder's rows are added to them.
  private static let rowsAtOnce = 160
  /// Entries that are decoded at once: 64 MB.
  private static let entriesAtOnce = 1 << 23

  /// - Parameter zero: the zero vector's code, decoded before the others.
  init(_ autoencoder: SparseAutoencoder, zero: WholeCode? = nil) {
    batch = CodeBatch(autoencoder)
    hasZero = zero != nil
    if let zero { batch.append(zero, cutTo: [.all], withNegativeEnergy: false) }
  }

  /// Whether it makes no sense to add more.
  var isFull: Bool { batch.rows.count >= Self.rowsAtOnce || batch.rows.entries >= Self.entriesAtOnce }

  /// Adds what a method made: one code, or one for each sparsity.
  mutating func append(_ wholes: [WholeCode], of planned: PlannedCode, at place: Int) {
    members.append((place, planned, wholes))
    for whole in wholes {
      let cuts = planned.method.isPursuit ? [.all] : planned.sparsities
      batch.append(whole, cutTo: cuts, withNegativeEnergy: planned.method.isSigned)
    }
  }

  /// The codes by their places in the plan, and the zero vector's where it is part of the batch.
  /// - Parameter cuts: of the batch; each code's, one code after the other.
  func decoded(_ cuts: [[CutCode]]) -> (codes: [Int: DecodedCode], zero: CutCode?) {
    var rest = cuts[...]
    let zero = hasZero ? rest.removeFirst().first : nil
    var codes: [Int: DecodedCode] = [:]
    for (place, planned, wholes) in members {
      let own = rest.prefix(wholes.count).flatMap(\.self)
      rest = rest.dropFirst(wholes.count)
      codes[place] = DecodedCode(planned: planned, cuts: own, activations: wholes.first?.activations)
    }
    return (codes, zero)
  }
}

/// The codes of a plan in its order, decoded in batches: what lies ahead shares the pass over the decoder with what is asked for.
struct DecodedCodes {
  private let plan: DecompositionPlan
  private let prepared: PreparedDecompositions
  private let pool: ThreadPool
  private var made: EncoderCodes
  /// What has been decoded and not been taken.
  private var ready: [Int: DecodedCode]

  init(_ plan: DecompositionPlan, _ prepared: PreparedDecompositions, _ request: DecompositionRequest, pool: ThreadPool) {
    self.plan = plan
    self.prepared = prepared
    self.pool = pool
    made = EncoderCodes(prepared.encoded, request)
    ready = prepared.first
  }

  /// The codes that follow each other in the plan from the first of these places on, as many as have been decoded, one at least.
  /// - Precondition: places are taken in their order, each once.
  mutating func take(_ places: Range<Int>) -> [DecodedCode] {
    if ready[places.lowerBound] == nil { decode(from: places.lowerBound) }
    var taken: [DecodedCode] = []
    for place in places {
      guard let code = ready.removeValue(forKey: place) else { break }
      taken.append(code)
    }
    return taken
  }

  private mutating func decode(from first: Int) {
    var batch = PlannedBatch(prepared.encoded.autoencoder)
    for place in first..<plan.codes.count where ready[place] == nil {
      if batch.isFull { break }
      batch.append(wholes(plan.codes[place]), of: plan.codes[place], at: place)
    }
    ready.merge(batch.decoded(batch.batch.decoded(pool: pool)).codes) { first, _ in first }
  }

  /// The codes of a method: one, one for each sparsity of a pursuit, or none where the request does not have what it needs.
  private mutating func wholes(_ planned: PlannedCode) -> [WholeCode] {
    let norms = prepared.decoder.norms
    if planned.method.isPursuit {
      return prepared.pursuit(planned.row, planned.method).map { WholeCode.ofUnitRows($0, norms: norms) }
    }
    let whole: WholeCode? =
      switch planned.method {
      case .pairDifference: prepared.pairs[planned.row]?.whole
      case .projection: .projection(prepared.projections.row(planned.row), norms: norms)
      default: made.whole(planned)
      }
    return whole.map { [$0] } ?? []
  }
}
