/// What a sweep found, in words: a few sentences over all, then some for every behaviour and layer.
package struct Verdict: Sendable {
  /// A behaviour at a layer in words.
  struct CaseVerdict: Sendable {
    var key: CaseKey
    var finding: CaseFinding
    /// Two or three words, for a badge.
    var badge: String
    /// The finding in sentences; the first says whether there is anything to lose.
    var sentences: [String]
    /// What the controls say, where they say anything.
    var caveats: [String]
  }

  var overall: [String]
  var cases: [CaseVerdict]

  package init(_ data: ReportData) {
    cases = data.cases.map { results in
      let finding = CaseFinding(results)
      let words = VerdictWording(finding, settings: data.settings)
      return CaseVerdict(
        key: results.key, finding: finding, badge: words.badge, sentences: words.sentences, caveats: words.caveats)
    }
    overall = OverallWording(cases.map(\.finding), data: data).sentences
  }

  /// As plain text, wrapped at `width` columns; ends with a new line.
  package func text(width: Int = 100) -> String {
    var blocks = [overall.joined(separator: " ")]
    for verdict in cases {
      let title = "\(verdict.key.behaviour), layer \(verdict.key.layer) (\(verdict.badge)): "
      blocks.append(title + verdict.sentences.joined(separator: " "))
      if !verdict.caveats.isEmpty { blocks.append("Controls: " + verdict.caveats.joined(separator: " ")) }
    }
    let lines = blocks.filter { !$0.isEmpty }.map { wrapped(visible($0), width: width) }
    return lines.joined(separator: "\n\n") + "\n"
  }
}

/// Breaks a paragraph at spaces so that lines are at most `width` columns wide, if their words allow it.
func wrapped(_ paragraph: String, width: Int) -> String {
  var lines: [String] = []
  var line = ""
  var used = 0
  for word in paragraph.split(separator: " ") {
    let columns = DisplayWidth.of(word)
    if !line.isEmpty, used + 1 + columns > width {
      lines.append(line)
      (line, used) = ("", 0)
    }
    if !line.isEmpty { (line, used) = (line + " ", used + 1) }
    line += word
    used += columns
  }
  lines.append(line)
  return lines.joined(separator: "\n")
}
