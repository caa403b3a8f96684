internal import SweepRecords

/// How methods and variants are called and drawn, the same in every chart: a colour, a dash, a place in lists.
enum MethodAppearance {
  /// Methods in the order of lists; others come after, by name.
  private static let order = [
    "encode", "encode-scaled", "encode-minus-zero", "encode-anchored", "pair-difference", "gradient-pursuit",
    "gradient-pursuit-signed", "matching-pursuit", "matching-pursuit-signed", "lasso", "lasso-signed", "projection",
  ]

  static func precedes(_ a: String, _ b: String) -> Bool {
    let (p, q) = (order.firstIndex(of: a) ?? order.count, order.firstIndex(of: b) ?? order.count)
    return (p, a) < (q, b)
  }

  static func style(ofMethod method: String) -> SeriesStyle {
    switch method {
    case "encode": SeriesStyle(color: "encode", dash: "7 4")
    case "encode-scaled": SeriesStyle(color: "scaled", dash: "2 3")
    case "encode-minus-zero": SeriesStyle(color: "minus", dash: "9 3 2 3")
    case "encode-anchored": SeriesStyle(color: "anchored", dash: "4 4")
    case "pair-difference": SeriesStyle(color: "pair")
    case "gradient-pursuit-signed": SeriesStyle(color: "signed")
    case "gradient-pursuit": SeriesStyle(color: "pursuit", dash: "10 3")
    case "matching-pursuit-signed": SeriesStyle(color: "anchored", dash: "12 4")
    case "matching-pursuit": SeriesStyle(color: "pursuit", dash: "4 2")
    default: SeriesStyle(color: "other", dash: "6 2 2 2")
    }
  }

  static func style(of variant: Variant) -> SeriesStyle {
    switch variant.name {
    case "original": SeriesStyle(color: "original")
    case "zero-vector": SeriesStyle(color: "zero", dash: "1 4")
    case "untrained-dictionary": SeriesStyle(color: "untrained", dash: "3 3")
    case "reconstruction": style(ofMethod: variant.method ?? "")
    default: SeriesStyle(color: "random", dash: "2 4")
    }
  }

  /// A short name beside a line: `signed pursuit, 32`.
  static func label(method: String, sparsity: String?) -> String {
    let name =
      switch method {
      case "gradient-pursuit-signed": "signed pursuit"
      case "gradient-pursuit": "pursuit"
      case "matching-pursuit-signed": "signed matching"
      case "matching-pursuit": "matching pursuit"
      default: method
      }
    guard let sparsity, sparsity != "all" else { return name }
    return "\(name), \(sparsity)"
  }

  static func label(of variant: Variant) -> String {
    switch variant.name {
    case "zero-vector": "zero vector"
    case "untrained-dictionary":
      "untrained " + (DecompositionNaming.isPursuit(variant.method ?? "") ? "pursuit" : variant.method ?? "")
    case "reconstruction": label(method: variant.method ?? "", sparsity: variant.sparsity)
    case "pair-difference-error": "pair-difference error"
    case "shuffled-0": "shuffled labels"
    default: variant.name
    }
  }
}

/// A token as people can see it: white space by signs, its length bounded.
func visibleToken(_ token: String) -> String {
  var text = ""
  for character in token {
    switch character {
    case " ", "\u{A0}": text += "␣"
    case "\n", "\r\n", "\r": text += "↵"
    case "\t": text += "⇥"
    default: text.append(character)
    }
    if text.count >= 24 { break }
  }
  if text.isEmpty { return "(empty)" }
  return visible(text) + (text.count >= 24 && token.count > 24 ? "…" : "")
}
