internal import SweepRecords

/// Comma-separated values as RFC 4180 has them, lines ended by a line feed.
enum CSVText {
  /// A field, quoted where it must be. A text that a spreadsheet would run as a formula stays as it is: the file is data.
  static func field(_ text: String) -> String {
    let needsQuotes =
      text.utf8.contains { $0 == 0x22 || $0 == 0x2C || $0 == 0x0A || $0 == 0x0D } || text.hasPrefix(" ")
      || text.hasSuffix(" ")
    return needsQuotes ? "\"" + text.replacing("\"", with: "\"\"") + "\"" : text
  }

  /// A line of fields with its end.
  static func line(_ fields: [String]) -> String { fields.map { field($0) }.joined(separator: ",") + "\n" }

  /// A cell: null is empty, an empty text is `""`.
  static func cell(_ cell: Cell) -> String {
    switch cell {
    case .null: ""
    case .integer(let value): String(value)
    case .real(let value): value.isFinite ? JSONText.number(value) : ""
    case .text(let value): value.isEmpty ? "\"\"" : field(value)
    }
  }

  /// Columns and rows.
  static func render(columns: [String], rows: [[Cell]]) -> String {
    var result = line(columns)
    for row in rows { result += row.map { cell($0) }.joined(separator: ",") + "\n" }
    return result
  }
}
