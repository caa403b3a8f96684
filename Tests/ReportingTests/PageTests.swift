import Diagnostics
import Foundation
import Storage
import SweepRecords
import Testing

@testable import Reporting

/// The whole way from rows in SQL to words and a page.
struct PageTests {
  private static func data(
    _ behaviours: [FakeSweep.Behaviour], _ results: [(kind: TaskKind, result: TaskResult)],
    document: String = "name: persona-smollm2\n"
  ) async throws -> ReportData {
    let sweep = try FakeSweep()
    let id = try await sweep.run(behaviours: behaviours, results: results, document: document)
    return try await ReportData(reading: sweep.store, sweep: id)
  }

  /// Keeps a page to look at: STEERSCOPE_REPORT_SAMPLES=FOLDER swift test --filter PageTests
  private static func keep(_ page: String, as name: String) throws {
    guard let folder = ProcessInfo.processInfo.environment["STEERSCOPE_REPORT_SAMPLES"] else { return }
    try Data(page.utf8).write(to: URL(fileURLWithPath: folder).appending(path: name))
  }

  private static let all = [FakeSweep.powerSeeking, FakeSweep.sentiment]

  @Test func aSweepBecomesAPageThatNeedsNothingElse() async throws {
    let data = try await Self.data(Self.all, FakeSweep.realistic(), document: "name: x # <script>alert(1)</script>\n")
    let page = HTMLReport(data, programVersion: "1.0.0").render()
    try Self.keep(page, as: "quickstart.html")
    #expect(page == HTMLReport(data, programVersion: "1.0.0").render())
    for heading in [
      "Verdict", "At a glance", "Does it still steer?", "How much is kept, by method",
      "Is the vector like what the SAE was trained on?", "Is it the vector that speaks, or the bias?",
      "What an encoder can&#39;t say", "Does it break the model?", "Top features", "Dictionaries", "All scores",
      "Provenance",
    ] { #expect(page.contains(heading), "\(heading)") }
    #expect(!page.contains("<script"))
    #expect(page.contains("&lt;script&gt;alert(1)"))
    let links = page.replacing("http://www.w3.org/2000/svg", with: "")
    for outside in ["http://", "https://", "url(", "@import", "src="] {
      #expect(!links.contains(outside), "\(outside)")
    }
    #expect(!page.contains("\u{202E}"))
    #expect(page.contains("<code class=\"token\">␣power</code>"))
    #expect(page.contains("<code class=\"token\">&lt;b&gt;</code>"))
    #expect(!page.contains("Not shown"))
    #expect(page.contains("<dt>seed</dt><dd>7</dd>"))
    #expect(page.contains("steerscope 1.0.0, x86-64-v3, 2 threads"))
    #expect(!page.contains("models/smollm2.gguf"))
  }

  @Test func everyElementIsClosed() async throws {
    let data = try await Self.data(Self.all, FakeSweep.realistic())
    let page = HTMLReport(data, programVersion: "1").render()
    for name in ["section", "details", "figure", "svg", "table", "tr", "td", "div", "p", "text", "dl", "code"] {
      let opened = page.ranges(of: try Regex("<\(name)[ >]")).count
      #expect(opened == page.ranges(of: "</\(name)>").count, "\(name)")
    }
  }

  @Test func theVerdictOverAll() async throws {
    let data = try await Self.data(Self.all, FakeSweep.realistic())
    #expect(
      Verdict(data).overall == [
        "Both steering vectors steer the model.",
        "Read through the SAE's encoder and rebuilt at the same norm, they keep 15 to 79 % of their effect: "
          + "less than half in 1 of 2.",
        "Of their active features 50 to 86 % are active for the zero vector too "
          + "(a dictionary that has learned nothing: 86 %).",
        "Other methods do better: pair-difference keeps 92 %, gradient-pursuit-signed 84 to 90 %.",
      ])
    let text = Verdict(data).text(width: 72)
    #expect(text.split(separator: "\n").allSatisfy { DisplayWidth.of($0) <= 72 })
    #expect(text.contains("\npower-seeking, layer 14 (encoder loses it): The original steers"))
    #expect(text.hasSuffix("\n"))
  }

