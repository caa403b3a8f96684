/// Shares from 0 to 1 as horizontal bars, in groups, each with its value beside it.
struct Bars {
  struct Bar: Sendable {
    var label: String
    var value: Double
    var text: String
    var style: SeriesStyle
    /// Outlined only: a baseline.
    var isHollow = false
  }
  struct Group: Sendable {
    var label: String
    var bars: [Bar]
  }

  var title: String
  var groups: [Group]

  private static let rowHeight = 20.0

  func render() -> Markup {
    let groups = groups.filter { !$0.bars.isEmpty }
    let bars = groups.flatMap(\.bars)
    let left = min(bars.map { ChartCanvas.width(of: $0.label) }.max() ?? 0, 200) + 12
    let right = ChartCanvas.width - 56
    let height = Double(groups.count) * 28 + Double(bars.count) * Self.rowHeight + 4
    var canvas = ChartCanvas(title: title, height: height)
    var y = 0.0
    for group in groups {
      canvas.text(group.label, x: 0, y: y + 15, style: "t b")
      y += 21
      for bar in group.bars {
        let width = min(max(bar.value, 0), 1) * (right - left)
        canvas.text(ChartCanvas.fitted(bar.label, to: 204), x: left - 10, y: y + 13.5, anchor: .end, style: "t m")
        canvas.rectangle(x: left, y: y + 3, width: right - left, height: Self.rowHeight - 6, style: "track")
        canvas.rectangle(
          x: left, y: y + 3, width: width, height: Self.rowHeight - 6,
          style: "\(bar.isHollow ? "outline" : "fill") c-\(bar.style.color)")
        canvas.text(bar.text, x: ChartCanvas.width, y: y + 13.5, anchor: .end, style: "t n")
        y += Self.rowHeight
      }
      y += 7
    }
    return canvas.render()
  }
}
