/// Everything on one behaviour at one layer.
struct CaseSection {
  let results: ReportData.Case
  let verdict: Verdict.CaseVerdict
  let data: ReportData
  /// The dictionary that the plots are about: the one that the verdict speaks of.
  let sae: String?
  /// `matched`, or `raw` where nothing else was steered with.
  let norm: String

  init(_ results: ReportData.Case, verdict: Verdict.CaseVerdict, data: ReportData) {
    self.results = results
    self.verdict = verdict
    self.data = data
    sae = verdict.finding.headline?.sae ?? results.saes.first
    norm = verdict.finding.headline?.norm ?? "matched"
  }

  static func badge(_ verdict: Verdict.CaseVerdict) -> Markup {
    let kind: Markup =
      switch verdict.finding.outcome {
      case .lost, .reversed: "lost"
      case .weakened: "weakened"
      case .kept: "kept"
      case .doesNotSteer, .notMeasured: "open"
      }
    return "<span class=\"badge \(kind)\">\(verdict.badge)</span>"
  }

  func render(anchor: String, isOpen: Bool) -> Markup {
    let caveats: Markup =
      verdict.caveats.isEmpty
      ? "" : "<p class=\"caveats\"><b>Controls.</b> \(Markup(number: verdict.caveats.joined(separator: " ")))</p>\n"
    let others = results.saes.filter { $0 != sae }
    let scope: Markup =
      sae.map { name in
        let also: Markup = others.isEmpty ? "" : " (the others: \(enumeration(others)))"
        return "<p class=\"note\">Charts are about the SAE <b>\(name)</b>\(also), where nothing else is said.</p>\n"
      } ?? "<p class=\"note\">No SAE was applied to this vector.</p>\n"
    return """
      <section class="case" id="\(anchor)"><details\(isOpen ? " open" : "" as Markup)><summary><h2>\(verdict.key.behaviour) \
      <small>layer \(verdict.key.layer)</small> \(Self.badge(verdict))</h2></summary>
      <p class="finding">\(Markup(number: verdict.sentences.joined(separator: " ")))</p>
      \(caveats)\(scope)<div class="grid">
      \(figures)</div>
      \(FeatureTables(self).render())</details></section>

      """
  }

  /// The charts for which there are data; what is missing is named in a sentence.
  private var figures: Markup {
    var figures: [Markup] = []
    var missing: [String] = []
    func add(_ figure: Markup?, orSay what: String) {
      if let figure { figures.append(figure) } else { missing.append(what) }
    }
    let steering = SteeringCharts(self)
    let code = CodeCharts(self)
    add(steering.curves, orSay: "steering curves (nothing was steered with)")
    for faithfulness in steering.faithfulness { figures.append(faithfulness) }
    if steering.faithfulness.isEmpty { missing.append(steering.whyNoFaithfulness) }
    add(code.norms, orSay: "activation norms")
    add(code.overlap, orSay: "overlap with the zero vector (no encoder was applied)")
    if let axis = code.axis { figures.append(axis) }
    add(code.signs, orSay: "signed projections")
    if let effects = steering.sideEffects { figures.append(effects) }
    let note: Markup =
      missing.isEmpty ? "" : "<p class=\"note wide\">Not shown: \(missing.joined(separator: "; ")).</p>\n"
    return "\(figures)\(note)"
  }
}
