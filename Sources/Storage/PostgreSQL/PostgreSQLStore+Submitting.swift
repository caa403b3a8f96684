internal import Diagnostics
internal import SweepRecords

extension PostgreSQLStore {
  package func submit(_ submission: SweepSubmission) async throws -> SubmittedSweep {
    try Self.requireStorable(submission)
    let inputs = Dictionary(submission.inputs.map { (Digest(of: $0), $0) }) { first, _ in first }
    return try await writing { db, now in
      if let known = try Self.known(submission.digest, db) { return known }
      // The bytes go before the lock is taken: they may be many. Of two that submit the same sweep, one waits here, or at
      // the lock, and then finds it.
      try Self.store(inputs, now: now, db)
      try PlanningLock.takeAlone(db)
      if let known = try Self.known(submission.digest, db) { return known }
      let id = try Self.freeID(for: submission.digest, db)
      let sweep = try db.first(
        """
        INSERT INTO sweep (id, digest, name, state, priority, numerics_version, submitted_at, document, resolved)
        VALUES ($1, $2, $3, 'planning', $4, $5, \(now), $6, $7) RETURNING number
        """, .text(id.text), PostgreSQLValue(submission.digest), .text(submission.name),
        .text(submission.priority.rawValue), PostgreSQLValue(submission.numericsVersion), .text(submission.document),
        .text(submission.resolved)
      ) { $0.integer(0) }
      guard let sweep else { throw StoreError(.internal, "a sweep vanished while it was inserted") }
      for (position, model) in submission.models.enumerated() { try Self.insert(model, position, sweep, db) }
      for (position, behaviour) in submission.behaviours.enumerated() {
        try Self.insert(behaviour, position, sweep, db)
      }
      try db.run(
        "INSERT INTO sweep_artifact (sweep, artifact) SELECT $1, digest FROM unnest($2::text[]) AS input (digest)",
        PostgreSQLValue(sweep), PostgreSQLValue(inputs.keys.sorted()))
      return SubmittedSweep(id: id, isNew: true, state: .planning)
    }
  }

  /// Throws for a text that PostgreSQL can't store as it is.
  private static func requireStorable(_ submission: SweepSubmission) throws {
    let texts = [("name", submission.name), ("file", submission.document), ("resolved form", submission.resolved)]
    for (what, text) in texts where text.utf8.contains(0) {
      throw InputError(
        "sweep \(submission.name)", expected: "text", found: "a NUL character in its \(what)",
        remedy: "take it out: PostgreSQL can't store it")
    }
  }

  private static func known(_ digest: Digest, _ db: PostgreSQLConnection) throws -> SubmittedSweep? {
    try db.first("SELECT id, state FROM sweep WHERE digest = $1", PostgreSQLValue(digest)) { row in
      SubmittedSweep(id: SweepID(row.text(0)), isNew: false, state: try row.value(1))
    }
  }

  /// The shortest beginning of the digest, from twelve digits on, that no sweep has.
  private static func freeID(for digest: Digest, _ db: PostgreSQLConnection) throws -> SweepID {
    let candidates = (12...64).map { String(digest.hex.prefix($0)) }
    let taken = Set(try db.rows("SELECT id FROM sweep WHERE id = ANY($1)", .texts(candidates)) { $0.text(0) })
    return SweepID(candidates.first { !taken.contains($0) } ?? digest.hex)
  }

  private static func insert(_ model: ModelRow, _ position: Int, _ sweep: Int, _ db: PostgreSQLConnection) throws {
    try db.run(
      """
      INSERT INTO model (sweep, position, digest, name, locator, architecture, parameters, layers, width, vocabulary,
        weights, template) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
      """, PostgreSQLValue(sweep), PostgreSQLValue(position), PostgreSQLValue(model.digest), .text(model.name),
      .text(model.locator), .text(model.architecture), PostgreSQLValue(model.parameters),
      PostgreSQLValue(model.layers), PostgreSQLValue(model.width), PostgreSQLValue(model.vocabulary),
      .text(model.weights), .text(model.template))
  }

  private static func insert(
    _ behaviour: BehaviourRow, _ position: Int, _ sweep: Int, _ db: PostgreSQLConnection
  ) throws {
    try db.run(
      """
      INSERT INTO behaviour (sweep, position, name, contrast_digest, vector_digest, questions_digest, pairs, questions,
        read) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
      """, PostgreSQLValue(sweep), PostgreSQLValue(position), .text(behaviour.name), .text(behaviour.contrast?.hex),
      .text(behaviour.vector?.hex), .text(behaviour.questions?.hex), PostgreSQLValue(behaviour.pairCount),
      PostgreSQLValue(behaviour.questionCount), .text(behaviour.read?.rawValue))
  }
}
