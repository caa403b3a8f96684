/// All behaviours and layers in one table, and by layer where there are several.
extension HTMLReport {
  var overview: Markup {
    guard !verdict.cases.isEmpty else { return "" }
    let rows = verdict.cases.enumerated().map { overviewRow($1, index: $0) }
    let table = HTMLTable(
      columns: [
        .text("behaviour"), .number("layer"), .text("finding"),
        .number("original's slope", "nats per unit of the coefficient, ± one standard error"),
        .number("encoder keeps", "faithfulness of the method encode at matched norm"),
        .number("zero vector", "faithfulness of the zero vector's reconstruction"),
        .number("best other method", "the other method with the highest faithfulness, at its best sparsity"),
        .number(
          "also active for zero", "share of the encoder's active features that are active for the zero vector too"),
        .number("untrained", "the same for a dictionary that has learned nothing"),
      ], rows: rows, isDense: true)
    return "<section>\n<h2>At a glance</h2>\n\(table.render())\(layerPlots)</section>\n"
  }

  private func overviewRow(_ verdict: Verdict.CaseVerdict, index: Int) -> [Markup] {
    let finding = verdict.finding
    let headline = finding.headline
    let name: Markup =
      index < Self.fullCases
      ? "<a href=\"#case-\(index + 1)\">\(verdict.key.behaviour)</a>" : "\(verdict.key.behaviour)"
    func share(_ share: Share?) -> Markup { Markup(number: Figure.percent(share?.value)) }
    let best: Markup =
      headline?.others.first.map { best in
        "\(share(best.share)) <span class=\"m\">\(MethodAppearance.label(method: best.method, sparsity: best.sparsity))</span>"
      } ?? "–"
    return [
      name, "\(verdict.key.layer)", CaseSection.badge(verdict),
      Markup(number: Figure.measured(finding.original?.slope, error: finding.original?.error)),
      "<b>\(share(headline?.encode?.share))</b>", share(headline?.zeroVector), best,
      Markup(number: Figure.percent(headline?.overlap)), Markup(number: Figure.percent(headline?.untrainedOverlap)),
    ]
  }

  /// Slopes over layers, a plot a behaviour, where there are three layers or more.
  private var layerPlots: Markup {
    var names: [String] = []
    for verdict in verdict.cases where !names.contains(verdict.key.behaviour) { names.append(verdict.key.behaviour) }
    let figures = names.prefix(12).compactMap { name -> Markup? in
      let findings = verdict.cases.map(\.finding).filter { $0.key.behaviour == name }
      guard findings.count >= 3 else { return nil }
      return Self.figure(
        "\(name) by layer", "Slopes at matched norm; bands: ± one standard error.", layerPlot(name, findings))
    }
    return figures.isEmpty ? "" : "<div class=\"grid\">\(figures)</div>\n"
  }

  private func layerPlot(_ name: String, _ findings: [CaseFinding]) -> Markup {
    func series(_ label: String, _ style: SeriesStyle, _ slope: (CaseFinding) -> Slope?) -> LinePlot.Series {
      let points = findings.compactMap { finding in
        slope(finding).flatMap { row in
          row.slope.map { LinePlot.Point(x: Double(finding.key.layer), y: $0, error: row.error ?? 0) }
        }
      }
      return LinePlot.Series(label: label, style: style, points: points, isMain: label == "original")
    }
    let byKey = Dictionary(data.cases.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
    func kept(_ finding: CaseFinding, _ choose: (DictionaryFinding) -> MethodShare?) -> Slope? {
      guard let headline = finding.headline, let chosen = choose(headline) else { return nil }
      return byKey[finding.key]?.reconstructions(sae: headline.sae, norm: headline.norm).first {
        $0.variant.method == chosen.method && $0.variant.sparsity == chosen.sparsity
      }
    }
    let lines = [
      series("original", SeriesStyle(color: "original")) { $0.original },
      series("encode", MethodAppearance.style(ofMethod: "encode")) { kept($0, \.encode) },
      series("best other method", SeriesStyle(color: "signed")) { kept($0, \.others.first) },
    ]
    return LinePlot(
      title: "Slopes of \(name) over layers", xLabel: "layer", yLabel: "slope, nats per unit", series: lines,
      region: nil
    ).render()
  }

  /// A chart with its heading and a line of explanation.
  static func figure(_ heading: String, _ caption: Markup, _ chart: Markup, isWide: Bool = false) -> Markup {
    let kind: Markup = isWide ? " class=\"wide\"" : ""
    return "<figure\(kind)><figcaption><b>\(heading)</b> \(caption)</figcaption>\n\(chart)</figure>\n"
  }
}
