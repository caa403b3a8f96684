internal import Storage
internal import SweepRecords

/// The SAEs, all scores, and where everything comes from.
extension HTMLReport {
  // MARK: SAEs

  var dictionaries: Markup {
    guard !data.saes.isEmpty else {
      return "<section><h2>Dictionaries</h2>\n<p class=\"note\">No SAE was measured in this sweep.</p></section>\n"
    }
    let table = HTMLTable(
      columns: [
        .text("SAE"), .number("layer"), .number("features"), .text("kind"), .text("origin"),
        .number("explained variance", "of held-out activations"),
        .number("L0", "mean number of active features of a token"),
        .number("dead", "share of features that never fire"), .number("tokens"), .number("steps"), .text("digest"),
      ],
      rows: data.saes.map { sae in
        [
          sae.isUntrained ? "<i>\(sae.name)</i>" : "\(sae.name)", "\(sae.layer)", "\(Figure.count(sae.width))",
          "\(sae.architecture ?? "–")", "\(sae.source ?? "–")", Markup(number: Figure.percent(sae.explainedVariance)),
          Markup(number: Figure.significant(sae.l0)), Markup(number: Figure.percent(sae.deadShare)),
          Markup(number: Figure.count(sae.tokens)), Markup(number: Figure.count(sae.steps)),
          sae.digest.map { "<code title=\"\($0)\">\(String($0.prefix(12)))</code>" } ?? "–",
        ]
      })
    return """
      <section><h2>Dictionaries</h2>
      <p class="note">How good the SAEs are. An untrained dictionary (random decoder directions, a threshold that gives the same L0) shows
      what needs no learning.</p>
      \(table.render())</section>

      """
  }

  // MARK: Scores

  private static let scoreRows = 2000

  var scores: Markup {
    let rows = data.cases.flatMap { results in
      results.slopes.sorted { Self.precedes($0.variant, $1.variant) }.map { (results, $0) }
    }
    guard !rows.isEmpty else { return "" }
    let table = HTMLTable(
      columns: [
        .text("behaviour"), .number("layer"), .text("variant"), .text("SAE"), .text("method"), .number("sparsity"),
        .text("norm"), .number("slope"), .number("kept", "slope / the original's"),
        .number("anti-steerable", "share of questions whose slope is negative"),
        .number("rho", "Spearman's rank correlation of the mean curve"), .number("questions"), .number("L0"),
        .number("cosine", "of original and reconstruction"), .number("relative error"), .number("norm ratio"),
      ], rows: rows.prefix(Self.scoreRows).map { Self.scoreRow($0, $1) }, isDense: true)
    let cut: Markup =
      rows.count > Self.scoreRows
      ? "<p class=\"note\">The first \(Self.scoreRows) of \(rows.count) rows; <code>steerscope export</code> writes all.</p>"
      : ""
    return """
      <section><details><summary><h2>All scores <small>\(rows.count) rows</small></h2></summary>
      \(cut)\(table.render())</details></section>

      """
  }

  private static func precedes(_ a: Variant, _ b: Variant) -> Bool {
    func place(_ variant: Variant) -> Int {
      ["original", "reconstruction", "zero-vector", "untrained-dictionary"].firstIndex(of: variant.name) ?? 9
    }
    if place(a) != place(b) { return place(a) < place(b) }
    if a.sae != b.sae { return naturallyPrecedes(a.sae ?? "", b.sae ?? "") }
    if a.method != b.method { return MethodAppearance.precedes(a.method ?? "", b.method ?? "") }
    return (sparsityOrder(a.sparsity), a.norm, a.name) < (sparsityOrder(b.sparsity), b.norm, b.name)
  }

  private static func scoreRow(_ results: ReportData.Case, _ row: Slope) -> [Markup] {
    let decomposition = row.variant.method == nil ? nil : results.decomposition(of: row.variant)
    return [
      "\(results.key.behaviour)", "\(results.key.layer)", "\(row.variant.name)", "\(row.variant.sae ?? "–")",
      "\(row.variant.method ?? "–")", "\(row.variant.sparsity ?? "–")", "\(row.variant.norm)",
      Markup(number: Figure.measured(row.slope, error: row.error)), Markup(number: Figure.percent(row.share)),
      Markup(number: Figure.percent(row.antiSteerableShare)), Markup(number: Figure.fixed(row.spearman, 2)),
      Markup(number: Figure.count(row.questions)), Markup(number: Figure.count(decomposition?.l0)),
      Markup(number: Figure.fixed(decomposition?.cosine, 2)),
      Markup(number: Figure.significant(decomposition?.relativeError)),
      Markup(number: Figure.significant(decomposition?.normRatio)),
    ]
  }

