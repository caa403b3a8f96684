import Foundation
import SweepRecords
import Testing

@testable import Reporting
@testable import Storage

struct TerminalTableTests {
  private let result = QueryResult(
    columns: ["name", "slope", "n", "n"],
    rows: [
      [.text("漢字 mix"), .real(0.25), .integer(60), .null], [.text("a\n\"b\""), .null, .integer(7), .text("é")],
    ], isTruncated: false)

  @Test func columnsAreAlignedByWhatIsSeen() {
    #expect(
      TerminalTable(result).render(as: .table) == """
        name        slope   n  n
        --------  -------  --  -
        漢字 mix  0.25000  60  -
        a\u{FFFD}"b"           -   7  é

        """)
  }

  @Test func wideTablesAreCutToTheWidth() {
    let result = QueryResult(
      columns: ["key", "text"], rows: [[.text("k"), .text(String(repeating: "x", count: 200))]], isTruncated: true)
    let lines = TerminalTable(result).render(as: .table, width: 40).split(separator: "\n")
    #expect(lines[2] == "k    " + String(repeating: "x", count: 34) + "…")
    #expect(lines[3].contains("there is more"))
    let narrow = TerminalTable(result).render(as: .table, width: 1).split(separator: "\n")
    #expect(narrow[2] == "k    xxxxxxx…")
  }

  @Test func noRowsAreSaid() {
    let empty = QueryResult(columns: ["a"], rows: [], isTruncated: false)
    #expect(TerminalTable(empty).render(as: .table) == "a\n-\n(no rows)\n")
    #expect(TerminalTable(empty).render(as: .csv) == "a\n")
  }

  @Test func csvIsQuotedWhereItMustBe() {
    #expect(
      TerminalTable(result).render(as: .csv) == "name,slope,n,n\n漢字 mix,0.25,60,\n\"a\n\"\"b\"\"\",,7,é\n")
    #expect(["a,b", "x\r", " y", "", "=1+1"].map(CSVText.field) == ["\"a,b\"", "\"x\r\"", "\" y\"", "", "=1+1"])
    #expect(CSVText.cell(.text("")) == "\"\"")
    #expect(CSVText.cell(.null) == "")
  }

  @Test func jsonIsOneObjectThatReadsBack() throws {
    let text = TerminalTable(result).render(as: .json)
    let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    #expect(object["columns"] as? [String] == ["name", "slope", "n", "n_2"])
    #expect(object["truncated"] as? Bool == false)
    let rows = try #require(object["rows"] as? [[String: Any]])
    #expect(rows[0]["slope"] as? Double == 0.25)
    #expect(rows[1]["name"] as? String == "a\n\"b\"")
    #expect(rows[1]["slope"] is NSNull)
    #expect(rows[1]["n_2"] as? String == "é")
  }

  @Test func jsonNumbersReadBackTheSameAndNaNIsNull() throws {
    let values = [0.1, 1e-300, -5, 1e20, .nan, .infinity]
    let text = JSONText.list(values.map { .number($0) }).render()
    #expect(text == "[0.1, 1e-300, -5.0, 1e+20, null, null]\n")
    #expect(JSONText.object([("a", .list([])), ("b", .object([]))]).render() == "{\n  \"a\": [],\n  \"b\": {}\n}\n")
    #expect(
      JSONText.object([("a\u{1}\u{7F}\\", .bool(true))]).render(pretty: false) == "{\"a\\u0001\\u007f\\\\\": true}\n")
  }

  @Test func columnsOfWideAndCombiningCharacters() {
    #expect(["abc", "漢字", "e\u{301}", "👩‍👩‍👧", "⚙️", ""].map { DisplayWidth.of($0) } == [3, 4, 1, 2, 2, 0])
    #expect(DisplayWidth.cut("漢字漢字", to: 5) == "漢字…")
    #expect(DisplayWidth.cut("abc", to: 0) == "")
  }
}

struct ProgressTests {
  private let state = ProgressState(
    stages: [
      .init(name: "harvest", done: 4, total: 4), .init(name: "evaluate", done: 12, total: 40),
      .init(name: "score", done: 0, total: 2),
    ], parked: 1, elapsed: 61, tasksPerMinute: 15.7, secondsLeft: 125,
    running: [
      .init(title: "evaluate power-seeking,\u{1B}[31m layer 14", fraction: 0.5), .init(title: "b", fraction: 0.5),
    ])

