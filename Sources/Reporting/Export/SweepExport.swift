internal import Diagnostics
internal import Foundation
package import Storage
internal import SweepRecords
internal import TensorFiles

/// A file that an export left.
package struct ExportedFile: Sendable, Equatable {
  /// Relative to the folder.
  package var path: String
  package var bytes: Int
  /// Rows of a table; nil for tensors.
  package var rows: Int?
}

/// Writes what a sweep found into a folder: views and tables as CSV, vectors and reconstructions as safetensors.
package struct SweepExport: Sendable {
  private let store: any ResultStore
  private let sweep: SweepID

  package init(store: any ResultStore, sweep: SweepID) {
    self.store = store
    self.sweep = sweep
  }

  /// The views of interface.md that are about a sweep.
  static let views = [
    "steering_curve", "steerability", "faithfulness", "bias_dominance", "negative_projections", "best_method",
    "sweep_progress", "parked_task",
  ]

  /// Result tables, which no view shows whole.
  static let tables: [ResultTable] = [
    .sae, .activationStatistics, .steeringVector, .decomposition, .decompositionFeature, .evaluationQuestion,
  ]

  /// Rows asked for at a time: the store cuts longer answers off.
  static let page = 50_000

  /// Writes all files, each complete or not at all, over those of an earlier export. Throws `InputError` where the folder can't be
  /// written. Returns what was written, in order.
  package func write(to folder: String) async throws -> [ExportedFile] {
    try ExportFolder.make(folder)
    var files: [ExportedFile] = []
    let id = "'" + sweep.text.replacing("'", with: "''") + "'"
    for view in Self.views {
      files.append(
        try await writeTable("\(view).csv", "SELECT * FROM \(view) WHERE sweep_id = \(id)", to: folder))
    }
    for table in Self.tables {
      let sql =
        "SELECT r.* FROM \(table.rawValue) r JOIN sweep_task st ON st.task = r.task "
        + "JOIN sweep s ON s.number = st.sweep WHERE s.id = \(id)"
      files.append(try await writeTable("\(table.rawValue).csv", sql, to: folder))
    }
    files += try await writeTensors(id: id, to: folder)
    files += try await writeAxes(to: folder)
    return files
  }

  /// Rows in the order of all columns, which makes pages of them well defined and two exports equal.
  private func writeTable(_ name: String, _ sql: String, to folder: String) async throws -> ExportedFile {
    let columns = try await store.query("\(sql) LIMIT 0", limits: QueryLimits(rows: 1)).columns
    let order = columns.indices.map { "\($0 + 1) NULLS FIRST" }.joined(separator: ", ")
    var text = CSVText.line(columns)
    var count = 0
    while true {
      let page = try await store.query(
        "\(sql) ORDER BY \(order) LIMIT \(Self.page) OFFSET \(count)",
        limits: QueryLimits(rows: Self.page, seconds: 600))
      for row in page.rows { text += row.map { CSVText.cell($0) }.joined(separator: ",") + "\n" }
      count += page.rows.count
      if page.rows.count < Self.page { break }
    }
    let bytes = Array(text.utf8)
    try AtomicFile.write(bytes, to: folder + "/" + name)
    return ExportedFile(path: name, bytes: bytes.count, rows: count)
  }

  /// `vectors/BEHAVIOUR.safetensors`, `reconstructions/NAME-KEY.safetensors`, one file a task.
  private func writeTensors(id: String, to folder: String) async throws -> [ExportedFile] {
    let made = try await store.query(
      """
      SELECT ta.name, t.key, t.title, ta.artifact FROM task_artifact ta JOIN task t ON t.id = ta.task
      JOIN sweep_task st ON st.task = t.id JOIN sweep s ON s.number = st.sweep
      WHERE s.id = \(id) AND ta.name IN ('vectors', 'reconstructions') ORDER BY ta.name, t.title, t.key
      """, limits: QueryLimits(rows: 1_000_000, seconds: 600))
    var files: [ExportedFile] = []
    for row in made.rows where row.count == 4 {
      guard case .text(let name) = row[0], case .text(let key) = row[1], case .text(let title) = row[2],
        case .text(let hex) = row[3], let digest = Digest(hex: hex)
      else { continue }
      guard let bytes = try await store.artifact(digest) else {
        throw InputError(
          "artifact \(digest.short)", expected: "the \(name) of \"\(title)\" in the store", found: "nothing",
          remedy: "run the sweep again: what is missing is computed anew")
      }
      let path = "\(name)/\(Self.fileName(title))-\(key.prefix(12)).safetensors"
      try ExportFolder.make(folder + "/" + name)
      try AtomicFile.write(bytes, to: folder + "/" + path)
      files.append(ExportedFile(path: path, bytes: bytes.count, rows: nil))
    }
    return files
  }

  /// `coefficient_axis/BEHAVIOUR-LAYER-SAE.csv`: every step of L0 and overlap over the axis of coefficients.
  private func writeAxes(to folder: String) async throws -> [ExportedFile] {
    var files: [ExportedFile] = []
    for (key, axis) in try await ReportSource(store: store, sweep: sweep).axes() {
      let path = "coefficient_axis/\(Self.fileName("\(key.behaviour)-layer-\(key.layer)-\(axis.sae)")).csv"
      let bytes = Array(axis.csv.utf8)
      try ExportFolder.make(folder + "/coefficient_axis")
      try AtomicFile.write(bytes, to: folder + "/" + path)
      files.append(ExportedFile(path: path, bytes: bytes.count, rows: axis.starts.count))
    }
    return files
  }

  /// A title as a file's name: letters, digits, dots and hyphens, no path, not too long.
  static func fileName(_ title: String) -> String {
    var name = ""
    for character in title {
      let isKept = character.isASCII && (character.isLetter || character.isNumber || character == ".")
      if isKept { name.append(character) } else if !name.hasSuffix("-") { name.append("-") }
    }
    let trimmed = name.drop { $0 == "-" || $0 == "." }.prefix(80)
    return trimmed.isEmpty ? "unnamed" : String(trimmed)
  }
}
