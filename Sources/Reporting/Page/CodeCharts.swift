/// The charts of a case that come from its decompositions: norms, overlap with the zero vector, signs.
struct CodeCharts {
  private let section: CaseSection
  private var results: ReportData.Case { section.results }

  init(_ section: CaseSection) { self.section = section }

  // MARK: Norms

  var norms: Markup? {
    guard let statistics = section.data.norms.first(where: { $0.layer == results.key.layer }),
      let histogram = statistics.histogram
    else { return nil }
    let vector = results.vectors.first { $0.name == "original" }?.norm ?? results.decompositions.first?.vectorNorm
    var markers: [Histogram.Marker] = []
    if let vector {
      markers.append(
        .init(
          label: "steering vector: \(Figure.significant(vector))", value: vector, style: SeriesStyle(color: "original"))
      )
      for row in norms(vector: vector) { markers.append(row) }
    }
    let plot = Histogram(
      title: "Norms of activations at layer \(results.key.layer), and of the vectors", xLabel: "Euclidean norm",
      yLabel: "tokens", edges: histogram.edges, counts: histogram.counts, markers: markers)
    return HTMLReport.figure("Is the vector like what the SAE was trained on?", caption(statistics), plot.render())
  }

  private func caption(_ statistics: ActivationNorms) -> Markup {
    let tokens = statistics.tokens.map { "Norms of \(Figure.count($0)) activations" } ?? "Norms of activations"
    let median = statistics.median.map { " (median \(Figure.significant($0)))" } ?? ""
    let percentile = results.decompositions.first { $0.normPercentile != nil }?.normPercentile
    let place =
      percentile.map { percentile in
        if percentile <= 0 { return "; the vector is shorter than all of them" }
        if percentile >= 100 { return "; the vector is longer than all of them" }
        return "; the vector is longer than \(Figure.significant(percentile, 2)) % of them"
      } ?? ""
    return "\(tokens + median + place). Reconstructions are shown at their own norms."
  }

  /// The norms of what the methods rebuild, one a method: encoders with their bias, as decoders give it.
  private func norms(vector: Double) -> [Histogram.Marker] {
    let rows = results.decompositions.filter { $0.isConfigured && $0.sae == section.sae && $0.normRatio != nil }
    var chosen: [String: DecompositionRow] = [:]
    for row in rows {
      if let known = chosen[row.method] {
        let (a, b) = (sparsityOrder(row.sparsity), sparsityOrder(known.sparsity))
        guard a > b || (a == b && row.convention == "with-bias") else { continue }
      }
      chosen[row.method] = row
    }
    return chosen.values.sorted { MethodAppearance.precedes($0.method, $1.method) }.prefix(7).map { row in
      let norm = (row.normRatio ?? 0) * vector
      let bias = row.convention == "with-bias" ? " with bias" : ""
      let name = MethodAppearance.label(method: row.method, sparsity: row.sparsity)
      return .init(
        label: "\(name)\(bias): \(Figure.significant(norm))", value: norm,
        style: MethodAppearance.style(ofMethod: row.method))
    }
  }

  // MARK: Overlap with the zero vector

  var overlap: Markup? {
    guard let sae = section.sae, let trained = results.dominance.first(where: { $0.sae == sae }) else { return nil }
    let untrained = results.dominance.first { $0.sae == untrainedPrefix + sae }
    let scaled = results.decompositions.filter {
      $0.isConfigured && $0.sae == sae && $0.method == "encode-scaled" && $0.zeroOverlap != nil
    }.max { sparsityOrder($0.sparsity) < sparsityOrder($1.sparsity) }
    func bar(_ label: String, _ value: Double?, _ color: String, isHollow: Bool = false) -> Bars.Bar? {
      value.map {
        Bars.Bar(
          label: label, value: $0, text: Figure.typographic(Figure.percent($0)), style: SeriesStyle(color: color),
          isHollow: isHollow)
      }
    }
    func group(_ label: String, _ key: KeyPath<BiasDominance, Double?>, scaled: Double? = nil) -> Bars.Group {
      let bars = [
        bar("encode", trained[keyPath: key], "encode"), bar("encode-scaled", scaled, "scaled"),
        bar("untrained", untrained?[keyPath: key], "untrained", isHollow: true),
      ]
      return Bars.Group(label: label, bars: bars.compactMap { $0 })
    }
    let plot = Bars(
      title: "What the encoder's code of the vector shares with that of the zero vector",
      groups: [
        group("Active features that are active for zero too", \.overlap, scaled: scaled?.zeroOverlap),
        group("Common features / features of either (Jaccard)", \.jaccard),
        group("Activation mass that zero explains", \.massShare),
        group("Bias in the pre-activations of active features", \.biasShare),
      ])
    let counts =
      trained.l0.map { l0 in
        " \(Figure.count(l0)) features are active for the vector"
          + (trained.zeroL0.map { ", \(Figure.count($0)) for zero." } ?? ".")
      } ?? ""
    let baseline =
      untrained == nil ? "" : " The untrained dictionary is the baseline: what it shows, too, is not learned."
    return HTMLReport.figure(
      "Is it the vector that speaks, or the bias?",
      "What the encoder's code of the vector shares with its code of the zero vector.\(counts)\(baseline)",
      plot.render())
  }

