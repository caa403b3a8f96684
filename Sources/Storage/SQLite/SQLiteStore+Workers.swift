internal import SweepRecords

extension SQLiteStore {
  package func register(_ worker: WorkerRegistration) throws {
    try writing { db, now in
      _ = try db.run(
        """
        INSERT INTO worker (id, host, process, version, numerics_version, cpu, threads, condition, started_at, seen_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, 'ready', ?, ?)
        ON CONFLICT (id) DO UPDATE SET host = excluded.host, process = excluded.process, version = excluded.version,
          numerics_version = excluded.numerics_version, cpu = excluded.cpu, threads = excluded.threads,
          condition = 'ready', reason = NULL, seen_at = excluded.seen_at, stopped_at = NULL
        """, SQLValue(worker.id.text), SQLValue(worker.host), SQLValue(worker.process), SQLValue(worker.version),
        SQLValue(worker.numericsVersion), SQLValue(worker.cpu), SQLValue(worker.threads), SQLValue(now), SQLValue(now))
    }
  }

  package func heartbeat(
    _ worker: WorkerID, _ condition: WorkerCondition, memory: MemoryUse?, for seconds: Double
  ) throws -> HeartbeatReply {
    let (word, reason) = condition.stored
    return try writing { db, now in
      let isKnown = try db.run(
        """
        UPDATE worker SET seen_at = ?, condition = ?, reason = ?, memory_used = ?, memory_limit = ?
        WHERE id = ? AND condition <> 'stopped'
        """, SQLValue(now), SQLValue(word), SQLValue(reason), SQLValue(memory?.used), SQLValue(memory?.limit),
        SQLValue(worker.text))
      guard isKnown > 0 else { throw Self.missing(worker) }
      let leases = try Self.leases(of: worker, &db)
      var cancelled: [TaskLease] = []
      for lease in leases where try !Self.isWanted(lease.task, &db) {
        try Self.leave(lease, .cancelled, .cancelled, error: nil, log: nil, now: now, &db)
        cancelled.append(lease)
      }
      try db.run(
        "UPDATE task SET lease_until = ? WHERE worker = ? AND state = 'running'", SQLValue(now + seconds),
        SQLValue(worker.text))
      let paused = try db.rows(
        """
        SELECT DISTINCT s.id FROM task t JOIN sweep_task st ON st.task = t.id JOIN sweep s ON s.number = st.sweep
        WHERE t.worker = ? AND t.state = 'running' AND s.state = 'paused' ORDER BY s.id
        """, SQLValue(worker.text)
      ) { SweepID($0.text(0)) }
      return HeartbeatReply(held: leases.filter { !cancelled.contains($0) }, cancelled: cancelled, paused: paused)
    }
  }

  package func deregister(_ worker: WorkerID) throws {
    try writing { db, now in
      for lease in try Self.leases(of: worker, &db) {
        try Self.giveBack(lease, .released, error: "its worker signed off", log: nil, now: now, &db)
      }
      try db.run(
        """
        UPDATE worker SET condition = 'stopped', reason = NULL, seen_at = ?, stopped_at = ?
        WHERE id = ? AND condition <> 'stopped'
        """, SQLValue(now), SQLValue(now), SQLValue(worker.text))
    }
  }

  /// What a worker has in its hands.
  private static func leases(of worker: WorkerID, _ db: inout SQLiteConnection) throws -> [TaskLease] {
    try db.rows(
      "SELECT id, lease_token FROM task WHERE worker = ? AND state = 'running' ORDER BY id", SQLValue(worker.text)
    ) { TaskLease(task: TaskID(Int64($0.integer(0))), token: LeaseToken(Int64($0.integer(1)))) }
  }
}
