internal import SweepRecords

extension SQLiteStore {
  package func finish(_ finished: [FinishedTask], worker: WorkerID) throws -> [FinishOutcome] {
    // Digests are taken before the lock is.
    let digests = finished.map { $0.result.artifacts.map { Digest(of: $0.bytes) } }
    return try writing { db, now in
      try zip(finished, digests).map { try finish($0, digests: $1, worker: worker, now: now, &db) }
    }
  }

  /// Finishes one task within a transaction.
  func finish(
    _ task: FinishedTask, digests: [Digest], worker: WorkerID, now: Double, _ db: inout SQLiteConnection
  ) throws -> FinishOutcome {
    let id = SQLValue(task.lease.task.number)
    let changes = try db.run(
      """
      UPDATE task SET state = 'done', lease_token = NULL, worker = NULL, lease_until = NULL, ended_at = ?, error = NULL
      WHERE id = ? AND lease_token = ? AND worker = ? AND state = 'running'
      """, SQLValue(now), id, SQLValue(task.lease.token.number), SQLValue(worker.text))
    guard changes > 0 else { return try Self.wasFinished(by: task.lease, worker, &db) ? .alreadyDone : .fenced }
    for (artifact, digest) in zip(task.result.artifacts, digests) {
      try Self.storeArtifact(artifact.bytes, digest: digest, now: now, &db)
      try db.run(
        "INSERT INTO task_artifact (task, name, artifact) VALUES (?, ?, ?)", id, SQLValue(artifact.name),
        SQLValue(digest.hex))
    }
    for row in task.result.rows { try insert(row, of: task.lease.task, &db) }
    try Self.close(task.lease.token, .done, error: nil, log: task.log, now: now, &db)
    try Self.releaseDependents(of: task.lease.task, &db)
    return .done
  }

  /// Whether this very attempt has ended the task before.
  private static func wasFinished(by lease: TaskLease, _ worker: WorkerID, _ db: inout SQLiteConnection) throws -> Bool
  {
    try db.exists(
      "SELECT 1 FROM task_attempt WHERE token = ? AND task = ? AND worker = ? AND outcome = 'done'",
      SQLValue(lease.token.number), SQLValue(lease.task.number), SQLValue(worker.text))
  }

  /// Counts a task off in the groups that wait for it; dependents of a group that is complete become ready.
  private static func releaseDependents(of task: TaskID, _ db: inout SQLiteConnection) throws {
    let complete = try db.rows(
      """
      UPDATE task_group SET remaining = remaining - 1
      WHERE id IN (SELECT m.task_group FROM task_group_member m WHERE m.task = ?) RETURNING id, remaining
      """, SQLValue(task.number)
    ) { (id: $0.integer(0), remaining: $0.integer(1)) }.filter { $0.remaining == 0 }
    for group in complete {
      try db.run("UPDATE task SET state = 'ready' WHERE task_group = ? AND state = 'blocked'", SQLValue(group.id))
    }
  }

  /// Inserts a result row. A column that the table doesn't have, or a row that is there, is a bug to be seen.
  private func insert(_ row: TableRow, of task: TaskID, _ db: inout SQLiteConnection) throws {
    let columns = row.cells.keys.sorted()
    let known = try columnNames(of: row.table, &db)
    if let strange = columns.first(where: { !known.contains($0) || $0 == "task" }) {
      throw StoreError(.conflict, "table \(row.table.rawValue) has no column \"\(strange)\" for results")
    }
    let places = repeatElement(", ?", count: columns.count).joined()
    try db.run(
      "INSERT INTO \(row.table.rawValue) (task\(columns.map { ", \"\($0)\"" }.joined())) VALUES (?\(places))",
      values: [SQLValue(task.number)] + columns.map { SQLValue(row.cells[$0] ?? .null) })
  }

  private func columnNames(of table: ResultTable, _ db: inout SQLiteConnection) throws -> Set<String> {
    if let known = resultColumns[table] { return known }
    let names = Set(try db.rows("SELECT name FROM pragma_table_info(?)", SQLValue(table.rawValue)) { $0.text(0) })
    resultColumns[table] = names
    return names
  }
}
