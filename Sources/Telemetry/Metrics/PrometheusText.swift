/// Prometheus' text format, version 0.0.4.
/// (https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format)
struct PrometheusText {
  /// The media type under which it is served.
  static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  private(set) var text = ""

  mutating func append(_ family: any MetricFamily) {
    let description = family.description
    text += "# HELP \(description.name) \(Self.escaped(description.help, quotes: false))\n"
    text += "# TYPE \(description.name) \(description.kind.rawValue)\n"
    for (values, samples) in family.series {
      let labels = zip(description.labels, values).map { "\($0)=\"\(Self.escaped($1, quotes: true))\"" }
      for sample in samples {
        let all = labels + (sample.border.map { ["le=\"\(Self.number($0))\""] } ?? [])
        text += description.name + sample.suffix
        if !all.isEmpty { text += "{" + all.joined(separator: ",") + "}" }
        text += " " + Self.number(sample.value) + "\n"
      }
    }
  }

  /// A number as Go reads it: `+Inf`, `-Inf`, `NaN`, whole numbers without a point, others so that they read back the
  /// same.
  static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    if let whole = Int64(exactly: value), whole.magnitude < 1 << 53 { return String(whole) }
    return value.description
  }

  /// Scalar by scalar, as a carriage return and a line feed are one `Character`.
  private static func escaped(_ text: String, quotes: Bool) -> String {
    guard
      text.utf8.contains(where: { $0 == UInt8(ascii: "\\") || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\n") })
    else { return text }
    var escaped = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": escaped.append(contentsOf: "\\\\".unicodeScalars)
      case "\n": escaped.append(contentsOf: "\\n".unicodeScalars)
      case "\"" where quotes: escaped.append(contentsOf: "\\\"".unicodeScalars)
      default: escaped.append(scalar)
      }
    }
    return String(escaped)
  }
}
