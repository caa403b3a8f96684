internal import SweepRecords

extension SQLiteStore {
  package func submit(_ submission: SweepSubmission) throws -> SubmittedSweep {
    let inputs = submission.inputs.map { (digest: Digest(of: $0), bytes: $0) }
    return try writing { db, now in
      let digest = SQLValue(submission.digest.hex)
      let known = try db.first("SELECT id, state FROM sweep WHERE digest = ?", digest) { row in
        SubmittedSweep(id: SweepID(row.text(0)), isNew: false, state: try row.value(1))
      }
      if let known { return known }
      let id = try Self.freeID(for: submission.digest, &db)
      let sweep = try db.first(
        """
        INSERT INTO sweep (id, digest, name, state, priority, numerics_version, submitted_at, document, resolved)
        VALUES (?, ?, ?, 'planning', ?, ?, ?, ?, ?) RETURNING number
        """, SQLValue(id.text), digest, SQLValue(submission.name), SQLValue(submission.priority.rawValue),
        SQLValue(submission.numericsVersion), SQLValue(now), SQLValue(submission.document),
        SQLValue(submission.resolved)
      ) { $0.integer(0) }
      for (position, model) in submission.models.enumerated() { try Self.insert(model, position, sweep, &db) }
      for (position, behaviour) in submission.behaviours.enumerated() {
        try Self.insert(behaviour, position, sweep, &db)
      }
      for input in inputs {
        try Self.storeArtifact(input.bytes, digest: input.digest, now: now, &db)
        try db.run(
          "INSERT INTO sweep_artifact (sweep, artifact) VALUES (?, ?) ON CONFLICT DO NOTHING", SQLValue(sweep),
          SQLValue(input.digest.hex))
      }
      return SubmittedSweep(id: id, isNew: true, state: .planning)
    }
  }

  /// The shortest beginning of the digest, from twelve digits on, that no sweep has.
  private static func freeID(for digest: Digest, _ db: inout SQLiteConnection) throws -> SweepID {
    for length in 12..<64 {
      let id = String(digest.hex.prefix(length))
      if try !db.exists("SELECT 1 FROM sweep WHERE id = ?", SQLValue(id)) { return SweepID(id) }
    }
    return SweepID(digest.hex)
  }

  private static func insert(_ model: ModelRow, _ position: Int, _ sweep: Int?, _ db: inout SQLiteConnection) throws {
    try db.run(
      """
      INSERT INTO model (sweep, position, digest, name, locator, architecture, parameters, layers, width, vocabulary,
        weights, template) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      """, SQLValue(sweep), SQLValue(position), SQLValue(model.digest.hex), SQLValue(model.name),
      SQLValue(model.locator),
      SQLValue(model.architecture), SQLValue(model.parameters), SQLValue(model.layers), SQLValue(model.width),
      SQLValue(model.vocabulary), SQLValue(model.weights), SQLValue(model.template))
  }

  private static func insert(
    _ behaviour: BehaviourRow, _ position: Int, _ sweep: Int?, _ db: inout SQLiteConnection
  ) throws {
    try db.run(
      """
      INSERT INTO behaviour (sweep, position, name, contrast_digest, vector_digest, questions_digest, pairs, questions,
        read) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
      """, SQLValue(sweep), SQLValue(position), SQLValue(behaviour.name), SQLValue(behaviour.contrast?.hex),
      SQLValue(behaviour.vector?.hex), SQLValue(behaviour.questions?.hex), SQLValue(behaviour.pairCount),
      SQLValue(behaviour.questionCount), SQLValue(behaviour.read?.rawValue))
  }
}
