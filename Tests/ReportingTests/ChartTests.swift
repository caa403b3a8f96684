import Testing

@testable import Reporting

struct AxisTests {
  @Test func ticksAreRound() {
    let axis = Axis(covering: [-0.57, 0.56], ticks: 5)
    #expect(axis.ticks.map { axis.label($0) } == ["−1.0", "−0.5", "0", "0.5", "1.0"])
    let small = Axis(covering: [0, 0.0031], ticks: 4)
    #expect(small.ticks.map { small.label($0) } == ["0", "0.001", "0.002", "0.003", "0.004"])
    let large = Axis(covering: [0, 240], ticks: 5)
    #expect(large.ticks.map { large.label($0) } == ["0", "50", "100", "150", "200", "250"])
  }

  @Test func logarithmicTicksAreOneTwoFive() {
    let axis = Axis(logarithmicFrom: 12, to: 480)
    #expect(axis.ticks.map { axis.label($0) } == ["20", "50", "100", "200"])
    #expect(axis.position(12) == 0)
    #expect(abs(axis.position(480) - 1) < 1e-12)
    #expect(abs(axis.position(75.8947) - 0.5) < 1e-4)
  }

  @Test(arguments: [[], [.nan], [5], [0, 0], [1e300, .infinity], [1, 1 + 1e-15], [-1e299, 1e299]] as [[Double]])
  func degenerateDataStillMakeAnAxis(_ values: [Double]) {
    let axis = Axis(covering: values)
    #expect(axis.domain.lowerBound < axis.domain.upperBound)
    #expect(axis.ticks.count >= 2 && axis.ticks.count < 20)
    #expect(
      values.filter { $0.isFinite && abs($0) < 1e300 }.allSatisfy { (-1e-9...1 + 1e-9).contains(axis.position($0)) })
  }

  @Test func paddingKeepsZeroAtTheEdge() {
    let axis = Axis(covering: [0, 10], rounded: false, padding: 0.1)
    #expect(axis.domain == 0...11)
  }
}

struct LabelTests {
  @Test func labelsAreMovedApartButNotFurther() {
    #expect(ChartCanvas.spread([10, 50], spacing: 17, within: 0...100) == [10, 50])
    #expect(ChartCanvas.spread([50, 50], spacing: 20, within: 0...100) == [40, 60])
    #expect(ChartCanvas.spread([0, 2], spacing: 20, within: 0...100) == [0, 20])
    #expect(ChartCanvas.spread([99, 98, 97], spacing: 20, within: 0...100) == [100, 80, 60])
    #expect(ChartCanvas.spread([], spacing: 20, within: 0...100) == [])
  }

  @Test func noTwoLabelsTouchWhateverIsAsked() {
    var state: UInt64 = 7
    for _ in 0..<200 {
      let wanted = (0..<9).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1
        return Double(state >> 33) / Double(1 << 31) * 300
      }
      let places = ChartCanvas.spread(wanted, spacing: 17, within: 18...292).sorted()
      #expect(zip(places, places.dropFirst()).allSatisfy { $1 - $0 >= 17 - 1e-9 })
      #expect(places.allSatisfy { (18 - 1e-9...292 + 1e-9).contains($0) })
    }
  }

  @Test func longLabelsAreCut() {
    #expect(ChartCanvas.fitted("short", to: 100) == "short")
    let cut = ChartCanvas.fitted("a very long label that can't fit", to: 100)
    #expect(cut.hasSuffix("…"))
    #expect(ChartCanvas.width(of: cut) <= 112)
  }
}

