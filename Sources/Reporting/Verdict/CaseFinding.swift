internal import Foundation

/// A share of the original's steering with its standard error.
struct Share: Sendable, Equatable {
  var value: Double
  /// Nil where one of the two slopes has none.
  var error: Double?

  /// Whether it is told apart from 0 at 1.96 standard errors; without an error it is not.
  var isBeyondZero: Bool { error.map { abs(value) >= 1.96 * $0 } ?? false }

  /// The share of `slope` in `original`, where the store says that there is one. The errors are taken as independent, which they
  /// are not quite (the questions are the same), so the interval is a little too wide.
  init?(_ slope: Slope?, of original: Slope?) {
    guard let slope, let share = slope.share, let value = slope.slope, let whole = original?.slope, whole != 0 else {
      return nil
    }
    self.value = share
    if let error = slope.error, let wholeError = original?.error {
      let (a, b) = (error / whole, wholeError * value / (whole * whole))
      self.error = (a * a + b * b).squareRoot()
    }
  }
}

/// A method at a sparsity, and how much it keeps.
struct MethodShare: Sendable {
  var method: String
  var sparsity: String
  var share: Share

  /// `gradient-pursuit-signed with 32 atoms`, `encode`.
  var words: String { sparsity == "all" ? method : "\(method) with \(sparsity) atoms" }
}

/// What one dictionary does to one steering vector.
struct DictionaryFinding: Sendable {
  var sae: String
  /// `matched`, or `raw` where nothing else was steered with.
  var norm: String
  /// The encoder's whole code (or the fullest one that was steered with).
  var encode: MethodShare?
  var zeroVector: Share?
  /// Active features that are active for the zero vector too, and the same of the untrained dictionary.
  var overlap: Double?
  var untrainedOverlap: Double?
  /// Each other method at its best sparsity, the best first.
  var others: [MethodShare]
  /// The untrained dictionary's share by method.
  var untrained: [MethodShare]

  init(_ results: ReportData.Case, sae: String) {
    self.sae = sae
    norm = results.reconstructions(sae: sae).isEmpty ? "raw" : "matched"
    let original = results.original
    func shares(_ slopes: [Slope]) -> [MethodShare] {
      slopes.compactMap { slope in
        guard let method = slope.variant.method, let share = Share(slope, of: original) else { return nil }
        return MethodShare(method: method, sparsity: slope.variant.sparsity ?? "all", share: share)
      }
    }
    let all = shares(results.reconstructions(sae: sae, norm: norm))
    encode = all.filter { $0.method == "encode" }
      .max { sparsityOrder($0.sparsity) < sparsityOrder($1.sparsity) }
    zeroVector = Share(results.zeroVector(sae: sae, norm: norm), of: original)
    overlap = results.dominance.first { $0.sae == sae }?.overlap
    untrainedOverlap = results.dominance.first { $0.sae == untrainedPrefix + sae }?.overlap
    others = Self.best(all.filter { $0.method != "encode" })
    untrained = Self.best(shares(results.untrained(of: sae, norm: norm)))
  }

  /// One entry a method: its largest share; the largest first.
  private static func best(_ shares: [MethodShare]) -> [MethodShare] {
    var best: [String: MethodShare] = [:]
    for share in shares where share.share.value > best[share.method]?.share.value ?? -.infinity {
      best[share.method] = share
    }
    return best.values.sorted { ($1.share.value, $0.method) < ($0.share.value, $1.method) }
  }
}

/// What was found for a behaviour at a layer, before it is put in words.
struct CaseFinding: Sendable {
  enum Outcome: Sendable, Equatable {
    /// The encoder keeps less than half of the steering.
    case lost
    /// It keeps half or more, but less than nine tenths.
    case weakened
    case kept
    /// It turns the steering round.
    case reversed
    /// The original's interval contains 0: there is nothing to keep.
    case doesNotSteer
    /// Nothing was steered with, or through no SAE's encoder.
    case notMeasured
  }

  var key: CaseKey
  var original: Slope?
  var dictionaries: [DictionaryFinding]
  /// Slopes of the random directions.
  var random: [Double]
  var shuffled: Slope?

  init(_ results: ReportData.Case) {
    key = results.key
    original = results.original
    dictionaries = results.saes.map { DictionaryFinding(results, sae: $0) }
    random = results.controls("random-").compactMap(\.slope)
    shuffled = results.controls("shuffled-").first
  }

  /// The original's slope in its standard errors; nil where one is missing.
  var standardErrors: Double? {
    guard let slope = original?.slope, let error = original?.error, error > 0 else { return nil }
    return slope / error
  }

  /// Whether the original's slope is told apart from 0 at 1.96 standard errors, as the views have it.
  var steers: Bool { standardErrors.map { abs($0) >= 1.96 } ?? false }

  /// The dictionary that loses most through its encoder.
  var headline: DictionaryFinding? {
    dictionaries.filter { $0.encode != nil }
      .min { ($0.encode?.share.value ?? .infinity) < ($1.encode?.share.value ?? .infinity) } ?? dictionaries.first
  }

  var outcome: Outcome {
    guard original?.slope != nil else { return .notMeasured }
    guard steers else { return standardErrors == nil ? .notMeasured : .doesNotSteer }
    guard let share = headline?.encode?.share else { return .notMeasured }
    if share.value < 0, share.isBeyondZero { return .reversed }
    return share.value < 0.5 ? .lost : share.value < 0.9 ? .weakened : .kept
  }
}
