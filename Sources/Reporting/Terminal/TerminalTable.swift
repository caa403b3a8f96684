package import Storage
internal import SweepRecords

/// The answer to a query as a table, as JSON or as CSV.
package struct TerminalTable: Sendable {
  private let result: QueryResult

  package init(_ result: QueryResult) { self.result = result }

  /// The text, with a new line at its end. A table is cut to `width` columns where that is given.
  package func render(as format: OutputFormat, width: Int? = nil) -> String {
    switch format {
    case .table: table(width: width)
    case .csv: CSVText.render(columns: result.columns, rows: result.rows)
    case .json: json.render()
    }
  }

  // MARK: JSON

  /// `{"columns": [...], "rows": [{column: value}], "truncated": false}`; a second column of a name gets `_2`.
  private var json: JSONText {
    var seen: [String: Int] = [:]
    let names = result.columns.map { name -> String in
      seen[name, default: 0] += 1
      let times = seen[name] ?? 1
      return times == 1 ? name : "\(name)_\(times)"
    }
    let rows = result.rows.map { row in JSONText.object(zip(names, row).map { ($0, JSONText($1)) }) }
    return .object([
      ("columns", .list(names.map { .text($0) })), ("rows", .list(rows)), ("truncated", .bool(result.isTruncated)),
    ])
  }

  // MARK: Table

  private func table(width: Int?) -> String {
    let isNumber = result.columns.indices.map { column in
      let cells = result.rows.map { column < $0.count ? $0[column] : .null }
      return !cells.isEmpty && cells.allSatisfy(\.isNumberOrNull) && !cells.allSatisfy { $0 == .null }
    }
    let cells = result.rows.map { $0.map { Self.text($0) } }
    var text = AlignedText.render(
      header: result.columns.map { visible($0) }, rows: cells, right: isNumber, width: width)
    if result.rows.isEmpty { text += "(no rows)\n" }
    if result.isTruncated { text += "(there is more; narrow it down, or use LIMIT and OFFSET)\n" }
    return text
  }

  private static func text(_ cell: Cell) -> String {
    switch cell {
    case .null: "-"
    case .integer(let value): String(value)
    case .real(let value): Figure.significant(value, 5)
    case .text(let value): visible(value)
    }
  }
}

extension Cell {
  fileprivate var isNumberOrNull: Bool {
    switch self {
    case .null, .integer, .real: true
    case .text: false
    }
  }
}

extension JSONText {
  init(_ cell: Cell) {
    self =
      switch cell {
      case .null: .null
      case .integer(let value): .integer(value)
      case .real(let value): .number(value)
      case .text(let value): .text(value)
      }
  }
}

/// Columns of text, two spaces apart.
enum AlignedText {
  /// - Parameters:
  ///   - right: whether a column is set flush right; columns beyond it are not.
  ///   - width: what lines are to fit in. Wide columns of text are cut first, down to eight columns each.
  static func render(header: [String], rows: [[String]], right: [Bool], width: Int?) -> String {
    var widths = header.map { DisplayWidth.of($0) }
    for row in rows {
      for (column, cell) in row.enumerated() where column < widths.count {
        widths[column] = max(widths[column], DisplayWidth.of(cell))
      }
    }
    if let width { shrink(&widths, to: width) }
    func line(_ cells: [String]) -> String {
      var text = ""
      for (column, cell) in cells.enumerated() where column < widths.count {
        if column > 0 { text += "  " }
        let isRight = column < right.count && right[column]
        text += DisplayWidth.padded(DisplayWidth.cut(cell, to: widths[column]), to: widths[column], right: isRight)
      }
      while text.hasSuffix(" ") { text.removeLast() }
      return text + "\n"
    }
    let rule = widths.map { String(repeating: "-", count: $0) }
    return line(header) + line(rule) + rows.map { line($0) }.joined()
  }

  /// Takes columns from the widest until all fit, or none has more than eight.
  private static func shrink(_ widths: inout [Int], to width: Int) {
    var excess = widths.reduce(0, +) + 2 * max(widths.count - 1, 0) - width
    while excess > 0, let widest = widths.indices.max(by: { widths[$0] < widths[$1] }), widths[widest] > 8 {
      let next = widths.filter { $0 < widths[widest] }.max() ?? 8
      let cut = min(excess, max(1, widths[widest] - max(next, 8)))
      widths[widest] -= cut
      excess -= cut
    }
  }
}
