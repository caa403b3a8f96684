/// The frame of all charts: an SVG that fills its column, a title for people who can't see it, text that fits.
struct ChartCanvas {
  /// All charts are so wide, in their own units: about two thirds of a column on a desk, a whole one on a phone.
  static let width = 500.0

  /// Describes the chart in a sentence, for screen readers.
  var title: String
  var height: Double
  private(set) var body: Markup = ""

  init(title: String, height: Double) {
    self.title = title
    self.height = height
  }

  mutating func add(_ markup: Markup) { body += markup }

  func render() -> Markup {
    """
    <svg viewBox="0 0 \(Self.width) \(height)" role="img" xmlns="http://www.w3.org/2000/svg"><title>\(title)</title>\(body)</svg>

    """
  }

  enum Anchor: String { case start, middle, end }

  mutating func text(
    _ text: String, x: Double, y: Double, anchor: Anchor = .start, style: String = "t", rotated: Bool = false
  ) {
    let turn: Markup = rotated ? " transform=\"rotate(-90 \(x) \(y))\"" : ""
    let place: Markup = anchor == .start ? "" : " text-anchor=\"\(anchor.rawValue)\""
    add("<text class=\"\(style)\" x=\"\(x)\" y=\"\(y)\"\(place)\(turn)>\(text)</text>")
  }

  mutating func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, style: String) {
    add("<line class=\"\(style)\" x1=\"\(x1)\" y1=\"\(y1)\" x2=\"\(x2)\" y2=\"\(y2)\"/>")
  }

  mutating func rectangle(x: Double, y: Double, width: Double, height: Double, style: String) {
    guard width > 0, height > 0 else { return }
    add("<rect class=\"\(style)\" x=\"\(x)\" y=\"\(y)\" width=\"\(width)\" height=\"\(height)\"/>")
  }

  /// About how wide a text of the charts' 13-unit type is.
  static func width(of text: String) -> Double {
    text.reduce(0) { sum, character in
      switch character {
      case "i", "j", "l", "I", ".", ",", ":", ";", "'", "|", " ", "t", "f", "r", "-", "(", ")": sum + 5.2
      case "m", "w", "M", "W", "%": sum + 12.6
      default: sum + (DisplayWidth.of(character) == 2 ? 13.5 : 8.3)
      }
    }
  }

  /// The text cut so that it fits.
  static func fitted(_ text: String, to width: Double) -> String {
    guard Self.width(of: text) > width else { return text }
    var kept = text
    while !kept.isEmpty, Self.width(of: kept) + 10 > width { kept.removeLast() }
    return kept + "…"
  }

  /// Moves labels apart so that neighbours are `spacing` from one another and all within `range`, as near to where they belong as
  /// that allows. O(n log n + n²) at worst, for a handful.
  static func spread(_ wanted: [Double], spacing: Double, within range: ClosedRange<Double>) -> [Double] {
    let order = wanted.indices.sorted { (wanted[$0], $0) < (wanted[$1], $1) }
    // Groups that touch are moved as one, to the mean of what their members want.
    var groups: [(first: Int, count: Int, centre: Double)] = []
    for place in order.indices {
      var group = (first: place, count: 1, centre: wanted[order[place]])
      while let before = groups.last,
        group.centre - before.centre < spacing * Double(group.count + before.count) / 2
      {
        groups.removeLast()
        let count = before.count + group.count
        let centre = (before.centre * Double(before.count) + group.centre * Double(group.count)) / Double(count)
        group = (before.first, count, centre)
      }
      let half = spacing * Double(group.count - 1) / 2
      group.centre = min(
        max(group.centre, range.lowerBound + half), max(range.upperBound - half, range.lowerBound + half))
      groups.append(group)
    }
    var result = wanted
    var floor = -Double.infinity
    for group in groups {
      for member in 0..<group.count {
        let place = group.centre + spacing * (Double(member) - Double(group.count - 1) / 2)
        result[order[group.first + member]] = max(place, floor)
        floor = max(place, floor) + spacing
      }
    }
    let over = (result.max() ?? 0) - range.upperBound
    // The last group may have been pushed out at the bottom: all move up by that, closing gaps from below.
    guard over > 0 else { return result }
    var ceiling = range.upperBound
    for index in order.reversed() {
      result[index] = min(result[index], ceiling)
      ceiling = result[index] - spacing
    }
    return result
  }
}

/// How a series is drawn: a colour of the style sheet (`c-NAME`) and a dash.
struct SeriesStyle: Sendable, Equatable {
  var color: String
  var dash = ""
}
