/// A piece of HTML or SVG. Literals stand as written; every text that is interpolated is escaped, so that nothing read from a
/// file or database can become markup. Numbers are coordinates: one decimal.
struct Markup: Sendable, Equatable, ExpressibleByStringInterpolation {
  private(set) var text: String

  init(stringLiteral value: String) { text = value }
  init(stringInterpolation: StringInterpolation) { text = stringInterpolation.text }
  /// Text for people: escaped, its hyphens before digits made minus signs.
  init(number: String) { text = escaped(Figure.typographic(number)) }

  struct StringInterpolation: StringInterpolationProtocol {
    var text = ""
    init(literalCapacity: Int, interpolationCount: Int) { text.reserveCapacity(literalCapacity * 2) }
    mutating func appendLiteral(_ literal: String) { text += literal }
    mutating func appendInterpolation(_ value: String) { text += escaped(value) }
    mutating func appendInterpolation(_ value: Int) { text += String(value) }
    mutating func appendInterpolation(_ value: Double) { text += coordinate(value) }
    mutating func appendInterpolation(_ value: Markup) { text += value.text }
    mutating func appendInterpolation(_ value: Markup?) { text += value?.text ?? "" }
    mutating func appendInterpolation(_ values: [Markup]) { for value in values { text += value.text } }
  }

  static func += (a: inout Markup, b: Markup) { a.text += b.text }

  /// The pieces one after the other.
  static func joined(_ pieces: [Markup], by separator: Markup = "") -> Markup {
    var result: Markup = ""
    for (index, piece) in pieces.enumerated() {
      if index > 0 { result += separator }
      result += piece
    }
    return result
  }
}

/// Text as it may stand in HTML content and quoted attributes; control characters and bidirectional overrides made harmless.
func escaped(_ text: String) -> String {
  var result = ""
  result.reserveCapacity(text.utf8.count)
  for scalar in text.unicodeScalars {
    switch scalar {
    case "&": result += "&amp;"
    case "<": result += "&lt;"
    case ">": result += "&gt;"
    case "\"": result += "&quot;"
    case "'": result += "&#39;"
    case "\n", "\t": result.unicodeScalars.append(scalar)
    default: result += visible(String(scalar))
    }
  }
  return result
}

/// A coordinate with at most one decimal; what is not finite is 0, so that a page stays a page.
func coordinate(_ value: Double) -> String {
  guard value.isFinite, abs(value) < 1e9 else { return "0" }
  let tenths = Int((value * 10).rounded())
  let (whole, rest) = (abs(tenths) / 10, abs(tenths) % 10)
  return (tenths < 0 ? "-" : "") + String(whole) + (rest == 0 ? "" : ".\(rest)")
}
