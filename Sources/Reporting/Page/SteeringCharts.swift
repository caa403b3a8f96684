/// The charts of a case that come from steering: curves, faithfulness, side effects.
struct SteeringCharts {
  private let section: CaseSection
  private var results: ReportData.Case { section.results }

  init(_ section: CaseSection) { self.section = section }

  private var xLabel: String {
    section.data.settings.unit == "activation-norm"
      ? "coefficient (median activation norms)" : "coefficient (multiples of the vector)"
  }

  // MARK: Which lines

  /// At most eight variants: the original, the encoder's reading, the best other methods, the controls.
  private var chosen: [Variant] {
    let finding = section.verdict.finding
    var variants = [finding.original?.variant ?? Variant("original")]
    guard let sae = section.sae else { return variants + results.controls("shuffled-").prefix(1).map(\.variant) }
    let reconstructions = results.reconstructions(sae: sae, norm: section.norm)
    var best: [String: Slope] = [:]
    for row in reconstructions {
      guard let method = row.variant.method else { continue }
      let isWhole = method == "encode" || method == "encode-scaled"
      if let known = best[method] {
        let isBetter =
          isWhole
          ? sparsityOrder(row.variant.sparsity) > sparsityOrder(known.variant.sparsity)
          : (row.slope ?? -.infinity) > (known.slope ?? -.infinity)
        if !isBetter { continue }
      }
      best[method] = row
    }
    if let encode = best.removeValue(forKey: "encode") { variants.append(encode.variant) }
    let others = best.values.sorted { ($0.slope ?? -.infinity) > ($1.slope ?? -.infinity) }
    variants += others.prefix(4).map(\.variant)
    if let zero = results.zeroVector(sae: sae, norm: section.norm) { variants.append(zero.variant) }
    let untrained = results.untrained(of: sae, norm: section.norm).max { ($0.slope ?? 0) < ($1.slope ?? 0) }
    if let untrained { variants.append(untrained.variant) }
    return variants
  }

  // MARK: Curves

  private var slopeErrors: [Variant: Double] {
    Dictionary(
      results.slopes.compactMap { row in row.error.map { (row.variant, $0) } }, uniquingKeysWith: { first, _ in first })
  }

  /// Curves as changes against the unsteered model where it was measured, else as they are.
  private func points(of variant: Variant, errors: [Variant: Double]) -> [LinePlot.Point] {
    let curve = results.curves.filter { $0.variant == variant && $0.propensity != nil }
    let base = curve.first { $0.coefficient == 0 }?.propensity
    return curve.compactMap { point in
      guard let value = point.propensity else { return nil }
      guard let base else { return LinePlot.Point(x: point.coefficient, y: value, error: point.error ?? 0) }
      // Questions differ far more from one another than their changes do: the slope's error is that of a change.
      return LinePlot.Point(
        x: point.coefficient, y: value - base, error: (errors[variant] ?? 0) * abs(point.coefficient))
    }
  }

  private var randomRegion: LinePlot.Region? {
    let names = Set(results.curves.map(\.variant).filter { $0.name.hasPrefix("random-") })
    guard !names.isEmpty else { return nil }
    var values: [Double: [Double]] = [:]
    for variant in names {
      for point in points(of: variant, errors: [:]) { values[point.x, default: []].append(point.y) }
    }
    let region = values.sorted { $0.key < $1.key }.map { entry in
      let values = entry.value
      return (x: entry.key, low: values.min() ?? 0, high: values.max() ?? 0)
    }
    guard region.count > 1 else { return nil }
    return LinePlot.Region(label: names.count == 1 ? "random" : "\(names.count) random", points: region)
  }

  var curves: Markup? {
    let errors = slopeErrors
    let series = chosen.map { variant in
      LinePlot.Series(
        label: MethodAppearance.label(of: variant), style: MethodAppearance.style(of: variant),
        points: points(of: variant, errors: errors), isMain: variant.name == "original")
    }.filter { !$0.points.isEmpty }
    guard !series.isEmpty else { return nil }
    let isChange = results.curves.contains { $0.coefficient == 0 && $0.propensity != nil }
    let plot = LinePlot(
      title: "Steering curves of \(results.key.behaviour), layer \(results.key.layer)", xLabel: xLabel,
      yLabel: isChange ? "change of propensity, nats" : "propensity, nats", series: series, region: randomRegion)
    let bands = isChange ? "± one standard error of the slope" : "± one standard error"
    let norm = section.norm == "matched" ? "rescaled to the original's norm" : "at their own norms, not rescaled"
    return HTMLReport.figure(
      "Does it still steer?",
      "The steeper, the more the model does what the vector stands for. Reconstructions \(norm); bands: \(bands).",
      plot.render())
  }

  // MARK: Faithfulness

