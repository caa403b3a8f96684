/// Values with intervals, one below the other, in labelled groups; vertical lines where a value means something.
struct DotPlot {
  struct Row: Sendable {
    /// Within its group: a sparsity. Empty where the group is one row.
    var label: String
    var value: Double
    /// The interval; nil where there is none.
    var interval: ClosedRange<Double>?
    /// What is written at the right.
    var text: String
    var style: SeriesStyle
    /// Hollow: a baseline.
    var isHollow = false
  }
  struct Group: Sendable {
    var label: String
    var rows: [Row]
    /// Written above the group, where a new kind of group begins.
    var heading = ""
  }
  struct Mark: Sendable {
    var value: Double
    var label: String
  }

  var title: String
  var xLabel: String
  var groups: [Group]
  var marks: [Mark]
  /// What intervals may stretch the axis to; beyond it they are cut.
  var limits: ClosedRange<Double> = -1...2

  private static let rowHeight = 18.0
  private static let gap = 6.0
  private static let headingHeight = 22.0
  private static let top = 26.0

  func render() -> Markup {
    let groups = groups.filter { !$0.rows.isEmpty }
    let rows = groups.flatMap(\.rows)
    let labelWidth = min((groups.map { ChartCanvas.width(of: $0.label) }.max() ?? 0), 190)
    let subWidth = rows.map { ChartCanvas.width(of: $0.label) }.max() ?? 0
    let textWidth = min(rows.map { ChartCanvas.width(of: $0.text) }.max() ?? 0, 120)
    let left = labelWidth + (subWidth > 0 ? subWidth + 10 : 0) + 16
    let right = ChartCanvas.width - textWidth - 16
    let bounds = rows.flatMap { row in
      [row.value]
        + (row.interval.map { [max($0.lowerBound, limits.lowerBound), min($0.upperBound, limits.upperBound)] } ?? [])
    }
    let axis = Axis(covering: bounds + marks.map(\.value), ticks: 4)
    let headings = Double(groups.count { !$0.heading.isEmpty }) * Self.headingHeight
    let bottom =
      Self.top + headings + Double(rows.count) * Self.rowHeight + Double(groups.count) * Self.gap
    var canvas = ChartCanvas(title: title, height: bottom + 44)
    func px(_ value: Double) -> Double { left + min(max(axis.position(value), 0), 1) * (right - left) }
    for tick in axis.ticks {
      canvas.line(px(tick), Self.top - 6, px(tick), bottom, style: "grid")
      canvas.text(axis.percentLabel(tick), x: px(tick), y: bottom + 17, anchor: .middle, style: "t m")
    }
    canvas.text(xLabel, x: (left + right) / 2, y: bottom + 37, anchor: .middle)
    for mark in marks {
      canvas.line(px(mark.value), Self.top - 6, px(mark.value), bottom, style: "zero")
      canvas.text(mark.label, x: px(mark.value), y: Self.top - 12, anchor: .middle, style: "t m")
    }
    var y = Self.top
    for group in groups {
      if !group.heading.isEmpty {
        canvas.text(group.heading, x: 0, y: y + 15, style: "t m i")
        y += Self.headingHeight
      }
      for (index, row) in group.rows.enumerated() {
        let middle = y + Self.rowHeight / 2
        if index == 0 { canvas.text(ChartCanvas.fitted(group.label, to: 194), x: 0, y: middle + 4.5) }
        canvas.text(row.label, x: left - 10, y: middle + 4.5, anchor: .end, style: "t m")
        draw(row, y: middle, px: px, on: &canvas)
        canvas.text(
          row.text, x: ChartCanvas.width, y: middle + 4.5, anchor: .end, style: row.isHollow ? "t m n" : "t n")
        y += Self.rowHeight
      }
      y += Self.gap
    }
    return canvas.render()
  }

  private func draw(_ row: Row, y: Double, px: (Double) -> Double, on canvas: inout ChartCanvas) {
    if let interval = row.interval {
      canvas.line(px(interval.lowerBound), y, px(interval.upperBound), y, style: "whisker c-\(row.style.color)")
    }
    let kind = row.isHollow ? "hollow" : "dot"
    canvas.add("<circle class=\"\(kind) c-\(row.style.color)\" cx=\"\(px(row.value))\" cy=\"\(y)\" r=\"4.4\"/>")
  }
}
