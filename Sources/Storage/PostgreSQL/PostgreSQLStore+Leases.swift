internal import SweepRecords

/// What all ends of a lease share.
extension PostgreSQLStore {
  /// How a lease ends that is known to be held, and is locked.
  struct LeaseEnd {
    var lease: TaskLease
    /// Where the task goes.
    var state: TaskState
    var outcome: TaskAttempt.Outcome
    var isFailure = false
    /// Seconds from now, when `ready` again after a failure.
    var delay: Double?
    var error: String?
    var log: String?
  }

  /// Those of the tasks that any sweep wants which is not cancelled. After the rows are locked, and with the planning
  /// lock shared: so it stays true until the transaction ends.
  static func wanted(_ tasks: [TaskID], _ db: PostgreSQLConnection) throws -> Set<TaskID> {
    Set(
      try db.rows(
        """
        SELECT DISTINCT st.task FROM sweep_task st JOIN sweep s ON s.number = st.sweep
        WHERE st.task = ANY($1) AND s.state <> 'cancelled'
        """, .integers(tasks.map(\.number))
      ) { $0.task(0) })
  }

  /// Ends leases, and their attempts with them. When tasks are `ready` again, in seconds since 1970.
  @discardableResult
  static func end(_ ends: [LeaseEnd], now: String, _ db: PostgreSQLConnection) throws -> [TaskID: Double] {
    if ends.isEmpty { return [:] }
    let again = try db.rows(
      """
      WITH ending AS MATERIALIZED (
        SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::float8[], $7::text[],
          $8::text[]) AS e (task, token, state, outcome, failures, delay, error, log)),
      attempt AS (
        UPDATE task_attempt a SET ended_at = \(now), outcome = e.outcome, error = e.error, log = nullif(e.log, '')
        FROM ending e WHERE a.token = e.token)
      UPDATE task t SET state = e.state, lease_token = NULL, worker = NULL, lease_until = NULL,
        not_before = \(now) + make_interval(secs => e.delay),
        ended_at = CASE WHEN e.state IN ('parked', 'cancelled') THEN \(now) END, failures = t.failures + e.failures,
        error = CASE WHEN e.failures > 0 THEN e.error ELSE t.error END
      FROM ending e WHERE t.id = e.task RETURNING t.id, extract(epoch FROM t.not_before)::float8
      """, .integers(ends.map(\.lease.task.number)), .integers(ends.map(\.lease.token.number)),
      .texts(ends.map(\.state.rawValue)), .texts(ends.map(\.outcome.rawValue)),
      .integers(ends.map { $0.isFailure ? 1 : 0 }), .reals(ends.map { $0.state == .ready ? $0.delay : nil }),
      .texts(ends.map { $0.error?.withoutNUL }), .texts(ends.map { $0.log?.withoutNUL })
    ) { ($0.task(0), $0.optionalReal(1)) }
    return again.reduce(into: [:]) { $0[$1.0] = $1.1 }
  }

  /// Puts tasks back uncounted: `ready`, or `cancelled` where nobody wants them any more.
  static func giveBack(_ leases: [TaskLease], reason: String, now: String, _ db: PostgreSQLConnection) throws {
    let wanted = try wanted(leases.map(\.task), db)
    let ends = leases.map { lease in
      LeaseEnd(
        lease: lease, state: wanted.contains(lease.task) ? .ready : .cancelled, outcome: .released, error: reason)
    }
    try end(ends, now: now, db)
  }

  /// Those of the leases that are still this worker's, locked, and how often their tasks have failed.
  private static func lock(
    _ leases: [TaskLease], _ worker: WorkerID, _ db: PostgreSQLConnection
  ) throws -> [(lease: TaskLease, failures: Int)] {
    try db.rows(
      """
      SELECT t.id, t.lease_token, t.failures FROM task t
      WHERE t.id = ANY($1) AND t.lease_token = ANY($2) AND t.worker = $3 AND t.state = 'running'
      ORDER BY t.id FOR NO KEY UPDATE
      """, .integers(leases.map(\.task.number)), .integers(leases.map(\.token.number)), .text(worker.text.withoutNUL)
    ) { (TaskLease(task: $0.task(0), token: $0.token(1)), $0.integer(2)) }.filter { leases.contains($0.0) }
  }

  package func fail(_ failure: TaskFailure, worker: WorkerID, policy: RetryPolicy) async throws -> FailOutcome {
    try await writing { db, now in
      try PlanningLock.share(db)
      guard let (lease, before) = try Self.lock([failure.lease], worker, db).first else { return .fenced }
      let failures = before + 1
      let delay = failure.fault == .task ? nil : policy.delay(failures: failures, jitter: failure.jitter)
      let state: TaskState =
        try !Self.wanted([lease.task], db).contains(lease.task)
        ? .cancelled : delay == nil || failures >= policy.failureLimit ? .parked : .ready
      let end = LeaseEnd(
        lease: lease, state: state, outcome: .failed, isFailure: true, delay: delay, error: failure.error,
        log: failure.log)
      let again = try Self.end([end], now: now, db)
      return switch state {
      case .parked: .parked
      case .cancelled: .cancelled
      default: .retry(notBefore: again[lease.task] ?? 0)
      }
    }
  }

  package func release(_ leases: [TaskLease], worker: WorkerID, reason: String) async throws {
    if leases.isEmpty { return }
    try await writing { db, now in
      try PlanningLock.share(db)
      try Self.giveBack(Self.lock(leases, worker, db).map(\.lease), reason: reason, now: now, db)
    }
  }

  package func reap(_ policy: ReapPolicy, as leader: LeaderToken) async throws -> [ReapedTask] {
    let start = serverStart
    return try await writing { db, now in
      try PlanningLock.share(db)
      try Self.require(leader, db)
      // A row that is locked is being finished, renewed or given back just now. While the server was down nobody could
      // renew: it must have been up for a lease.
      let expired = try db.rows(
        """
        SELECT t.id, t.lease_token, t.worker, w.host, extract(epoch FROM \(now) - w.seen_at)::float8, w.memory_used,
          w.memory_limit,
          (SELECT s.id FROM sweep_task st JOIN sweep s ON s.number = st.sweep
           WHERE st.task = t.id AND s.state <> 'cancelled' ORDER BY s.number LIMIT 1), t.failures
        FROM task t LEFT JOIN worker w ON w.id = t.worker
        WHERE t.state = 'running'
          AND ($1 OR (t.lease_until <= \(now) AND \(start) + make_interval(secs => $2) <= \(now)))
        ORDER BY t.id FOR NO KEY UPDATE OF t SKIP LOCKED
        """, .flag(policy.everyLease), .real(policy.lease)
      ) { row in
        let worker = SilentWorker(
          id: WorkerID(row.text(2)), host: row.isNull(3) ? nil : row.text(3), silence: row.optionalReal(4),
          memory: MemoryUse(storedUse: row.optionalInteger(5), limit: row.optionalInteger(6)))
        let sweep = row.isNull(7) ? nil : SweepID(row.text(7))
        return ReapedTask(
          lease: TaskLease(task: row.task(0), token: row.token(1)), sweep: sweep, worker: worker.id,
          error: worker.obituary,
          state: sweep == nil ? .cancelled : row.integer(8) + 1 >= policy.failureLimit ? .parked : .ready)
      }
      let ends = expired.map { task in
        LeaseEnd(
          lease: task.lease, state: task.state, outcome: .expired, isFailure: true, delay: 0, error: task.error)
      }
      try Self.end(ends, now: now, db)
      return expired
    }
  }
}
