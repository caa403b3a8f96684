/// How a result is printed: `--format`.
package enum OutputFormat: String, CaseIterable, Sendable {
  /// Aligned columns for people.
  case table
  /// One JSON object.
  case json
  /// RFC 4180, with a line of column names.
  case csv
}