  @Test func layersAndDictionariesAreShownSideBySide() async throws {
    var behaviour = FakeSweep.powerSeeking
    var results: [(kind: TaskKind, result: TaskResult)] = []
    for (layer, strength) in [(6, 0.02), (10, 0.12), (14, 0.26), (18, 0.21)] {
      behaviour.original = strength
      for (kind, result) in FakeSweep.realistic([behaviour]) {
        for sae in ["16k/l0-83", "65k/l0-20"] where kind != .vectors && kind != .statistics || sae == "16k/l0-83" {
          var rows = result.rows
          for index in rows.indices {
            rows[index].cells["layer"] = .integer(layer)
            for column in ["sae", "name"] {
              guard case .text(let name)? = rows[index].cells[column], name.hasSuffix("trained-1024") else { continue }
              rows[index].cells[column] = .text(name.hasPrefix("untrained") ? "untrained-\(sae)" : sae)
            }
          }
          // What belongs to no SAE comes once.
          if sae != "16k/l0-83" { rows.removeAll { $0.cells["sae"] == .null } }
          results.append((kind, TaskResult(rows: rows)))
        }
      }
    }
    let data = try await Self.data([behaviour], results)
    let page = HTMLReport(data, programVersion: "1").render()
    try Self.keep(page, as: "layers.html")
    #expect(data.cases.map(\.key.layer) == [6, 10, 14, 18])
    #expect(page.contains("power-seeking by layer"))
    #expect(page.contains("How much is kept: 16k/l0-83") && page.contains("How much is kept: 65k/l0-20"))
    #expect(page.contains("does not steer"))
    #expect(Verdict(data).overall[0] == "3 of 4 steering vectors steer the model; the rest of this is about those.")
  }

  @Test func aSweepWithoutResultsSaysSo() async throws {
    let data = try await Self.data([FakeSweep.powerSeeking], [])
    #expect(Verdict(data).overall == ["There are no results yet."])
    let page = HTMLReport(data, programVersion: "1").render()
    #expect(page.contains("There are no results yet."))
    #expect(page.contains("No SAE was measured"))
    #expect(!page.contains("<svg"))
  }

  @Test func missingPartsAreNamedInsteadOfDrawn() async throws {
    let behaviour = FakeSweep.powerSeeking
    let rows = FakeSweep.steering(
      behaviour, Variant("original"), slope: 0.3, error: nil, questions: 1, coefficients: [1], sideEffects: false)
    let data = try await Self.data([behaviour], [(.score, TaskResult(rows: rows))])
    let page = HTMLReport(data, programVersion: "1").render()
    try Self.keep(page, as: "one-question.html")
    #expect(page.contains("No SAE was applied to this vector."))
    #expect(page.contains("Not shown: faithfulness"))
    #expect(page.contains("activation norms; overlap with the zero vector"))
    #expect(!page.contains("Does it break the model?"))
    #expect(Verdict(data).overall[0].contains("No vector steers the model measurably"))
  }

  @Test func valuesThatAreNotNumbersLeaveNoTrace() async throws {
    let behaviour = FakeSweep.powerSeeking
    var rows = FakeSweep.scores(behaviour) + FakeSweep.decompositions(behaviour) + [FakeSweep.statistics(layer: 14)]
    for index in rows.indices {
      for (column, cell) in rows[index].cells {
        if case .real = cell, column != "coefficient" { rows[index].cells[column] = .null }
      }
    }
    let data = try await Self.data([behaviour], [(.score, TaskResult(rows: rows))])
    let page = HTMLReport(data, programVersion: "1").render().lowercased()
    #expect(!page.contains("\"nan") && !page.contains(">nan") && !page.contains("inf\""))
    #expect(page.contains("not measured"))
  }

  @Test func namesThatAreMarkupStayText() async throws {
    var behaviour = FakeSweep.powerSeeking
    behaviour.name = "</title><img src=x onerror=alert(1)>\"'&"
    let data = try await Self.data([behaviour], FakeSweep.realistic([behaviour]))
    let page = HTMLReport(data, programVersion: "<1>").render()
    #expect(!page.contains("<img"))
    #expect(page.contains("&lt;/title&gt;&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;"))
  }

  @Test func aPageIsWrittenWholeOrNotAtAll() async throws {
    let sweep = try FakeSweep()
    let id = try await sweep.run(behaviours: [], results: [])
    let report = HTMLReport(try await ReportData(reading: sweep.store, sweep: id), programVersion: "1")
    let path = sweep.folder.appending(path: "page.html").path
    try report.write(to: path)
    #expect(try String(contentsOfFile: path, encoding: .utf8) == report.render())
    #expect(throws: InputError.self) { try report.write(to: sweep.folder.appending(path: "no/page.html").path) }
  }

  @Test func histogramsAreReadOnlyWhenTheyAreOnes() {
    #expect(
      NormHistogram(json: #"{"edges":[1,2,3],"counts":[4,5]}"#) == NormHistogram(edges: [1, 2, 3], counts: [4, 5]))
    for bad in [
      "", "[]", #"{"edges":[1,2],"counts":[1,2]}"#, #"{"edges":[2,1],"counts":[1]}"#, #"{"edges":[1],"counts":[]}"#,
      #"{"edges":[1,2],"counts":[-1]}"#, #"{"edges":[1,"x"],"counts":[1]}"#,
    ] { #expect(NormHistogram(json: bad) == nil, "\(bad)") }
  }
}
