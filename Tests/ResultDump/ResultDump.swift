package import Storage
package import SweepRecords

/// Everything that the tasks of a database made, in a form that depends on nothing but the tasks: rows and artifacts by
/// task key; no ids, times or workers. Two runs of the same sweeps give equal dumps, on SQLite and on PostgreSQL.
package struct ResultDump: Sendable, Equatable {
  /// A table's rows as lines, sorted by their bytes: the task's key, then every column by name with its value.
  package private(set) var tables: [String: [String]] = [:]

  /// Reads a whole database.
  ///
  /// Memory grows with the rows: for tests.
  package init(reading store: any ResultStore) async throws {
    for table in ResultTable.allCases {
      tables[table.rawValue] = try await Self.lines(
        "SELECT t.key AS task_key, r.* FROM \(table.rawValue) r JOIN task t ON t.id = r.task", store)
    }
    tables["task_artifact"] = try await Self.lines(
      "SELECT t.key AS task_key, a.name, a.artifact, b.size FROM task_artifact a JOIN task t ON t.id = a.task"
        + " JOIN artifact b ON b.digest = a.artifact", store)
  }

  private static func lines(_ sql: String, _ store: any ResultStore) async throws -> [String] {
    let result = try await store.query(sql, limits: QueryLimits(rows: 10_000_000, seconds: 600))
    if result.isTruncated { throw StoreError(.internal, "more rows than a dump holds") }
    let order = result.columns.indices.filter { result.columns[$0] != "task" }.sorted {
      (result.columns[$0] == "task_key" ? "" : result.columns[$0])
        < (result.columns[$1] == "task_key" ? "" : result.columns[$1])
    }
    let lines = result.rows.map { row in
      order.map { "\(result.columns[$0])=\(text(row[$0]))" }.joined(separator: "\t")
    }
    // By bytes: the order of Swift's strings is that of their normal forms.
    return lines.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// A value with its type; the shortest decimal of a real number names its bits.
  private static func text(_ cell: Cell) -> String {
    switch cell {
    case .null: "null"
    case .integer(let value): "i\(value)"
    case .real(let value): "r\(value)"
    case .text(let value): "t\(value.debugDescription)"
    }
  }

  /// How many rows and artifacts there are.
  package var count: Int { tables.values.reduce(0) { $0 + $1.count } }

  /// A digest for each table.
  package var digests: [String: Digest] {
    tables.mapValues { lines in Digest(of: lines.joined(separator: "\n")) }
  }

  /// Where this dump differs from another, at most `limit` lines a table: `-` only here, `+` only there.
  package func differences(from other: ResultDump, limit: Int = 3) -> [String] {
    Set(tables.keys).union(other.tables.keys).sorted().flatMap { table -> [String] in
      let (here, there) = (tables[table] ?? [], other.tables[table] ?? [])
      guard here != there else { return [] }
      let (only, also) = (Set(here).subtracting(there), Set(there).subtracting(here))
      return ["\(table): \(here.count) rows and \(there.count), \(only.count) and \(also.count) of them apart"]
        + only.sorted().prefix(limit).map { "- \($0)" } + also.sorted().prefix(limit).map { "+ \($0)" }
    }
  }
}
