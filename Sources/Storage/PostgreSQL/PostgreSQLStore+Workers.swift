internal import SweepRecords

extension PostgreSQLStore {
  package func register(_ worker: WorkerRegistration) async throws {
    try await saying { db, now in
      _ = try db.run(
        """
        INSERT INTO worker (id, host, process, version, numerics_version, cpu, threads, condition, started_at, seen_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 'ready', \(now), \(now))
        ON CONFLICT (id) DO UPDATE SET host = excluded.host, process = excluded.process, version = excluded.version,
          numerics_version = excluded.numerics_version, cpu = excluded.cpu, threads = excluded.threads,
          condition = 'ready', reason = NULL, seen_at = excluded.seen_at, stopped_at = NULL
        """, .text(worker.id.text), .text(worker.host), PostgreSQLValue(worker.process), .text(worker.version),
        PostgreSQLValue(worker.numericsVersion), .text(worker.cpu), PostgreSQLValue(worker.threads))
    }
  }

  package func heartbeat(
    _ worker: WorkerID, _ condition: WorkerCondition, memory: MemoryUse?, for seconds: Double
  ) async throws -> HeartbeatReply {
    let leases = try await renew(worker, condition, memory, for: seconds)
    let unwanted = leases.filter { !$0.isWanted }.map(\.lease)
    let cancelled = unwanted.isEmpty ? [] : try await cancel(unwanted, of: worker)
    let held = leases.filter { !cancelled.contains($0.lease) }
    let paused = Set(held.flatMap(\.paused)).sorted()
    return HeartbeatReply(held: held.map(\.lease), cancelled: cancelled, paused: paused)
  }

  private struct HeldLease {
    var lease: TaskLease
    /// Whether any sweep wants the task that is not cancelled.
    var isWanted: Bool
    var paused: [SweepID]
  }

  /// Renews a worker's leases, in one statement that never waits for a task's row: one that is locked (by its own finish,
  /// which may take long) is the worker's all the same, and the reaper passes it over as long as it is locked.
  private func renew(
    _ worker: WorkerID, _ condition: WorkerCondition, _ memory: MemoryUse?, for seconds: Double
  ) async throws -> [HeldLease] {
    let (word, reason) = condition.stored
    let found = try await pulsing { db, now in
      try db.rows(
        """
        WITH me AS (
          UPDATE worker SET seen_at = \(now), condition = $2, reason = $3, memory_used = $5, memory_limit = $6
          WHERE id = $1 AND condition <> 'stopped' RETURNING id),
        mine AS MATERIALIZED (
          SELECT id FROM task WHERE worker = $1 AND state = 'running' AND EXISTS (SELECT 1 FROM me)
          ORDER BY id FOR NO KEY UPDATE SKIP LOCKED),
        renewed AS (
          UPDATE task SET lease_until = \(now) + make_interval(secs => $4) FROM mine WHERE task.id = mine.id)
        SELECT t.id, t.lease_token,
          EXISTS (SELECT 1 FROM sweep_task st JOIN sweep s ON s.number = st.sweep
            WHERE st.task = t.id AND s.state <> 'cancelled'),
          (SELECT string_agg(s.id, ',') FROM sweep_task st JOIN sweep s ON s.number = st.sweep
            WHERE st.task = t.id AND s.state = 'paused')
        FROM me LEFT JOIN task t ON t.worker = $1 AND t.state = 'running' ORDER BY t.id
        """, .text(worker.text.withoutNUL), .text(word), .text(reason?.withoutNUL), .real(seconds),
        PostgreSQLValue(memory?.used), PostgreSQLValue(memory?.limit)
      ) { row -> HeldLease? in
        if row.isNull(0) { return nil }
        let paused = row.text(3).split(separator: ",").map { SweepID(String($0)) }
        return HeldLease(
          lease: TaskLease(task: row.task(0), token: row.token(1)), isWanted: row.flag(2), paused: paused)
      }
    }
    if found.isEmpty { throw Self.missing(worker) }
    return found.compactMap { $0 }
  }

  /// Ends leases whose tasks nobody wants any more; those that it ended. What can't be had without waiting is left for
  /// the next heartbeat.
  private func cancel(_ leases: [TaskLease], of worker: WorkerID) async throws -> [TaskLease] {
    try await writing { db, now in
      guard try PlanningLock.shareNow(db) else { return [] }
      let held = try db.rows(
        """
        SELECT id, lease_token FROM task WHERE id = ANY($1) AND worker = $2 AND state = 'running'
        ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
        """, .integers(leases.map(\.task.number)), .text(worker.text)
      ) { TaskLease(task: $0.task(0), token: $0.token(1)) }.filter { leases.contains($0) }
      let wanted = try Self.wanted(held.map(\.task), db)
      let ends = held.filter { !wanted.contains($0.task) }
      try Self.end(ends.map { LeaseEnd(lease: $0, state: .cancelled, outcome: .cancelled) }, now: now, db)
      return ends
    }
  }

  package func deregister(_ worker: WorkerID) async throws {
    try await writing { db, now in
      try PlanningLock.share(db)
      let leases = try db.rows(
        "SELECT id, lease_token FROM task WHERE worker = $1 AND state = 'running' ORDER BY id FOR NO KEY UPDATE",
        .text(worker.text.withoutNUL)
      ) { TaskLease(task: $0.task(0), token: $0.token(1)) }
      if !leases.isEmpty { try Self.giveBack(leases, reason: "its worker signed off", now: now, db) }
      try db.run(
        """
        UPDATE worker SET condition = 'stopped', reason = NULL, seen_at = \(now), stopped_at = \(now)
        WHERE id = $1 AND condition <> 'stopped'
        """, .text(worker.text.withoutNUL))
    }
  }
}
