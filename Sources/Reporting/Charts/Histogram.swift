/// Counts over intervals, with markers that say where single values fall among them.
struct Histogram {
  struct Marker: Sendable {
    var label: String
    var value: Double
    var style: SeriesStyle
  }

  var title: String
  var xLabel: String
  var yLabel: String
  /// One more than counts, strictly rising.
  var edges: [Double]
  var counts: [Double]
  var markers: [Marker]

  private static let left = 30.0
  private static let plotHeight = 130.0
  private static let markerHeight = 18.0

  func render() -> Markup {
    let placed = markers.filter { $0.value.isFinite && $0.value >= 0 }
      .sorted { ($0.value, $0.label) < ($1.value, $1.label) }
    let values = placed.map(\.value) + edges
    let positive = values.filter { $0 > 0 }
    let (low, high) = (positive.min() ?? 1, values.max() ?? 1)
    // A vector's norm and its reconstruction's are often decades apart.
    let axis =
      high / low > 25 ? Axis(logarithmicFrom: low * 0.8, to: high * 1.25) : Axis(covering: values + [0], ticks: 7)
    let right = ChartCanvas.width - 18
    let top = 8 + Double(placed.count) * Self.markerHeight
    let bottom = top + Self.plotHeight
    var canvas = ChartCanvas(title: title, height: bottom + 46)
    func px(_ value: Double) -> Double { Self.left + min(max(axis.position(value), 0), 1) * (right - Self.left) }
    let tallest = max(counts.max() ?? 1, 1e-300)
    for (index, count) in counts.enumerated() where index + 1 < edges.count && count > 0 {
      let (from, to) = (px(edges[index]), px(edges[index + 1]))
      let height = count / tallest * (Self.plotHeight - 6)
      canvas.rectangle(x: from, y: bottom - height, width: max(to - from - 0.6, 0.6), height: height, style: "bin")
    }
    canvas.line(Self.left, bottom, right, bottom, style: "zero")
    var lastLabel = -Double.infinity
    for tick in axis.ticks where tick >= axis.domain.lowerBound {
      let x = px(tick)
      let half = ChartCanvas.width(of: axis.label(tick)) / 2
      canvas.line(x, bottom, x, bottom + 5, style: "zero")
      guard x - half > lastLabel + 6 else { continue }
      canvas.text(axis.label(tick), x: x, y: bottom + 19, anchor: .middle, style: "t m")
      lastLabel = x + half
    }
    canvas.text(xLabel, x: (Self.left + right) / 2, y: bottom + 39, anchor: .middle)
    canvas.text(yLabel, x: 14, y: (top + bottom) / 2, anchor: .middle, rotated: true)
    for (row, marker) in placed.enumerated() {
      draw(marker, row: row, x: px(marker.value), bottom: bottom, on: &canvas)
    }
    return canvas.render()
  }

  /// A line of its own for every label, so that none hides another: to the right of its mark, or left where there's no room.
  private func draw(_ marker: Marker, row: Int, x: Double, bottom: Double, on canvas: inout ChartCanvas) {
    let y = 8 + Double(row) * Self.markerHeight
    let fits = x + 8 + ChartCanvas.width(of: marker.label) < ChartCanvas.width
    canvas.add(
      """
      <line class="marker c-\(marker.style.color)" x1="\(x)" y1="\(y + 3)" x2="\(x)" y2="\(bottom)"\(dash(marker))/>
      """)
    canvas.add("<circle class=\"dot c-\(marker.style.color)\" cx=\"\(x)\" cy=\"\(y + 5)\" r=\"3\"/>")
    let label = ChartCanvas.fitted(marker.label, to: ChartCanvas.width - 20)
    canvas.text(
      label, x: fits ? x + 7 : x - 7, y: y + 9.5, anchor: fits ? .start : .end, style: "t h f-\(marker.style.color)")
  }

  private func dash(_ marker: Marker) -> Markup {
    marker.style.dash.isEmpty ? "" : " stroke-dasharray=\"\(marker.style.dash)\""
  }
}
