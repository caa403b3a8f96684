internal import SweepRecords

/// What all ends of a lease share.
extension SQLiteStore {
  /// Whether any sweep that is not cancelled wants a task.
  static func isWanted(_ task: TaskID, _ db: inout SQLiteConnection) throws -> Bool {
    try db.exists(
      "SELECT 1 FROM sweep_task st JOIN sweep s ON s.number = st.sweep WHERE st.task = ? AND s.state <> 'cancelled'",
      SQLValue(task.number))
  }

  /// Whether a lease is still this worker's.
  static func holds(_ lease: TaskLease, _ worker: WorkerID, _ db: inout SQLiteConnection) throws -> Bool {
    try db.exists(
      "SELECT 1 FROM task WHERE id = ? AND lease_token = ? AND worker = ? AND state = 'running'",
      SQLValue(lease.task.number), SQLValue(lease.token.number), SQLValue(worker.text))
  }

  /// Closes an attempt.
  static func close(
    _ token: LeaseToken, _ outcome: TaskAttempt.Outcome, error: String?, log: String?, now: Double,
    _ db: inout SQLiteConnection
  ) throws {
    try db.run(
      "UPDATE task_attempt SET ended_at = ?, outcome = ?, error = ?, log = ? WHERE token = ?", SQLValue(now),
      SQLValue(outcome.rawValue), SQLValue(error), SQLValue(log.flatMap { $0.isEmpty ? nil : $0 }),
      SQLValue(token.number))
  }

  /// Ends a lease that is known to be held, and the attempt with it: the task goes to `state`.
  static func leave(
    _ lease: TaskLease, _ state: TaskState, _ outcome: TaskAttempt.Outcome, failed: Bool = false,
    notBefore: Double? = nil,
    error: String?, log: String?, now: Double, _ db: inout SQLiteConnection
  ) throws {
    let isEnd = state == .parked || state == .cancelled
    try db.run(
      """
      UPDATE task SET state = ?, lease_token = NULL, worker = NULL, lease_until = NULL, not_before = ?, ended_at = ?,
        failures = failures + ?, error = CASE WHEN ? THEN ? ELSE error END
      WHERE id = ?
      """, SQLValue(state.rawValue), notBefore.map { .real($0) } ?? .null, isEnd ? .real(now) : .null, SQLValue(failed),
      SQLValue(failed), SQLValue(error), SQLValue(lease.task.number))
    try close(lease.token, outcome, error: error, log: log, now: now, &db)
  }

  /// Puts a task back uncounted: `ready`, or `cancelled` where nobody wants it any more.
  static func giveBack(
    _ lease: TaskLease, _ outcome: TaskAttempt.Outcome, error: String?, log: String?, now: Double,
    _ db: inout SQLiteConnection
  ) throws {
    let state: TaskState = try isWanted(lease.task, &db) ? .ready : .cancelled
    try leave(lease, state, outcome, error: error, log: log, now: now, &db)
  }

  /// Counts a failure: `parked` at once or at the limit, else `ready` after the delay; `cancelled` where nobody wants
  /// it.
  static func countFailure(
    _ lease: TaskLease, _ outcome: TaskAttempt.Outcome, limit: Int, error: String, log: String?, now: Double,
    _ db: inout SQLiteConnection, delay: (_ failures: Int) -> Double?
  ) throws -> (state: TaskState, notBefore: Double?) {
    let failures =
      1 + (try db.first("SELECT failures FROM task WHERE id = ?", SQLValue(lease.task.number)) { $0.integer(0) } ?? 0)
    let wait = delay(failures)
    let state: TaskState =
      try !isWanted(lease.task, &db) ? .cancelled : wait == nil || failures >= limit ? .parked : .ready
    let notBefore = state == .ready ? wait.map { now + $0 } : nil
    try leave(lease, state, outcome, failed: true, notBefore: notBefore, error: error, log: log, now: now, &db)
    return (state, notBefore)
  }

  package func fail(_ failure: TaskFailure, worker: WorkerID, policy: RetryPolicy) throws -> FailOutcome {
    try writing { db, now in
      guard try Self.holds(failure.lease, worker, &db) else { return .fenced }
      let (state, notBefore) = try Self.countFailure(
        failure.lease, .failed, limit: policy.failureLimit, error: failure.error, log: failure.log, now: now, &db
      ) { failure.fault == .task ? nil : policy.delay(failures: $0, jitter: failure.jitter) }
      return switch state {
      case .parked: .parked
      case .cancelled: .cancelled
      default: .retry(notBefore: notBefore ?? now)
      }
    }
  }

  package func release(_ leases: [TaskLease], worker: WorkerID, reason: String) throws {
    try writing { db, now in
      for lease in leases where try Self.holds(lease, worker, &db) {
        try Self.giveBack(lease, .released, error: reason, log: nil, now: now, &db)
      }
    }
  }

  package func reap(_ policy: ReapPolicy, as leader: LeaderToken) throws -> [ReapedTask] {
    try writing { db, now in
      try Self.require(leader, &db)
      let limit: SQLValue = policy.everyLease ? .null : .real(now)
      let expired = try db.rows(
        """
        SELECT t.id, t.lease_token, t.worker, w.host, ? - w.seen_at, w.memory_used, w.memory_limit,
          (SELECT s.id FROM sweep_task st JOIN sweep s ON s.number = st.sweep
           WHERE st.task = t.id AND s.state <> 'cancelled' ORDER BY s.number LIMIT 1)
        FROM task t LEFT JOIN worker w ON w.id = t.worker
        WHERE t.state = 'running' AND t.lease_until <= coalesce(?, t.lease_until) ORDER BY t.id
        """, SQLValue(now), limit
      ) { row in
        let worker = SilentWorker(
          id: WorkerID(row.text(2)), host: row.isNull(3) ? nil : row.text(3), silence: row.optionalReal(4),
          memory: MemoryUse(storedUse: row.optionalInteger(5), limit: row.optionalInteger(6)))
        return ReapedTask(
          lease: TaskLease(task: TaskID(Int64(row.integer(0))), token: LeaseToken(Int64(row.integer(1)))),
          sweep: row.isNull(7) ? nil : SweepID(row.text(7)), worker: worker.id, error: worker.obituary, state: .ready)
      }
      return try expired.map { task in
        var task = task
        task.state = try Self.countFailure(
          task.lease, .expired, limit: policy.failureLimit, error: task.error, log: nil, now: now, &db
        ) { _ in 0 }.state
        return task
      }
    }
  }
}
