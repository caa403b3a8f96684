package import Diagnostics
internal import Foundation
internal import Storage
internal import TensorFiles

/// One self-contained page about a sweep: verdict, plots, tables, provenance. No script, nothing fetched; the same results give the
/// same bytes.
package struct HTMLReport: Sendable {
  let data: ReportData
  let verdict: Verdict
  let programVersion: String

  /// - Parameter programVersion: the version of the program that renders the page.
  package init(_ data: ReportData, programVersion: String) {
    self.data = data
    self.programVersion = programVersion
    verdict = Verdict(data)
  }

  /// Behaviours and layers that are shown in full; a page of more could not be opened.
  static let fullCases = 60
  /// Behaviours and layers that are unfolded from the start.
  static let openCases = 6

  /// The page as HTML.
  package func render() -> String {
    let page: Markup = """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <meta name="color-scheme" content="light dark">
      <title>Steerscope: \(data.summary.name)</title>
      <style>
      \(Stylesheet.text)</style>
      </head>
      <body>
      <main>
      \(header)\(overview)\(howToRead)\(caseSections)\(dictionaries)\(scores)\(provenance)</main>
      </body>
      </html>

      """
    return page.text
  }

  /// Writes the page to a file, which is complete or not there.
  package func write(to path: String) throws(InputError) {
    try AtomicFile.write(Array(render().utf8), to: path)
  }

  // MARK: Parts

  private var header: Markup {
    let model = data.models.first.map { $0.name } ?? "unknown model"
    let layers = Set(data.cases.map(\.key.layer)).sorted()
    let questions = data.cases.compactMap { $0.original?.questions }.max()
    var facts = ["model \(model)"]
    if !layers.isEmpty {
      facts.append((layers.count == 1 ? "layer " : "layers ") + enumeration(layers.map(String.init)))
    }
    if let questions {
      facts.append("\(Figure.count(questions)) test question\(questions == 1 ? "" : "s") a behaviour")
    }
    facts.append("sweep \(data.summary.id)")
    return """
      <header>
      <p class="kicker">Steerscope report</p>
      <h1>\(data.summary.name)</h1>
      <p class="facts">\(facts.joined(separator: " · "))</p>
      <div class="verdict"><h2>Verdict</h2><p>\(Markup(number: verdict.overall.joined(separator: " ")))</p></div>
      </header>

      """
  }

  private var howToRead: Markup {
    """
    <details class="howto"><summary>How to read this page</summary>
    <p>A <b>steering vector</b> is a direction in a language model's activations; adding a multiple of it (the <b>coefficient</b>)
    while the model runs should make a behaviour more likely. A <b>sparse autoencoder</b> (SAE) is a dictionary of directions that
    people can read, so it is tempting to explain a steering vector by what the SAE's encoder makes of it. This page tests
    such explanations: each vector was taken apart by several <b>methods</b>, put together again from the pieces, and the
    model steered with the result.</p>
    <ul>
    <li><b>Propensity</b>: log P(the answer that matches the behaviour) − log P(the other one),
    \(data.settings.score == "sum" ? "summed over" : "averaged over") the answer's tokens, mean over held-out questions.
    <b>Slope</b>: how much it rises per unit of the coefficient, ± one standard error over questions.</li>
    <li><b>Faithfulness</b>: a reconstruction's slope / the original's. 100 % means that all of the steering survives, 0 % that none
    does. <b>Matched norm</b>: the reconstruction was first rescaled to the original's length, so that only its direction counts.</li>
    <li><b>Zero vector</b>: what the SAE reports for no input at all, its biases. Features that are active for the zero vector too
    say nothing about the steering vector.</li>
    <li><b>Baselines</b>: random directions of the same length, vectors from shuffled labels, and an <b>untrained dictionary</b> of
    the same shape as the SAE, which has learned nothing. A claim counts as far as it exceeds these.</li>
    </ul></details>

    """
  }

  private var caseSections: Markup {
    var sections: [Markup] = []
    for (index, pair) in zip(data.cases, verdict.cases).prefix(Self.fullCases).enumerated() {
      let section = CaseSection(pair.0, verdict: pair.1, data: data)
      sections.append(section.render(anchor: "case-\(index + 1)", isOpen: index < Self.openCases))
    }
    if data.cases.count > Self.fullCases {
      sections.append(
        """
        <p class="note">Only the first \(Self.fullCases) of \(data.cases.count) combinations of behaviour and layer are shown in full.
        The others are in the overview; <code>steerscope export</code> writes everything.</p>

        """)
    }
    return .joined(sections)
  }
}
