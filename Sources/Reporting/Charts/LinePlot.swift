/// Lines over a numeric axis with bands of uncertainty, labelled at their right ends.
struct LinePlot {
  struct Point: Sendable {
    var x: Double
    var y: Double
    /// Half the height of the band there; 0 for none.
    var error: Double = 0
  }
  struct Series: Sendable {
    var label: String
    var style: SeriesStyle
    var points: [Point]
    /// Drawn heavier than the others.
    var isMain = false
  }
  /// A grey region between two curves, for a family of controls.
  struct Region: Sendable {
    var label: String
    var points: [(x: Double, low: Double, high: Double)]
  }

  var title: String
  var xLabel: String
  var yLabel: String
  var series: [Series]
  var region: Region?

  private static let height = 340.0
  private static let top = 14.0
  private var bottom: Double { Self.height - 46 }

  private struct Frame {
    var x: Axis
    var y: Axis
    var left: Double
    var right: Double
    var bottom: Double
    func px(_ value: Double) -> Double { left + x.position(value) * (right - left) }
    func py(_ value: Double) -> Double { bottom - y.position(value) * (bottom - LinePlot.top) }
  }

  func render() -> Markup {
    let region = region.flatMap { $0.points.isEmpty ? nil : $0 }
    let shown = series.filter { !$0.points.isEmpty }
    let points = shown.flatMap(\.points)
    let labels = shown.map(\.label) + (region.map { [$0.label] } ?? [])
    let room = min(max(labels.map { ChartCanvas.width(of: $0) }.max() ?? 0, 40), 165)
    let bounds =
      points.flatMap { [$0.y - $0.error, $0.y + $0.error] } + (region?.points.flatMap { [$0.low, $0.high] } ?? [])
    let y = Axis(covering: bounds + [0], ticks: 6, rounded: false, padding: 0.04)
    let tickWidth = y.ticks.map { ChartCanvas.width(of: y.label($0)) }.max() ?? 0
    let frame = Frame(
      x: Axis(covering: points.map(\.x) + (region?.points.map(\.x) ?? []), ticks: 5, rounded: false), y: y,
      left: tickWidth + 34, right: ChartCanvas.width - room - 24, bottom: bottom)
    var canvas = ChartCanvas(title: title, height: Self.height)
    drawFrame(frame, on: &canvas)
    if let region { draw(region, frame, on: &canvas) }
    for one in shown where one.points.contains(where: { $0.error > 0 }) { drawBand(one, frame, on: &canvas) }
    for one in shown.sorted(by: { !$0.isMain && $1.isMain }) { drawLine(one, frame, on: &canvas) }
    drawLabels(shown, region, frame, room: room, on: &canvas)
    return canvas.render()
  }

  private func drawFrame(_ frame: Frame, on canvas: inout ChartCanvas) {
    for tick in frame.y.ticks {
      let y = frame.py(tick)
      canvas.line(frame.left, y, frame.right, y, style: tick == 0 ? "zero" : "grid")
      canvas.text(frame.y.label(tick), x: frame.left - 8, y: y + 4.5, anchor: .end, style: "t m")
    }
    for (tick, label) in xTicks(frame) {
      let x = frame.px(tick)
      canvas.line(x, bottom, x, bottom + 5, style: "zero")
      if tick == 0 { canvas.line(x, Self.top, x, bottom, style: "zero") }
      canvas.text(label, x: x, y: bottom + 19, anchor: .middle, style: "t m")
    }
    canvas.text(xLabel, x: (frame.left + frame.right) / 2, y: Self.height - 8, anchor: .middle)
    canvas.text(yLabel, x: 14, y: (Self.top + bottom) / 2, anchor: .middle, rotated: true)
  }

  /// Where points are, if they are few enough to be labelled; else round numbers.
  private func xTicks(_ frame: Frame) -> [(Double, String)] {
    let places = Set(series.flatMap(\.points).map(\.x)).sorted()
    let labels = places.map { x in
      Figure.typographic(x == x.rounded() && abs(x) < 1e6 ? Figure.fixed(x, 0) : Figure.significant(x, 2))
    }
    let ends = zip(places, labels).map { (frame.px($0), ChartCanvas.width(of: $1) / 2) }
    let isRoomy = zip(ends, ends.dropFirst()).allSatisfy { $1.0 - $0.0 > $0.1 + $1.1 + 4 }
    guard isRoomy, places.count > 1 else { return frame.x.ticks.map { ($0, frame.x.label($0)) } }
    return Array(zip(places, labels))
  }

  private func path(_ places: [(Double, Double)]) -> Markup {
    .joined(places.map { place in "\(place.0),\(place.1)" }, by: " ")
  }

  private func draw(_ region: Region, _ frame: Frame, on canvas: inout ChartCanvas) {
    let upper = region.points.map { (frame.px($0.x), frame.py($0.high)) }
    let lower = region.points.reversed().map { (frame.px($0.x), frame.py($0.low)) }
    canvas.add("<polygon class=\"region\" points=\"\(path(upper + lower))\"/>")
  }

  private func drawBand(_ series: Series, _ frame: Frame, on canvas: inout ChartCanvas) {
    let upper = series.points.map { (frame.px($0.x), frame.py($0.y + $0.error)) }
    let lower = series.points.reversed().map { (frame.px($0.x), frame.py($0.y - $0.error)) }
    canvas.add("<polygon class=\"band c-\(series.style.color)\" points=\"\(path(upper + lower))\"/>")
  }

  private func drawLine(_ series: Series, _ frame: Frame, on canvas: inout ChartCanvas) {
    let places = series.points.map { (frame.px($0.x), frame.py($0.y)) }
    let dash: Markup = series.style.dash.isEmpty ? "" : " stroke-dasharray=\"\(series.style.dash)\""
    let weight = series.isMain ? "line main" : "line"
    canvas.add("<polyline class=\"\(weight) c-\(series.style.color)\"\(dash) points=\"\(path(places))\"/>")
    guard places.count <= 25 else { return }
    for (x, y) in places {
      canvas.add(
        "<circle class=\"dot c-\(series.style.color)\" cx=\"\(x)\" cy=\"\(y)\" r=\"\(series.isMain ? 3.2 : 2.4)\"/>")
    }
  }

  private func drawLabels(
    _ shown: [Series], _ region: Region?, _ frame: Frame, room: Double, on canvas: inout ChartCanvas
  ) {
    var ends = shown.compactMap { one in
      one.points.max { $0.x < $1.x }.map {
        (label: one.label, color: one.style.color, x: frame.px($0.x), y: frame.py($0.y), isMain: one.isMain)
      }
    }
    if let region, let last = region.points.max(by: { $0.x < $1.x }) {
      ends.append((region.label, "random", frame.px(last.x), frame.py((last.low + last.high) / 2), false))
    }
    let places = ChartCanvas.spread(ends.map(\.y), spacing: 17, within: (Self.top + 4)...(bottom - 2))
    for (end, y) in zip(ends, places) {
      canvas.line(end.x + 5, end.y, frame.right + 19, y, style: "leader c-\(end.color)")
      canvas.text(
        ChartCanvas.fitted(end.label, to: room + 4), x: frame.right + 22, y: y + 4.5,
        style: "t f-\(end.color)\(end.isMain ? " b" : "")")
    }
  }
}
