internal import SweepRecords

/// Puts what all behaviours and layers have in common into words.
struct OverallWording {
  private let findings: [CaseFinding]
  private let data: ReportData

  init(_ findings: [CaseFinding], data: ReportData) {
    self.findings = findings
    self.data = data
  }

  var sentences: [String] {
    guard !findings.isEmpty else { return ["There are no results yet."] + unfinished }
    let measured = findings.filter { $0.original?.slope != nil }
    guard !measured.isEmpty else { return ["No steering has been measured yet."] + unfinished }
    let steering = measured.filter(\.steers)
    guard !steering.isEmpty else {
      return ["No vector steers the model measurably, so nothing can be said about what reconstructions keep."]
        + unfinished
    }
    return [steers(steering.count, of: measured.count)] + encoder(steering) + alternatives(steering) + unfinished
  }

  private func steers(_ count: Int, of total: Int) -> String {
    if total == 1 { return "The steering vector steers the model." }
    return count == total
      ? "\(total == 2 ? "Both" : "All \(total)") steering vectors steer the model."
      : "\(count) of \(total) steering vectors steer\(count == 1 ? "s" : "") the model; the rest of this is about "
        + (count == 1 ? "it." : "those.")
  }

  private func encoder(_ steering: [CaseFinding]) -> [String] {
    let read = steering.filter { $0.headline?.encode != nil }
    guard !read.isEmpty else { return ["None was steered with as an SAE's encoder reads it."] }
    let shares = read.compactMap { $0.headline?.encode?.share.value }
    let isMatched = read.allSatisfy { $0.headline?.norm == "matched" }
    let lost = read.filter { $0.outcome == .lost || $0.outcome == .reversed }.count
    var sentence = "Read through the SAE's encoder and rebuilt\(isMatched ? " at the same norm" : ""), "
    if read.count == 1 {
      sentence += "it keeps \(VerdictWording.range(shares)) of its effect."
    } else {
      sentence += "they keep \(VerdictWording.range(shares)) of their effect"
      sentence +=
        lost == 0
        ? "." : lost == read.count ? ", less than half every time." : ": less than half in \(lost) of \(read.count)."
    }
    let overlaps = read.compactMap { $0.headline?.overlap }
    guard !overlaps.isEmpty else { return [sentence] }
    let possessive = read.count == 1 ? "its" : "their"
    let untrained = read.compactMap { $0.headline?.untrainedOverlap }
    let baseline =
      untrained.isEmpty ? "" : " (a dictionary that has learned nothing: \(VerdictWording.range(untrained)))"
    let range = VerdictWording.range(overlaps)
    return [sentence, "Of \(possessive) active features \(range) are active for the zero vector too\(baseline)."]
  }

  private func alternatives(_ steering: [CaseFinding]) -> [String] {
    var shares: [String: [Double]] = [:]
    for finding in steering {
      for other in finding.headline?.others ?? [] { shares[other.method, default: []].append(other.share.value) }
    }
    let complete = shares.filter { $0.value.count == steering.count }
    let means = complete.map { (method: $0.key, mean: $0.value.reduce(0, +) / Double($0.value.count)) }
      .sorted { ($1.mean, $0.method) < ($0.mean, $1.method) }
    guard let best = means.first, let values = complete[best.method] else { return [] }
    let encoded = steering.compactMap { $0.headline?.encode?.share.value }
    guard best.mean > 0.5, best.mean > encoded.reduce(0, +) / Double(max(encoded.count, 1)) else {
      return ["No other method does clearly better: the best, \(best.method), keeps \(VerdictWording.range(values))."]
    }
    let second = means.dropFirst().first { $0.mean > 0.5 }
    let also = second.map { ", \($0.method) \(VerdictWording.range(complete[$0.method] ?? []))" } ?? ""
    return [
      "Other methods do better: \(best.method) keeps \(VerdictWording.range(values))\(also)."
    ]
  }

  private var unfinished: [String] {
    let parked = data.taskCounts[.parked] ?? 0
    let open = [TaskState.blocked, .ready, .queued, .running].reduce(0) { $0 + (data.taskCounts[$1] ?? 0) }
    var sentences: [String] = []
    if open > 0 {
      sentences.append("The sweep has not ended (\(Figure.count(open)) tasks are open): all this may change.")
    }
    if parked > 0 {
      sentences.append("\(Figure.count(parked)) task\(parked == 1 ? " has" : "s have") failed, so results are missing.")
    }
    return sentences
  }
}