  // MARK: The coefficient axis

  /// L0 and overlap as the coefficient runs over what the model is steered with, twice as far each way.
  var axis: Markup? {
    guard let row = results.axes.first(where: { $0.sae == section.sae }) else { return nil }
    let reach = Float(2 * (results.curves.map { abs($0.coefficient) }.max() ?? 2))
    guard reach > 0, reach.isFinite else { return nil }
    // Closer than a line is wide: steps stay steps.
    let places = (0...600).map { -reach + 2 * reach * Float($0) / 600 }
    func plot(_ title: String, _ yLabel: String, _ value: (Int) -> Double) -> Markup {
      let points = places.map { LinePlot.Point(x: Double($0), y: value(row.step(at: $0))) }.filter { !$0.y.isNaN }
      return LinePlot(
        title: title, xLabel: "coefficient", yLabel: yLabel,
        series: [
          .init(label: "encode", style: MethodAppearance.style(ofMethod: "encode"), points: points, isMain: true)
        ]
      ).render()
    }
    let l0 = plot("Active features of the code of c times the vector", "active features") { Double(row.l0[$0]) }
    let overlap = plot("Their overlap with the zero vector's", "share active for zero too") {
      Double(row.zeroOverlap[$0])
    }
    let steps = row.starts.count { abs($0) <= reach }
    return HTMLReport.figure(
      "How far does the coefficient matter to the encoder?",
      """
      Computed exactly, not sampled: every feature switches at one coefficient, known in closed form; \(Figure.count(steps)) steps \
      lie in this range. At 0 all of the code is bias.
      """,
      "\(l0)\(overlap)")
  }

  // MARK: Signs

  /// Features of the decomposition that can carry signs.
  private var signedFeatures: [FeatureRow] {
    let rows = results.features.filter { $0.sae == section.sae && $0.projection != nil }
    for method in ["pair-difference", "gradient-pursuit-signed", "matching-pursuit-signed", "projection"] {
      let ofMethod = rows.filter { $0.method == method }
      if let fullest = ofMethod.map({ sparsityOrder($0.sparsity) }).max() {
        return ofMethod.filter { sparsityOrder($0.sparsity) == fullest }
      }
    }
    return []
  }

  var signs: Markup? {
    let rows = signedFeatures
    guard let method = rows.first?.method else { return nil }
    let columns = rows.map { row in
      SignedBars.Column(
        value: row.projection ?? 0,
        title: "feature \(row.feature): \(Figure.typographic(Figure.significant(row.projection)))")
    }
    let plot = SignedBars(
      title: "Projections of the vector on its top features by \(method)", yLabel: "projection", columns: columns)
    return HTMLReport.figure(
      "What an encoder can't say",
      "Projections of the vector on its top \(columns.count) features by \(method). Encoders are never negative.\(counts)",
      plot.render())
  }

  private var counts: Markup {
    guard let row = results.negatives.first(where: { $0.sae == section.sae }) else { return "" }
    var text = ""
    if let negative = row.negativeTop100 {
      text += " Of the 100 features on which the pairs differ most, \(negative) differ negatively"
      text += row.negativeProjectionTop100.map { ", and on \($0) the vector projects negatively" } ?? ""
      text += row.randomNegativeTop100.map { " (a random direction: \(Figure.significant($0, 2)))" } ?? ""
      text += "."
    }
    if let energy = row.negativeEnergy {
      let method = row.energyMethod.map { " in \($0)" + (row.energySparsity.map { ", \($0)" } ?? "") } ?? ""
      text += " Energy of the negative part\(method): \(Figure.significant(energy, 2))."
    }
    if let spurious = row.spuriousFeatures {
      text += " \(Figure.count(spurious)) active features are silent on all pairs"
      if let feature = row.worstFeature, let partner = row.worstPartner, let cosine = row.worstCosine {
        text += "; the worst, \(feature), points against \(partner) (cosine \(Figure.fixed(cosine, 2)))"
      }
      text += "."
    }
    return Markup(number: text)
  }
}