struct ChartTests {
  /// A chart has a title, a frame, and no number that is none.
  private func check(_ chart: Markup) {
    #expect(chart.text.hasPrefix("<svg viewBox=\"0 0 500 "))
    #expect(chart.text.contains("<title>"))
    for word in ["nan", "inf", "NaN"] { #expect(!chart.text.contains("\"\(word)")) }
  }

  private func line(_ points: [(Double, Double)]) -> LinePlot {
    LinePlot(
      title: "T <1>", xLabel: "x", yLabel: "y",
      series: [
        .init(
          label: "a & b", style: SeriesStyle(color: "encode", dash: "7 4"),
          points: points.map { LinePlot.Point(x: $0.0, y: $0.1, error: 0.1) })
      ], region: nil)
  }

  @Test func aLineIsDrawnFromLeftToRight() {
    let text = line([(-1, 0), (0, 0.5), (1, 1)]).render().text
    #expect(text.contains("<polyline class=\"line c-encode\" stroke-dasharray=\"7 4\" points=\""))
    #expect(text.contains("<polygon class=\"band c-encode\""))
    #expect(text.contains("a &amp; b"))
    #expect(text.contains("<title>T &lt;1&gt;</title>"))
  }

  @Test func linesWithoutPointsOrSpreadAreHarmless() {
    check(line([]).render())
    check(line([(0, 0)]).render())
    check(line([(1, .nan), (2, 3)]).render())
    check(line([(1, 1e308), (2, -1e308)]).render())
  }

  @Test func dotsStandAtTheirValues() {
    let plot = DotPlot(
      title: "t", xLabel: "x",
      groups: [
        .init(
          label: "m", rows: [.init(label: "", value: 0.5, interval: -9...9, text: "50 %", style: .init(color: "pair"))]),
        .init(label: "empty", rows: []),
      ], marks: [.init(value: 0, label: "none"), .init(value: 1, label: "all")])
    let text = plot.render().text
    check(plot.render())
    #expect(text.contains("50 %</text>"))
    #expect(!text.contains("empty"))
    // An interval that is wider than the limits ends at the plot's edges, so the axis is the limits'.
    #expect(text.contains(">−100 %</text>") && text.contains(">200 %</text>"))
  }

  @Test func histogramsBecomeLogarithmicOverDecades() {
    func histogram(_ marker: Double) -> String {
      Histogram(
        title: "t", xLabel: "x", yLabel: "n", edges: [100, 150, 200], counts: [3, 5],
        markers: [.init(label: "v", value: marker, style: .init(color: "original"))]
      ).render().text
    }
    #expect(histogram(120).contains(">150</text>"))
    #expect(histogram(1).contains(">1</text>") && histogram(1).contains(">10</text>"))
    #expect(histogram(.nan).contains("<svg"))
    #expect(histogram(0).contains(">0</text>"))
  }

  @Test func barsNeverLeaveTheirTrack() {
    let bars = Bars(
      title: "t",
      groups: [
        .init(label: "g", bars: [.init(label: "b", value: 7, text: "700 %", style: .init(color: "encode"))]),
        .init(label: "h", bars: [.init(label: "b", value: -1, text: "-", style: .init(color: "encode"))]),
      ])
    let widths = bars.render().text.ranges(of: "class=\"fill").count
    #expect(widths == 1)
    check(bars.render())
  }

  @Test func signedBarsCountTheirSigns() {
    let chart = SignedBars(
      title: "t", yLabel: "y", columns: [2, -1, 0.5, .nan].map { .init(value: $0, title: "f") })
    #expect(chart.render().text.contains(">2 positive<"))
    #expect(chart.render().text.contains(">1 negative<"))
    check(chart.render())
    check(SignedBars(title: "t", yLabel: "y", columns: []).render())
  }
}

struct MarkupTests {
  @Test func interpolatedTextIsEscapedAndMarkupIsNot() {
    let bold: Markup = "<b>\("a<b>&\"'")</b>"
    let page: Markup = "<p>\(bold) \(3) \(2.04) \([bold, bold])</p>"
    #expect(bold.text == "<b>a&lt;b&gt;&amp;&quot;&#39;</b>")
    #expect(page.text == "<p>\(bold.text) 3 2 \(bold.text)\(bold.text)</p>")
  }

  @Test func controlsAndOverridesAreMadeHarmless() {
    #expect(escaped("a\u{0}\u{1B}[31m\u{202E}b\n\t") == "a\u{FFFD}\u{FFFD}[31m\u{FFFD}b\n\t")
  }

  @Test func coordinatesAreShortAndFinite() {
    #expect(
      [1.0, 1.25, -0.04, -2.36, .nan, .infinity, 1e30].map(coordinate) == ["1", "1.3", "0", "-2.4", "0", "0", "0"])
  }

  @Test func tokensShowTheirWhiteSpace() {
    #expect(visibleToken(" power") == "␣power")
    #expect(visibleToken("\r\n\t\u{1B}") == "↵⇥\u{FFFD}")
    #expect(visibleToken("") == "(empty)")
    #expect(visibleToken(String(repeating: "x", count: 99)) == String(repeating: "x", count: 24) + "…")
  }
}
