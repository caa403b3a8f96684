/// Signed values as columns up and down from zero, largest first, so that the two signs are seen at a glance.
struct SignedBars {
  struct Column: Sendable {
    var value: Double
    /// Shown on hovering and read aloud.
    var title: String
  }

  var title: String
  var yLabel: String
  var columns: [Column]

  private static let height = 210.0
  private static let left = 62.0
  private static let top = 26.0
  private static let bottom = 190.0

  func render() -> Markup {
    let columns = columns.filter { $0.value.isFinite }.sorted { $0.value > $1.value }
    let axis = Axis(covering: columns.map(\.value) + [0], ticks: 5, rounded: false, padding: 0.04)
    var canvas = ChartCanvas(title: title, height: Self.height)
    func py(_ value: Double) -> Double { Self.bottom - axis.position(value) * (Self.bottom - Self.top) }
    for tick in axis.ticks {
      canvas.line(Self.left, py(tick), ChartCanvas.width, py(tick), style: tick == 0 ? "zero" : "grid")
      canvas.text(axis.label(tick), x: Self.left - 8, y: py(tick) + 4.5, anchor: .end, style: "t m")
    }
    let room = min((ChartCanvas.width - Self.left) / Double(max(columns.count, 1)), 30)
    for (index, column) in columns.enumerated() {
      let (y, zero) = (py(column.value), py(0))
      let x = Self.left + room * (Double(index) + 0.12)
      let style = column.value < 0 ? "fill c-negative" : "fill c-positive"
      let box: Markup =
        """
        <rect class="\(style)" x="\(x)" y="\(min(y, zero))" width="\(room * 0.76)" height="\(max(abs(y - zero), 0.8))">\
        <title>\(column.title)</title></rect>
        """
      canvas.add(box)
    }
    let negative = columns.count { $0.value < 0 }
    canvas.text("\(columns.count - negative) positive", x: Self.left + 4, y: 14, style: "t f-positive")
    canvas.text("\(negative) negative", x: ChartCanvas.width, y: 14, anchor: .end, style: "t f-negative")
    canvas.text(yLabel, x: 14, y: (Self.top + Self.bottom) / 2, anchor: .middle, rotated: true)
    return canvas.render()
  }
}
