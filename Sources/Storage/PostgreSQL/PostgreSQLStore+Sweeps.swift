internal import Diagnostics
package import SweepRecords

extension PostgreSQLStore {
  static let summarySQL = """
    SELECT id, digest, name, state, priority, numerics_version, plan_cursor, is_planned,
      extract(epoch FROM submitted_at)::float8, extract(epoch FROM ended_at)::float8, problem
    FROM sweep
    """

  static func summary(_ row: borrowing PostgreSQLRow) throws -> SweepSummary {
    SweepSummary(
      id: SweepID(row.text(0)), digest: try row.digest(1), name: row.text(2), state: try row.value(3),
      priority: try row.value(4), numericsVersion: row.integer(5), cursor: row.integer(6), isPlanned: row.flag(7),
      submittedAt: row.real(8), endedAt: row.optionalReal(9), problem: row.optionalText(10))
  }

  package func sweeps(in state: SweepState?) async throws -> [SweepSummary] {
    try await saying { db, _ in
      try db.rows(
        "\(Self.summarySQL) WHERE state = coalesce($1, state) ORDER BY number DESC", .text(state?.rawValue)
      ) { try Self.summary($0) }
    }
  }

  package func findSweep(_ text: String) async throws -> SweepSummary? {
    if text.utf8.contains(0) { return nil }
    return try await reading { db, _ in
      if let sweep = try db.first("\(Self.summarySQL) WHERE id = $1", .text(text), read: { try Self.summary($0) }) {
        return sweep
      }
      let named = try db.first("\(Self.summarySQL) WHERE name = $1 ORDER BY number DESC LIMIT 1", .text(text)) {
        try Self.summary($0)
      }
      if let named { return named }
      let beginning = text.lowercased()
      guard !beginning.isEmpty, beginning.allSatisfy(\.isHexDigit) else { return nil }
      let found = try db.rows(
        "\(Self.summarySQL) WHERE starts_with(digest, $1) ORDER BY number DESC LIMIT 2", .text(beginning)
      ) { try Self.summary($0) }
      if found.count > 1 {
        throw InputError(
          "sweep \"\(text)\"", expected: "the beginning of one sweep's id",
          found: "that of several (\(found[0].id), \(found[1].id) ...)", remedy: "give more digits")
      }
      return found.first
    }
  }

  package func submission(of sweep: SweepID) async throws -> StoredSubmission {
    try await reading { db, _ in
      let number = PostgreSQLValue(try Self.number(of: sweep, db))
      let summary = try db.first("\(Self.summarySQL) WHERE number = $1", number) { try Self.summary($0) }
      let texts = try db.first("SELECT document, resolved FROM sweep WHERE number = $1", number) {
        ($0.text(0), $0.text(1))
      }
      guard let summary, let texts else { throw Self.missing(sweep) }
      let inputs = try db.rows(
        """
        SELECT a.digest, a.size FROM sweep_artifact sa JOIN artifact a ON a.digest = sa.artifact
        WHERE sa.sweep = $1 ORDER BY a.digest
        """, number
      ) { ArtifactReference(digest: try $0.digest(0), size: $0.integer(1)) }
      return StoredSubmission(
        summary: summary, document: texts.0, resolved: texts.1, models: try Self.models(of: number, db),
        behaviours: try Self.behaviours(of: number, db), inputs: inputs)
    }
  }

  private static func models(of sweep: PostgreSQLValue, _ db: PostgreSQLConnection) throws -> [ModelRow] {
    try db.rows(
      """
      SELECT digest, name, locator, architecture, parameters, layers, width, vocabulary, weights, template
      FROM model WHERE sweep = $1 ORDER BY position
      """, sweep
    ) { row in
      ModelRow(
        digest: try row.digest(0), name: row.text(1), locator: row.text(2), architecture: row.text(3),
        parameters: row.optionalInteger(4), layers: row.optionalInteger(5), width: row.optionalInteger(6),
        vocabulary: row.optionalInteger(7), weights: row.text(8), template: row.text(9))
    }
  }

  private static func behaviours(of sweep: PostgreSQLValue, _ db: PostgreSQLConnection) throws -> [BehaviourRow] {
    try db.rows(
      """
      SELECT name, contrast_digest, vector_digest, questions_digest, pairs, questions, read
      FROM behaviour WHERE sweep = $1 ORDER BY position
      """, sweep
    ) { row in
      BehaviourRow(
        name: row.text(0), contrast: row.isNull(1) ? nil : try row.digest(1),
        vector: row.isNull(2) ? nil : try row.digest(2), questions: row.isNull(3) ? nil : try row.digest(3),
        pairCount: row.optionalInteger(4), questionCount: row.optionalInteger(5),
        read: row.isNull(6) ? nil : try row.value(6))
    }
  }
}