  // MARK: Provenance

  var provenance: Markup {
    """
    <section><h2>Provenance</h2>
    \(facts)\(behaviourTable)\(times)<details><summary>The sweep file</summary>
    <pre>\(data.document)</pre></details>
    <details><summary>Small inputs by content</summary>
    <p class="digests">\(data.inputs.map { "<code>\($0.digest.hex)</code> \(Figure.count($0.size)) bytes<br>" as Markup })</p></details>
    </section>

    """
  }

  private var facts: Markup {
    let summary = data.summary
    var entries: [(String, Markup)] = [
      (
        "sweep", "\(summary.name), <code>\(summary.id.text)</code>, \(summary.state.rawValue.replacing("_", with: " "))"
      ),
      ("digest of the sweep", "<code>\(summary.digest.hex)</code>"),
      (
        "submitted, ended",
        "\(Figure.moment(summary.submittedAt)); \(summary.endedAt.map { Figure.moment($0) } ?? "not yet")"
      ),
    ]
    for model in data.models {
      let size = model.parameters.map { ", \(Figure.count($0)) weights" } ?? ""
      // The content of a template file is long; its digest is part of the sweep's.
      let template = model.template.count > 40 ? "a template of their own" : model.template
      let shape = "\(model.architecture)\(size), weights \(model.weights), prompts: \(template)"
      entries.append(("model", "\(model.name): \(shape)"))
      entries.append(("digest of model and tokenizer files", "<code>\(model.digest.hex)</code>"))
    }
    if let seed = data.seed { entries.append(("seed", "\(seed)")) }
    let settings = data.settings
    entries.append(
      (
        "steering",
        "positions: \(settings.positions), score: \(settings.score), unit of the coefficient: \(settings.unit)"
      ))
    entries.append(("numerics version", "\(summary.numericsVersion)"))
    for program in data.programs {
      let threads = program.threads.map { ", \($0) thread\($0 == 1 ? "" : "s")" } ?? ""
      let who = "steerscope \(program.version), \(program.cpu)\(threads)"
      entries.append(("computed by", "\(who): \(Figure.count(program.tasks)) task\(program.tasks == 1 ? "" : "s")"))
    }
    entries.append(("page made by", "steerscope \(programVersion)"))
    let rows = entries.map { "<dt>\($0.0)</dt><dd>\($0.1)</dd>\n" as Markup }
    return "<dl>\n\(rows)</dl>\n"
  }

  private var behaviourTable: Markup {
    guard !data.behaviours.isEmpty else { return "" }
    func code(_ digest: Digest?) -> Markup { digest.map { "<code title=\"\($0.hex)\">\($0.short)</code>" } ?? "–" }
    return HTMLTable(
      columns: [
        .text("behaviour"), .number("pairs"), .number("questions"), .text("read at"), .text("contrast set"),
        .text("vector file"), .text("questions' digest"),
      ],
      rows: data.behaviours.map { row in
        [
          "\(row.name)", Markup(number: Figure.count(row.pairCount)), Markup(number: Figure.count(row.questionCount)),
          "\(row.read?.rawValue ?? "–")", code(row.contrast), code(row.vector), code(row.questions),
        ]
      }
    ).render()
  }

  private var times: Markup {
    guard !data.stages.isEmpty else { return "" }
    let table = HTMLTable(
      columns: [
        .text("stage"), .number("tasks"), .number("work", "seconds of all its tasks together, over all workers"),
        .number("longest task"), .number("from first start to last end"),
      ],
      rows: data.stages.map { stage in
        [
          "\(stage.kind)", Markup(number: Figure.count(stage.tasks)), "\(Figure.duration(stage.seconds))",
          "\(Figure.duration(stage.longest))", "\(Figure.duration(stage.to - stage.from))",
        ]
      })
    let from = data.stages.map(\.from).min() ?? 0
    let to = data.stages.map(\.to).max() ?? 0
    let work = data.stages.reduce(0) { $0 + $1.seconds }
    return """
      <h3>Time</h3>
      <p class="note">\(Figure.duration(work)) of work; from the first task's start to the last one's end \
      \(Figure.duration(to - from)). Tasks that earlier sweeps had computed are counted where they ran.</p>
      \(table.render())
      """
  }
}
