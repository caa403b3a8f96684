/// Puts the finding on one behaviour and layer into words.
struct VerdictWording {
  private let finding: CaseFinding
  private let settings: ReportData.Settings

  init(_ finding: CaseFinding, settings: ReportData.Settings) {
    self.finding = finding
    self.settings = settings
  }

  var badge: String {
    switch finding.outcome {
    case .lost: "encoder loses it"
    case .weakened: "encoder weakens it"
    case .kept: "encoder keeps it"
    case .reversed: "encoder reverses it"
    case .doesNotSteer: "does not steer"
    case .notMeasured:
      finding.original?.slope != nil && finding.standardErrors == nil ? "too few questions" : "not measured"
    }
  }

  var sentences: [String] {
    [original] + (finding.steers ? encoder + [alternatives].compactMap { $0 } : [overlap].compactMap { $0 })
  }

  // MARK: The original

  private var slopeUnit: String {
    let score = settings.score == "sum" ? "nats per answer" : "nats per answer token"
    return settings.unit == "activation-norm" ? score + ", for a push of the median activation norm" : score
  }

  private var original: String {
    guard let row = finding.original, let slope = row.slope else {
      return "The original vector was not steered with, so nothing can be said about what is kept of it."
    }
    let measured = "slope \(Figure.measured(slope, error: row.error)) \(slopeUnit)"
    guard let errors = finding.standardErrors else {
      return
        "The original was tested on \(row.questions == 1 ? "one question" : "too few questions") only (\(measured)): "
        + "there is no interval, so whether it steers is open."
    }
    let distance = "\(Figure.fixed(abs(errors), 1)) standard errors"
    let questions = row.questions.map { ", \(Figure.count($0)) questions" } ?? ""
    guard finding.steers else {
      return "The original does not steer measurably (\(measured), \(distance) from 0\(questions)): there is nothing "
        + "that a reconstruction could keep."
    }
    let way = slope < 0 ? "steers, but away from the behaviour" : "steers"
    return "The original \(way) (\(measured), \(distance)\(questions))."
  }

  // MARK: The encoder

  private var encoder: [String] {
    let dictionaries = finding.dictionaries.filter { $0.encode != nil }
    guard let headline = finding.headline else { return ["No SAE was put to the test here."] }
    guard let encode = headline.encode else {
      return ["The encoder's reading was not steered with."] + [overlap].compactMap { $0 }
    }
    var sentences: [String] = []
    let norm = headline.norm == "matched" ? "at matched norm" : "at its own, unmatched norm"
    if dictionaries.count > 1 {
      let shares = dictionaries.compactMap { $0.encode?.share.value }
      let range = Self.range(shares.map { max($0, -9.99) })
      sentences.append("Read through the encoder of \(dictionaries.count) SAEs, \(range) of that is left \(norm).")
      sentences.append("The most is lost through \(headline.sae):")
    }
    let cut = encode.sparsity == "all" ? "" : " (its \(encode.sparsity) largest features)"
    let zero = headline.zeroVector.map { "the zero vector's reconstruction alone gives \(Self.percent($0))" }
    let asides = [encode.share.isBeyondZero ? nil : "not told apart from 0", zero].compactMap { $0 }
    let aside = asides.isEmpty ? "" : " (\(asides.joined(separator: "; ")))"
    let sentence = "Read through the encoder\(cut), \(Self.kept(encode.share)) \(norm)\(aside)."
    if let last = sentences.last, last.hasSuffix(":") {
      sentences[sentences.count - 1] = last + " r" + sentence.dropFirst()
    } else {
      sentences.append(sentence)
    }
    return sentences + [overlap].compactMap { $0 }
  }

  private var overlap: String? {
    guard let headline = finding.headline ?? finding.dictionaries.first, let overlap = headline.overlap else {
      return nil
    }
    let baseline = headline.untrainedOverlap.map { " (an untrained dictionary: \(Figure.percent($0)))" } ?? ""
    return "Of the active features that the encoder reports, \(Figure.percent(overlap)) are also active for the zero "
      + "vector\(baseline)."
  }

