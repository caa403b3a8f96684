internal import SweepRecords

extension PostgreSQLStore {
  package func finish(_ finished: [FinishedTask], worker: WorkerID) async throws -> [FinishOutcome] {
    if finished.isEmpty { return [] }
    // Digests are taken before anything is locked.
    let digests = finished.map { $0.result.artifacts.map { Digest(of: $0.bytes) } }
    do {
      return try await finish(finished, digests, worker)
    } catch let error as StoreError where error.code == .unreachable {
      // The connection may have gone during COMMIT. On a new one we know: the rows of the old transaction are waited
      // for, and then either are done by these very leases, or still ours to finish.
      return try await finish(finished, digests, worker)
    }
  }

  private func finish(
    _ finished: [FinishedTask], _ digests: [[Digest]], _ worker: WorkerID
  ) async throws -> [FinishOutcome] {
    try await writing { db, now in
      let done = try Self.markDone(finished, worker, now: now, db)
      var outcomes: [FinishOutcome] = []
      var stored: Set<TaskLease> = []
      var fresh: [(task: FinishedTask, digests: [Digest])] = []
      for (task, digests) in zip(finished, digests) {
        if done.fresh.contains(task.lease), stored.insert(task.lease).inserted {
          fresh.append((task, digests))
          outcomes.append(.done)
        } else {
          outcomes.append(stored.contains(task.lease) || done.before.contains(task.lease) ? .alreadyDone : .fenced)
        }
      }
      if fresh.isEmpty { return outcomes }
      try Self.storeArtifacts(of: fresh, now: now, db)
      for table in ResultTable.allCases { try Self.copy(fresh.map(\.task), into: table, db) }
      try Self.releaseDependents(of: fresh.map(\.task.lease.task), db)
      return outcomes
    }
  }

  /// The fence: marks tasks done whose leases are held, and closes their attempts. Those that are done now, and those that these very leases had
  /// ended before.
  ///
  /// Who reaps, cancels or deletes at the same time either has had the row first, and then it is not ours any more, or
  /// waits, and then finds it done. Nothing else is done before this.
  private static func markDone(
    _ finished: [FinishedTask], _ worker: WorkerID, now: String, _ db: PostgreSQLConnection
  ) throws -> (fresh: Set<TaskLease>, before: Set<TaskLease>) {
    let logs = Dictionary(finished.map { ($0.lease, $0.log.withoutNUL) }) { first, _ in first }
    let leases = logs.keys.sorted { $0.task < $1.task }
    let (tasks, tokens) = (leases.map(\.task.number), leases.map(\.token.number))
    let fresh = try db.rows(
      """
      WITH mine AS MATERIALIZED (
        SELECT t.id, t.lease_token, l.log
        FROM unnest($1::bigint[], $2::bigint[], $4::text[]) AS l (id, token, log) JOIN task t ON t.id = l.id
        WHERE t.lease_token = l.token AND t.worker = $3 AND t.state = 'running'
        ORDER BY t.id FOR NO KEY UPDATE OF t),
      attempt AS (
        UPDATE task_attempt a SET ended_at = \(now), outcome = 'done', log = nullif(mine.log, '')
        FROM mine WHERE a.token = mine.lease_token)
      UPDATE task SET state = 'done', lease_token = NULL, worker = NULL, lease_until = NULL, ended_at = \(now),
        error = NULL
      FROM mine WHERE task.id = mine.id RETURNING mine.id, mine.lease_token
      """, .integers(tasks), .integers(tokens), .text(worker.text.withoutNUL), .texts(leases.map { logs[$0] })
    ) { TaskLease(task: $0.task(0), token: $0.token(1)) }
    if fresh.count == leases.count { return (Set(fresh), []) }
    let before = try db.rows(
      "SELECT task, token FROM task_attempt WHERE token = ANY($1) AND worker = $2 AND outcome = 'done'",
      .integers(tokens), .text(worker.text.withoutNUL)
    ) { TaskLease(task: $0.task(0), token: $0.token(1)) }
    return (Set(fresh), Set(before))
  }

  private static func storeArtifacts(
    of finished: [(task: FinishedTask, digests: [Digest])], now: String, _ db: PostgreSQLConnection
  ) throws {
    var bytes: [Digest: [UInt8]] = [:]
    var links: [(task: Int64, name: String, digest: Digest)] = []
    for (task, digests) in finished {
      for (artifact, digest) in zip(task.result.artifacts, digests) {
        bytes[digest] = artifact.bytes
        links.append((task.lease.task.number, artifact.name, digest))
      }
    }
    if links.isEmpty { return }
    try store(bytes, now: now, db)
    try db.run(
      """
      INSERT INTO task_artifact (task, name, artifact)
      SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[])
      """, .integers(links.map(\.task)), .texts(links.map(\.name)), PostgreSQLValue(links.map(\.digest)))
  }

  /// Copies the rows of one table in. A column that it doesn't have, a value that doesn't fit, or a row that is there is
  /// a bug to be seen.
  private static func copy(
    _ finished: [FinishedTask], into table: ResultTable, _ db: PostgreSQLConnection
  ) throws {
    guard finished.contains(where: { $0.result.rows.contains { $0.table == table } }) else { return }
    let columns = try db.columns(of: table.rawValue).filter { $0.name != "task" }
    let known = Set(columns.map(\.name))
    try db.copy(into: table.rawValue, ["task"] + columns.map(\.name)) { copy in
      for task in finished {
        for row in task.result.rows where row.table == table {
          if let strange = row.cells.keys.sorted().first(where: { !known.contains($0) }) {
            throw StoreError(.conflict, "table \(table.rawValue) has no column \"\(strange)\" for results")
          }
          copy.row(fields: columns.count + 1)
          copy.integer(task.lease.task.number)
          for column in columns where try !copy.cell(row.cells[column.name] ?? .null, as: column.type) {
            throw StoreError(
              .conflict,
              "\(row.cells[column.name] ?? .null) does not fit into column \"\(column.name)\" of \(table.rawValue)")
          }
        }
      }
    }
  }

  /// Counts tasks off in the groups that wait for them; dependents of a group that is complete become ready.
  ///
  /// Two that finish members of one group at the same time: the second waits for the first's row, and counts down from
  /// what that left; one of them reaches zero. A statement of its own, after the tasks are marked: it sees the groups that
  /// `expand` has made meanwhile (`PostgreSQLStore+Locks.swift`); and so with the dependents.
  private static func releaseDependents(of tasks: [TaskID], _ db: PostgreSQLConnection) throws {
    let complete = try db.rows(
      """
      WITH counts AS MATERIALIZED (
        SELECT task_group, count(*) AS done FROM task_group_member WHERE task = ANY($1) GROUP BY task_group),
      waiting AS MATERIALIZED (
        SELECT g.id, c.done FROM counts c JOIN task_group g ON g.id = c.task_group
        ORDER BY g.id FOR NO KEY UPDATE OF g)
      UPDATE task_group g SET remaining = g.remaining - w.done FROM waiting w WHERE g.id = w.id
      RETURNING g.id, g.remaining
      """, .integers(tasks.map(\.number))
    ) { (id: Int64($0.integer(0)), remaining: $0.integer(1)) }.filter { $0.remaining == 0 }
    if complete.isEmpty { return }
    try db.run(
      """
      WITH free AS MATERIALIZED (
        SELECT id FROM task WHERE task_group = ANY($1) AND state = 'blocked' ORDER BY id FOR NO KEY UPDATE)
      UPDATE task SET state = 'ready' FROM free WHERE task.id = free.id
      """, .integers(complete.map(\.id)))
  }
}
