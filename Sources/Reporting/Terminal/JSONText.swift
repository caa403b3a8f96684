internal import Foundation

/// A JSON value that keeps the order of its keys.
package enum JSONText: Sendable {
  case null
  case bool(Bool)
  case integer(Int)
  /// Written so that it reads back the same; null where it is not finite.
  case number(Double)
  case text(String)
  case list([JSONText])
  case object([(String, JSONText)])

  /// The JSON, with a new line at its end; `pretty` puts entries of objects and lists of lists on lines of their own.
  package func render(pretty: Bool = true) -> String {
    var result = ""
    write(to: &result, indent: pretty ? 0 : nil)
    return result + "\n"
  }

  private var isScalar: Bool {
    switch self {
    case .null, .bool, .integer, .number, .text: true
    case .list, .object: false
    }
  }

  private func write(to result: inout String, indent: Int?) {
    switch self {
    case .null: result += "null"
    case .bool(let value): result += value ? "true" : "false"
    case .integer(let value): result += String(value)
    case .number(let value): result += value.isFinite ? Self.number(value) : "null"
    case .text(let value): Self.write(value, to: &result)
    case .list(let values):
      let inner = values.allSatisfy(\.isScalar) ? nil : indent
      Self.write(values, between: ("[", "]"), to: &result, indent: inner) { value, result, indent in
        value.write(to: &result, indent: indent)
      }
    case .object(let entries):
      Self.write(entries, between: ("{", "}"), to: &result, indent: indent) { entry, result, indent in
        Self.write(entry.0, to: &result)
        result += ": "
        entry.1.write(to: &result, indent: indent)
      }
    }
  }

  private static func write<Element>(
    _ elements: [Element], between brackets: (String, String), to result: inout String, indent: Int?,
    _ body: (Element, inout String, Int?) -> Void
  ) {
    result += brackets.0
    for (index, element) in elements.enumerated() {
      if index > 0 { result += indent == nil ? ", " : "," }
      if let indent { result += "\n" + String(repeating: "  ", count: indent + 1) }
      body(element, &result, indent.map { $0 + 1 })
    }
    if let indent, !elements.isEmpty { result += "\n" + String(repeating: "  ", count: indent) }
    result += brackets.1
  }

  /// The shortest text that reads back as the same number; whole numbers keep a decimal point, so that they stay real ones.
  static func number(_ value: Double) -> String { "\(value)" }

  private static func write(_ text: String, to result: inout String) {
    result += "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case let scalar
      where scalar.value < 0x20 || scalar.value == 0x7F || scalar.value == 0x2028 || scalar.value == 0x2029:
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    result += "\""
  }
}
