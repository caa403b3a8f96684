internal import Foundation
internal import Reporting
internal import Storage
internal import SweepRecords

/// Named values about one thing, in order: a column for people, or JSON, or CSV.
struct Facts {
  private var entries: [(name: String, value: JSONText)] = []

  mutating func add(_ name: String, _ value: String?) { entries.append((name, value.map { .text($0) } ?? .null)) }
  mutating func add(_ name: String, _ value: Int?) { entries.append((name, value.map { .integer($0) } ?? .null)) }
  mutating func add(_ name: String, _ value: Double?) { entries.append((name, value.map { .number($0) } ?? .null)) }
  mutating func add(_ name: String, _ value: Bool) { entries.append((name, .bool(value))) }
  mutating func add(_ name: String, _ value: [Int]) { entries.append((name, .list(value.map { .integer($0) }))) }

  /// The text, with a new line at its end. For people, what isn't there is left out.
  func render(as format: OutputFormat) -> String {
    switch format {
    case .json: return JSONText.object(entries).render()
    case .csv:
      let rows = entries.map { [Cell.text($0.name), Self.cell($0.value)] }
      return TerminalTable(columns: ["name", "value"], rows: rows).render(as: .csv)
    case .table:
      return entries.compactMap { entry in
        Self.words(entry.value).map { "\(entry.name.replacing("_", with: " ")): \($0)\n" }
      }.joined()
    }
  }

  /// A number for people; a dash where it is undefined.
  static func short(_ value: Double?) -> String {
    guard let value, value.isFinite else { return "-" }
    return String(format: "%.4g", value)
  }

  private static func cell(_ value: JSONText) -> Cell {
    switch value {
    case .null, .object: .null
    case .bool(let value): .text(value ? "true" : "false")
    case .integer(let value): .integer(value)
    case .number(let value): Cell(finite: value)
    case .text(let value): .text(value)
    case .list(let values): .text(values.compactMap(words).joined(separator: " "))
    }
  }

  private static func words(_ value: JSONText) -> String? {
    switch value {
    case .null, .object: nil
    case .bool(let value): value ? "yes" : "no"
    case .integer(let value): "\(value)"
    case .number(let value): short(value)
    case .text(let value): value.isEmpty ? "-" : value
    case .list(let values): values.isEmpty ? "none" : values.compactMap(words).joined(separator: " ")
    }
  }
}

extension Cell {
  /// A number, or nothing where it is undefined.
  init(finite value: Double?) { self = value.flatMap { $0.isFinite ? .real($0) : nil } ?? .null }
}

extension TerminalTable {
  /// A table of all there is.
  init(columns: [String], rows: [[Cell]]) {
    self.init(QueryResult(columns: columns, rows: rows, isTruncated: false))
  }
}
