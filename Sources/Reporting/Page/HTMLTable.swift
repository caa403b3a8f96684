/// A table of a page, which scrolls sideways where the screen is narrow.
struct HTMLTable {
  struct Column {
    var title: String
    var isNumber: Bool
    /// What the column means, shown on hovering.
    var explanation = ""

    static func text(_ title: String, _ explanation: String = "") -> Column {
      Column(title: title, isNumber: false, explanation: explanation)
    }
    static func number(_ title: String, _ explanation: String = "") -> Column {
      Column(title: title, isNumber: true, explanation: explanation)
    }
  }

  var columns: [Column]
  var rows: [[Markup]]
  /// Every cell on one line: for long tables of short words.
  var isDense = false

  func render() -> Markup {
    let heads = columns.map { column -> Markup in
      let kind: Markup = column.isNumber ? " class=\"n\"" : ""
      let hint: Markup = column.explanation.isEmpty ? "" : " title=\"\(column.explanation)\""
      return "<th scope=\"col\"\(kind)\(hint)>\(column.title)</th>"
    }
    let body = rows.map { row -> Markup in
      let cells = zip(columns, row).map { column, cell -> Markup in
        column.isNumber ? "<td class=\"n\">\(cell)</td>" : "<td>\(cell)</td>"
      }
      return "<tr>\(cells)</tr>\n"
    }
    return """
      <div class="scroll"><table\(isDense ? " class=\"dense\"" : "" as Markup)><thead><tr>\(heads)</tr></thead><tbody>
      \(body)</tbody></table></div>

      """
  }
}