  // MARK: What works instead

  private var alternatives: String? {
    guard let headline = finding.headline, !headline.others.isEmpty else { return nil }
    let floor = max(0.5, headline.encode?.share.value ?? 0)
    let good = headline.others.filter { $0.share.value > floor && $0.share.isBeyondZero }
    if good.isEmpty {
      let best = headline.others[0]
      let verb = finding.outcome == .kept || finding.outcome == .weakened ? "Nothing else keeps more" : "Nothing works"
      return "\(verb): of the other methods \(best.words) comes first, and keeps \(Self.percent(best.share))."
    }
    let list = good.prefix(3).map { "\($0.words) keeps \(Self.percent($0.share))" }
    return "What works \(finding.outcome == .lost || finding.outcome == .reversed ? "instead" : "better"): "
      + enumeration(list) + "."
  }

  // MARK: Controls

  var caveats: [String] {
    guard finding.steers, let slope = finding.original?.slope else { return [] }
    return [random(slope), shuffled(slope), zeroVector, untrained].compactMap { $0 }
  }

  private func random(_ slope: Double) -> String? {
    guard let largest = finding.random.map(abs).max() else { return nil }
    let count = finding.random.count
    let numbers =
      count == 1
      ? "slope \(Figure.significant(finding.random[0], 2))"
      : "slopes \(Figure.fixed(finding.random.min(), 2)) to \(Figure.fixed(finding.random.max(), 2))"
    let who = count == 1 ? "A random direction" : "\(count) random directions"
    if largest >= abs(slope) {
      return "\(who) of the same norm do\(count == 1 ? "es" : "") as much (\(numbers)), so the original's slope is no "
        + "evidence that its direction means anything."
    }
    return "\(who) of the same norm: \(numbers), the largest \(Figure.percent(largest / abs(slope))) of the original's."
  }

  private func shuffled(_ slope: Double) -> String? {
    guard let row = finding.shuffled, let value = row.slope else { return nil }
    let text = "With shuffled labels: slope \(Figure.measured(value, error: row.error))"
    return abs(value) >= 0.5 * abs(slope) ? text + ", at least half of the original's: be careful." : text + "."
  }

  private var zeroVector: String? {
    guard let headline = finding.headline, let encode = headline.encode?.share, let zero = headline.zeroVector,
      encode.value > 0, zero.value >= encode.value
    else { return nil }
    return
      "The zero vector's reconstruction does at least as much as the encoder's reading of the vector: what is left "
      + "is the bias, not the vector."
  }

  private var untrained: String? {
    guard let headline = finding.headline, let best = headline.untrained.first else { return nil }
    let list = headline.untrained.map { "\($0.words) keeps \(Self.percent($0.share))" }
    let text = "Through an untrained dictionary of the same shape, \(enumeration(list))"
    let trained = (headline.others + (headline.encode.map { [$0] } ?? [])).first { $0.method == best.method }
    guard let trained, best.share.value >= 0.95 * trained.share.value, best.share.value > 0.2 else { return text + "." }
    return text + ": as much as through the trained one, so credit \(best.method), not the learned features."
  }

  // MARK: Phrases

  private static func percent(_ share: Share) -> String { Figure.percent(share.value) }

  /// `15 % of that is left`, `nothing of that is left (-2 %)`.
  private static func kept(_ share: Share) -> String {
    if share.value < 0 {
      return share.isBeyondZero
        ? "it turns round: \(percent(share)) of that" : "nothing of that is left (\(percent(share)))"
    }
    return "\(percent(share)) of that is left"
  }

  /// `3 to 40 %`.
  static func range(_ shares: [Double]) -> String {
    guard let low = shares.min(), let high = shares.max() else { return "-" }
    let (a, b) = (Figure.fixed(low * 100, 0), Figure.fixed(high * 100, 0))
    return a == b ? "\(a) %" : "\(a) to \(b) %"
  }
}
