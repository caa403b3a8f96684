import Foundation
import Schemas

/// The tables and views of the SQLite schema with their comments, read from the migrations' text: SQLite itself keeps
/// no comments.
struct SQLiteSchemaText {
  struct Table: Equatable {
    var comment: String
    var columns: [(name: String, comment: String)] = []

    static func == (a: Table, b: Table) -> Bool { a.lines == b.lines }

    /// The table's comment, then a line a column.
    var lines: [String] { [comment] + columns.map { "\($0.name): \($0.comment)" } }
  }
  private(set) var tables: [String: Table] = [:]
  /// Comments by name.
  private(set) var views: [String: String] = [:]

  /// The table that is being read.
  private var open: String?

  init() {
    var comment: [String] = []
    for migration in Schemas.sqliteMigrations {
      for line in migration.sql.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
        let words = line.split(separator: " ").map(String.init)
        if line.hasPrefix("-- ") {
          comment.append(String(line.dropFirst(3)))
          continue
        }
        defer { comment = [] }
        switch words.prefix(2) {
        case ["CREATE", "TABLE"]: begin(words[2], comment)
        case ["CREATE", "VIEW"]: views[words[2]] = comment.joined(separator: " ")
        case ["ALTER", "TABLE"] where words[3...4] == ["ADD", "COLUMN"]:
          tables[words[2]]?.columns.append((words[5], Self.comment(of: line)))
        default:
          if line.hasPrefix(")") { open = nil }
          if let open { read(line, of: open) }
        }
      }
    }
  }

  private mutating func begin(_ table: String, _ comment: [String]) {
    open = table
    tables[table] = Table(comment: comment.joined(separator: " "))
  }

  /// A column's line, or a further one of the last column with the comment.
  private mutating func read(_ line: String, of table: String) {
    let name = line.dropFirst(2).prefix { $0.isLowercase || $0.isNumber || $0 == "_" }
    if line.hasPrefix("  "), !name.isEmpty {
      tables[table]?.columns.append((String(name), Self.comment(of: line)))
    } else if let last = tables[table]?.columns.indices.last, !Self.comment(of: line).isEmpty {
      tables[table]?.columns[last].comment = Self.comment(of: line)
    }
  }

  private static func comment(of line: String) -> String {
    line.range(of: " -- ").map { String(line[$0.upperBound...]) } ?? ""
  }
}
