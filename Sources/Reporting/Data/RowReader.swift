internal import Diagnostics
internal import Storage
internal import SweepRecords

/// Cells of a query's answer by column name; what is missing, null or of another type is nil.
struct RowReader {
  private let places: [String: Int]
  private let cells: [Cell]

  init(places: [String: Int], cells: [Cell]) {
    self.places = places
    self.cells = cells
  }

  private subscript(column: String) -> Cell {
    guard let place = places[column], place < cells.count else { return .null }
    return cells[place]
  }

  /// A finite number.
  func number(_ column: String) -> Double? {
    switch self[column] {
    case .real(let value): value.isFinite ? value : nil
    case .integer(let value): Double(value)
    case .null, .text: nil
    }
  }

  func integer(_ column: String) -> Int? {
    switch self[column] {
    case .integer(let value): value
    case .real(let value): Int(exactly: value.rounded())
    case .null, .text: nil
    }
  }

  func text(_ column: String) -> String? {
    if case .text(let value) = self[column] { value } else { nil }
  }

  func flag(_ column: String) -> Bool? { integer(column).map { $0 != 0 } }
}

extension ResultStore {
  /// Reads every row of a query, made plain by `transform`; rows for which it is nil are left out.
  ///
  /// Throws `InputError` when there are more rows than a report can hold.
  func read<Row>(_ sql: String, _ transform: (RowReader) -> Row?) async throws -> [Row] {
    let limit = 2_000_000
    let result = try await query(sql, limits: QueryLimits(rows: limit, seconds: 600))
    guard !result.isTruncated else {
      throw InputError(
        "report", expected: "at most \(limit) rows from a table", found: "more",
        remedy: "read the results with `steerscope query` or `export`")
    }
    let places = Dictionary(result.columns.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    return result.rows.compactMap { transform(RowReader(places: places, cells: $0)) }
  }
}