  @Test func theBarFitsAndSaysWhatMatters() {
    let lines = ProgressBar.lines(state, width: 100, color: false)
    #expect(
      lines
        == [
          "██████████░░░░░░░░░░░░░░░░░░  16/46 tasks (36 %)  evaluate 12/40  16/min  2 min 05 s left  1 failed",
          "evaluate power-seeking,\u{FFFD}[31m layer 14 50 % and 1 more",
        ])
    for width in [20, 30, 60, 80, 200] {
      #expect(ProgressBar.lines(state, width: width, color: false).allSatisfy { DisplayWidth.of($0) <= width })
    }
  }

  @Test func colourIsOnlyThereWhenAskedFor() {
    #expect(ProgressBar.lines(state, width: 100, color: true)[0].contains("\u{1B}[32m"))
    #expect(!ProgressBar.lines(state, width: 100, color: false).joined().contains("\u{1B}"))
    #expect(!ProgressBar.plainLine(state).contains("\u{1B}"))
  }

  @Test func aLogGetsPlainLines() {
    #expect(
      ProgressBar.plainLine(state)
        == "progress: 16/46 tasks (36 %), evaluate 12/40, 16/min, 2 min 05 s left, 1 failed, "
        + "now: evaluate power-seeking,\u{FFFD}[31m layer 14 50 %")
  }

  @Test func theEndIsTheEnd() {
    let done = ProgressState(stages: [.init(name: "score", done: 2, total: 2)], elapsed: 75)
    #expect(ProgressBar.plainLine(done) == "progress: 2/2 tasks (100 %), in 1 min 15 s")
    #expect(ProgressBar.lines(done, width: 80, color: false)[1] == "")
    #expect(ProgressBar.plainLine(ProgressState(stages: [])) == "progress: 0/0 tasks (0 %), in 0.0 s")
    let odd = ProgressState(
      stages: [.init(name: "a", done: 0, total: 1)], running: [.init(title: "t", fraction: .nan)])
    #expect(ProgressBar.plainLine(odd).contains("(0 %)"))
  }

  @Test func redrawingGoesBackUp() {
    #expect(ProgressBar.redraw(["a", "b"], over: 0) == "\r\u{1B}[2Ka\n\u{1B}[2Kb\n\u{1B}[J")
    #expect(ProgressBar.redraw([], over: 2) == "\r\u{1B}[2A\u{1B}[J")
  }
}

struct StatusTests {
  @Test func theStatusOfARealSweep() async throws {
    let sweep = try FakeSweep()
    let id = try await sweep.run(
      behaviours: [FakeSweep.powerSeeking], results: FakeSweep.realistic([FakeSweep.powerSeeking]))
    let summary = try #require(try await sweep.store.findSweep(id.text))
    let status = try await SweepStatus(reading: sweep.store, sweep: summary)
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(status.render(as: .json).utf8)) as? [String: Any])
    #expect(
      Set(object.keys)
        == ["sweep", "name", "state", "tasks", "stages", "rate", "seconds_left", "workers", "parked", "problem"])
    #expect(object["state"] as? String == "done")
    #expect((object["tasks"] as? [String: Int])?["done"] == 6)
    #expect(object["seconds_left"] is NSNull)
    let table = status.render(as: .table, width: 80)
    #expect(table.hasPrefix("persona-smollm2 (\(id)): done, 6 of 6 tasks done\n\nstage "))
    #expect(table.contains("\ndecompose      2 "))
    #expect(
      status.render(as: .csv).hasPrefix("stage,blocked,ready,queued,running,done,parked,cancelled,seconds_spent,"))
  }

  @Test func timeLeftFollowsFromWhatTasksTook() {
    let progress = SweepProgress.made([
      (.evaluate, [.done: 10, .ready: 10], 40, 50, 10), (.score, [.blocked: 2, .cancelled: 1], 6, 0, 0),
    ])
    let state = ProgressState(progress, elapsed: 30, rateOver: 60, slots: 2)
    // Ten tasks of 5 s and an estimate of 6 s, two at a time.
    #expect(state.secondsLeft == 28)
    #expect(state.total == 22)
    #expect(state.tasksPerMinute == 20)
    #expect(ProgressState(.made([]), elapsed: 0, rateOver: 60).secondsLeft == nil)
  }
}

extension SweepProgress {
  /// Stages by kind, counts, estimate left, seconds spent and finished attempts; ten tasks ended of late.
  static func made(_ stages: [(TaskKind, [TaskState: Int], Double, Double, Int)]) -> SweepProgress {
    SweepProgress(
      stages: stages.map {
        .init(kind: $0.0, counts: $0.1, estimateLeft: $0.2, secondsSpent: $0.3, finishedAttempts: $0.4)
      }, finishedRecently: 10)
  }
}
