internal import Kernels

/// The codes of a plan in its order, decoded in batches: what lies ahead shares the pass over the decoder with what is asked for.
struct DecodedCodes {
  private let plan: DecompositionPlan
  private let prepared: PreparedDecompositions
  private let pool: ThreadPool
  private let made: EncoderCodes
  /// What has been decoded and not been taken.
  private var ready: [Int: DecodedCode]

  /// - Parameter first: what has been decoded already, by places in the plan.
  init(
    _ plan: DecompositionPlan, _ prepared: PreparedDecompositions, first: [Int: DecodedCode], pool: ThreadPool
  ) {
    self.plan = plan
    self.prepared = prepared
    self.pool = pool
    made = EncoderCodes(prepared.encoded, plan.request)
    ready = first
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
    var batch = PlannedBatch(prepared.encoded.autoencoder, limits: plan.limits)
    let places = (first..<plan.codes.count).filter { ready[$0] == nil }
    batch.fill(places, of: plan, pool: pool) { [self] in wholes($0) }
    ready.merge(batch.decoded(batch.codes.decoded(pool: pool)).codes) { first, _ in first }
  }

  /// The codes of a method: one, one for each sparsity of a pursuit, or none where the request does not have what it needs.
  private func wholes(_ planned: PlannedCode) -> [WholeCode] {
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
