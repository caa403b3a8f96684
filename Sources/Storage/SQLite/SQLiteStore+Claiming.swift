internal import Foundation
internal import SweepRecords

extension SQLiteStore {
  package func claim(_ tasks: [TaskID], worker: WorkerID, for seconds: Double) throws -> [ClaimedTask] {
    try writing { db, now in
      let numerics = try db.first(
        "SELECT numerics_version FROM worker WHERE id = ? AND condition <> 'stopped'", SQLValue(worker.text)
      ) { $0.integer(0) }
      guard let numerics else { throw Self.missing(worker) }
      return try tasks.compactMap {
        try Self.claim($0, worker, numerics: numerics, now: now, until: now + seconds, &db)
      }
    }
  }

  package func claimMisses(_ tasks: [TaskID], worker: WorkerID) throws -> [TaskID: ClaimMiss] {
    try reading { db, now in
      let numerics =
        try db.first("SELECT numerics_version FROM worker WHERE id = ?", SQLValue(worker.text)) { $0.integer(0) } ?? 0
      var misses: [TaskID: ClaimMiss] = [:]
      for task in tasks {
        let facts = try db.first(
          """
          SELECT t.state, t.not_before > ?,
            (SELECT count(*) FROM sweep_task st JOIN sweep s ON s.number = st.sweep
             WHERE st.task = t.id AND s.state = 'active'),
            (SELECT count(*) FROM sweep_task st JOIN sweep s ON s.number = st.sweep
             WHERE st.task = t.id AND s.state = 'active' AND s.numerics_version = ?)
          FROM task t WHERE t.id = ?
          """, SQLValue(now), SQLValue(numerics), SQLValue(task.number)
        ) { row in
          ClaimMiss(
            state: try row.value(0), isDue: row.isNull(1) || row.integer(1) == 0, activeSweeps: row.integer(2),
            ofNumerics: row.integer(3))
        }
        misses[task] = facts ?? .missing
      }
      return misses
    }
  }

  static func missing(_ worker: WorkerID) -> StoreError {
    StoreError(.missing, "worker \(worker) is not registered, or has signed off")
  }

  /// Claims one task if it may be. The attempt comes first: its number is the lease token.
  private static func claim(
    _ task: TaskID, _ worker: WorkerID, numerics: Int, now: Double, until: Double, _ db: inout SQLiteConnection
  ) throws -> ClaimedTask? {
    let token = try db.first(
      """
      INSERT INTO task_attempt (task, worker, started_at)
      SELECT t.id, ?, ? FROM task t
      WHERE t.id = ? AND (t.state = 'queued' OR (t.state = 'ready' AND (t.not_before IS NULL OR t.not_before <= ?)))
        AND EXISTS (
          SELECT 1 FROM sweep_task st JOIN sweep s ON s.number = st.sweep
          WHERE st.task = t.id AND s.state = 'active' AND s.numerics_version = ?)
      RETURNING token
      """, SQLValue(worker.text), SQLValue(now), SQLValue(task.number), SQLValue(now), SQLValue(numerics)
    ) { LeaseToken(Int64($0.integer(0))) }
    guard let token else { return nil }
    let sweeps = try db.rows(
      """
      SELECT s.id FROM sweep_task st JOIN sweep s ON s.number = st.sweep
      WHERE st.task = ? AND s.state <> 'cancelled' ORDER BY s.number
      """, SQLValue(task.number)
    ) { SweepID($0.text(0)) }
    return try db.first(
      """
      UPDATE task SET state = 'running', lease_token = ?, worker = ?, lease_until = ?, queue = NULL,
        dispatched_at = NULL, unanswered = 0, not_before = NULL
      WHERE id = ? RETURNING key, kind, work, files, layer, title, estimate, failures
      """, SQLValue(token.number), SQLValue(worker.text), SQLValue(until), SQLValue(task.number)
    ) { row in
      ClaimedTask(
        lease: TaskLease(task: task, token: token), key: try row.digest(0), kind: try row.value(1), work: row.text(2),
        files: try JSONDecoder().decode([FileReference].self, from: Data(row.text(3).utf8)),
        layer: row.optionalInteger(4),
        title: row.text(5), estimate: row.real(6), failures: row.integer(7), sweeps: sweeps)
    }
  }
}
