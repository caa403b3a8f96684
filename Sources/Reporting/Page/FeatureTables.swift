/// The top features of a vector as the encoder reads them, beside those of the method that works best.
struct FeatureTables {
  private let section: CaseSection
  private static let rows = 10

  init(_ section: CaseSection) { self.section = section }

  func render() -> Markup {
    let rows = section.results.features.filter { $0.sae == section.sae }
    guard !rows.isEmpty else { return "" }
    let best = section.verdict.finding.headline?.others.first { other in rows.contains { $0.method == other.method } }
    let other =
      best?.method
      ?? ["pair-difference", "gradient-pursuit-signed"].first { name in
        rows.contains { $0.method == name }
      }
    let tables = [
      table("encode", rows, note: "What the SAE's encoder reports"),
      other.flatMap { table($0, rows, note: best == nil ? "" : "The method that keeps most of the steering") },
    ].compactMap { $0 }
    return "<div class=\"grid\">\(tables)</div>\n"
  }

  private func table(_ method: String, _ rows: [FeatureRow], note: String) -> Markup? {
    let ofMethod = rows.filter { $0.method == method }
    guard let fullest = ofMethod.max(by: { sparsityOrder($0.sparsity) < sparsityOrder($1.sparsity) }) else {
      return nil
    }
    let chosen = ofMethod.filter { $0.sparsity == fullest.sparsity && $0.convention == fullest.convention }
      .sorted { $0.rank < $1.rank }.prefix(Self.rows)
    let table = HTMLTable(
      columns: [
        .number("feature", "its index in the SAE"), .number("coefficient", "in the code"),
        .number("projection", "of the vector on the feature's decoder direction"),
        .text("in zero vector", "whether it is active for the zero vector too"),
        .text("promotes", "the tokens whose logits its decoder direction raises most"),
      ],
      rows: chosen.map { row in
        let zero: Markup =
          row.isInZeroVector.map { $0 ? "<span class=\"yes\">yes</span>" : "no" } ?? "–"
        let tokens = row.promotedTokens.prefix(5).map { token -> Markup in
          "<code class=\"token\">\(visibleToken(token))</code> "
        }
        return [
          "\(row.feature)", Markup(number: Figure.significant(row.coefficient)),
          Markup(number: Figure.significant(row.projection)), zero, "\(tokens)",
        ]
      })
    let name = MethodAppearance.label(method: method, sparsity: fullest.sparsity)
    let words: Markup = note.isEmpty ? "" : "\(note)"
    return "<figure><figcaption><b>Top features, \(name)</b>\(words)</figcaption>\n\(table.render())</figure>\n"
  }
}