  var whyNoFaithfulness: String {
    section.verdict.finding.original?.slope != nil && !section.verdict.finding.steers
      ? "faithfulness (the original's own slope is not told apart from 0)"
      : "faithfulness (no reconstruction was steered with)"
  }

  /// A dot plot for each dictionary, at most four.
  var faithfulness: [Markup] {
    let names = ([section.sae].compactMap { $0 } + results.saes.filter { $0 != section.sae }).prefix(4)
    return names.compactMap { sae in
      let groups = methods(sae) + baselines(sae)
      guard groups.contains(where: { $0.heading.isEmpty && !$0.rows.isEmpty }) else { return nil }
      let plot = DotPlot(
        title: "Faithfulness by method and sparsity, SAE \(sae)", xLabel: "share of the original's slope",
        groups: groups,
        marks: [.init(value: 0, label: "none"), .init(value: 1, label: "all of it")])
      return HTMLReport.figure(
        names.count == 1 ? "How much is kept, by method" : "How much is kept: \(sae)",
        "Slope / the original's, with 95 % intervals; the grey numbers are sparsities. Hollow: baselines (random directions: mean and range).",
        plot.render())
    }
  }

  private func row(_ slope: Slope, label: String, isHollow: Bool = false) -> DotPlot.Row? {
    guard let share = Share(slope, of: results.original) else { return nil }
    let interval = share.error.map { (share.value - 1.96 * $0)...(share.value + 1.96 * $0) }
    return DotPlot.Row(
      label: label, value: share.value, interval: interval, text: Figure.typographic(Figure.percent(share.value)),
      style: MethodAppearance.style(of: slope.variant), isHollow: isHollow)
  }

  private func methods(_ sae: String) -> [DotPlot.Group] {
    let slopes = results.reconstructions(sae: sae, norm: section.norm)
    let methods = Set(slopes.compactMap(\.variant.method)).sorted(by: MethodAppearance.precedes)
    return methods.map { method in
      let rows = slopes.filter { $0.variant.method == method }
        .sorted { sparsityOrder($0.variant.sparsity) < sparsityOrder($1.variant.sparsity) }
        .compactMap { row($0, label: $0.variant.sparsity ?? "") }
      return DotPlot.Group(label: method, rows: rows)
    }
  }

  private func baselines(_ sae: String) -> [DotPlot.Group] {
    var rows: [DotPlot.Group] = []
    func add(_ label: String, _ slopes: [Slope]) {
      let made = slopes.compactMap { row($0, label: $0.variant.sparsity ?? "", isHollow: true) }
      if !made.isEmpty { rows.append(DotPlot.Group(label: label, rows: made)) }
    }
    add("zero vector", results.zeroVector(sae: sae, norm: section.norm).map { [$0] } ?? [])
    let untrained = results.untrained(of: sae, norm: section.norm)
    for method in Set(untrained.compactMap(\.variant.method)).sorted(by: MethodAppearance.precedes) {
      let name = "untrained " + MethodAppearance.label(method: method, sparsity: nil)
      add(
        name,
        untrained.filter { $0.variant.method == method }
          .sorted { sparsityOrder($0.variant.sparsity) < sparsityOrder($1.variant.sparsity) })
    }
    add("shuffled labels", Array(results.controls("shuffled-").prefix(1)))
    if let random = randomRow { rows.append(DotPlot.Group(label: "random directions", rows: [random])) }
    if !rows.isEmpty { rows[0].heading = "baselines" }
    return rows
  }

  /// The random directions as one row: their mean and range.
  private var randomRow: DotPlot.Row? {
    let shares = results.controls("random-").compactMap(\.share)
    guard let low = shares.min(), let high = shares.max() else { return nil }
    let mean = shares.reduce(0, +) / Double(shares.count)
    return DotPlot.Row(
      label: shares.count == 1 ? "" : "\(shares.count)", value: mean, interval: low...high,
      text: Figure.typographic(Figure.percent(mean)), style: SeriesStyle(color: "random"), isHollow: true)
  }

  // MARK: Side effects

  var sideEffects: Markup? {
    let series = chosen.map { variant in
      let points = results.curves.filter { $0.variant == variant }.compactMap { point in
        point.crossEntropyChange.map { LinePlot.Point(x: point.coefficient, y: $0) }
      }
      return LinePlot.Series(
        label: MethodAppearance.label(of: variant), style: MethodAppearance.style(of: variant), points: points,
        isMain: variant.name == "original")
    }.filter { !$0.points.isEmpty }
    guard !series.isEmpty else { return nil }
    let plot = LinePlot(
      title: "Side effects on neutral text", xLabel: xLabel, yLabel: "cross-entropy change, nats a token",
      series: series,
      region: nil)
    return HTMLReport.figure(
      "Does it break the model?",
      "How much worse the steered model predicts neutral text: steering by breaking the model shows here.",
      plot.render())
  }
}
