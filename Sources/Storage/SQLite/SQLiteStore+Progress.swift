package import SweepRecords

extension SQLiteStore {
  package func progress(of sweep: SweepID, rateOver seconds: Double) throws -> SweepProgress {
    try reading { db, now in
      let number = SQLValue(try Self.number(of: sweep, &db))
      var stages: [TaskKind: SweepProgress.Stage] = [:]
      let counts = try db.rows(
        """
        SELECT t.kind, t.state, count(*), sum(t.estimate) FROM sweep_task st JOIN task t ON t.id = st.task
        WHERE st.sweep = ? GROUP BY t.kind, t.state
        """, number
      ) { row in
        (
          kind: try row.value(0, as: TaskKind.self), state: try row.value(1, as: TaskState.self), count: row.integer(2),
          estimate: row.real(3)
        )
      }
      for row in counts {
        var stage =
          stages[row.kind] ?? .init(kind: row.kind, counts: [:], estimateLeft: 0, secondsSpent: 0, finishedAttempts: 0)
        stage.counts[row.state] = row.count
        if row.state != .done && row.state != .cancelled { stage.estimateLeft += row.estimate }
        stages[row.kind] = stage
      }
      let spent = try db.rows(
        """
        SELECT t.kind, count(*), sum(a.ended_at - a.started_at) FROM sweep_task st JOIN task t ON t.id = st.task
        JOIN task_attempt a ON a.task = t.id WHERE st.sweep = ? AND a.outcome = 'done' GROUP BY t.kind
        """, number
      ) { row in (kind: try row.value(0, as: TaskKind.self), count: row.integer(1), seconds: row.real(2)) }
      for row in spent {
        stages[row.kind]?.finishedAttempts = row.count
        stages[row.kind]?.secondsSpent = row.seconds
      }
      let recent = try db.first(
        """
        SELECT count(*) FROM task t CROSS JOIN sweep_task st
        WHERE t.state = 'done' AND t.ended_at > ? AND st.sweep = ? AND st.task = t.id
        """, SQLValue(now - seconds), number
      ) { $0.integer(0) }
      return SweepProgress(stages: TaskKind.allCases.compactMap { stages[$0] }, finishedRecently: recent ?? 0)
    }
  }

  package func parkedTasks(of sweep: SweepID?, limit: Int) throws -> [ParkedTask] {
    try reading { db, _ in
      let number = try sweep.map { try Self.number(of: $0, &db) }
      let tasks = try db.rows(
        """
        SELECT id, key, kind, layer, title, error, failures, ended_at, work FROM task
        WHERE state = 'parked'
          AND (? IS NULL OR EXISTS (SELECT 1 FROM sweep_task st WHERE st.sweep = ? AND st.task = task.id))
        ORDER BY ended_at DESC, id LIMIT ?
        """, SQLValue(number), SQLValue(number), SQLValue(limit)
      ) { row in
        ParkedTask(
          id: TaskID(Int64(row.integer(0))), key: try row.digest(1), kind: try row.value(2),
          layer: row.optionalInteger(3),
          title: row.text(4), error: row.text(5), failures: row.integer(6), parkedAt: row.real(7), work: row.text(8),
          sweeps: [])
      }
      return try tasks.map { task in
        var task = task
        task.sweeps = try db.rows(
          "SELECT s.id FROM sweep_task st JOIN sweep s ON s.number = st.sweep WHERE st.task = ? ORDER BY s.number",
          SQLValue(task.id.number)
        ) { SweepID($0.text(0)) }
        return task
      }
    }
  }

  package func attempts(at task: TaskID) throws -> [TaskAttempt] {
    try reading { db, _ in
      try db.rows(
        """
        SELECT token, worker, started_at, ended_at, outcome, error, log FROM task_attempt WHERE task = ? ORDER BY token
        """, SQLValue(task.number)
      ) { row in
        TaskAttempt(
          token: LeaseToken(Int64(row.integer(0))), worker: WorkerID(row.text(1)), startedAt: row.real(2),
          endedAt: row.optionalReal(3), outcome: row.isNull(4) ? nil : try row.value(4), error: row.optionalText(5),
          log: row.optionalText(6))
      }
    }
  }

  package func tasks(withKeys keys: [Digest]) throws -> [TaskStatus] {
    try reading { db, _ in
      try keys.compactMap { key in
        try db.first("SELECT id, kind, state, title, failures FROM task WHERE key = ?", SQLValue(key.hex)) { row in
          TaskStatus(
            id: TaskID(Int64(row.integer(0))), key: key, kind: try row.value(1), state: try row.value(2),
            title: row.text(3),
            failures: row.integer(4))
        }
      }
    }
  }

  package func workers(seenWithin seconds: Double?) throws -> [WorkerStatus] {
    try reading { db, now in
      let workers = try db.rows(
        """
        SELECT w.id, w.host, w.process, w.version, w.numerics_version, w.cpu, w.threads, w.condition, w.reason,
          w.started_at, w.seen_at, w.stopped_at,
          (SELECT count(*) FROM task_attempt a WHERE a.worker = w.id AND a.outcome = 'done'), w.memory_used, w.memory_limit
        FROM worker w WHERE w.seen_at > ? AND (? OR w.stopped_at IS NULL)
        ORDER BY w.seen_at DESC, w.id
        """, SQLValue(now - (seconds ?? .infinity)), SQLValue(seconds == nil)
      ) { try Self.worker($0) }
      return try workers.map { worker in
        var worker = worker
        worker.running = try db.rows(
          "SELECT title FROM task WHERE worker = ? AND state = 'running' ORDER BY id",
          SQLValue(worker.registration.id.text)
        ) { $0.text(0) }
        return worker
      }
    }
  }

  private static func worker(_ row: borrowing SQLiteStatement) throws -> WorkerStatus {
    let registration = WorkerRegistration(
      id: WorkerID(row.text(0)), host: row.text(1), process: row.integer(2), version: row.text(3),
      numericsVersion: row.integer(4), cpu: row.text(5), threads: row.integer(6))
    return WorkerStatus(
      registration: registration, condition: WorkerCondition(stored: row.text(7), reason: row.text(8)),
      startedAt: row.real(9), seenAt: row.real(10),
      memory: MemoryUse(storedUse: row.optionalInteger(13), limit: row.optionalInteger(14)),
      stoppedAt: row.optionalReal(11), running: [], finished: row.integer(12))
  }

  package func counts() throws -> StoreCounts {
    try reading { db, _ in
      let sweeps = try db.rows("SELECT state, count(*) FROM sweep GROUP BY state") { row in
        (try row.value(0, as: SweepState.self), row.integer(1))
      }
      let tasks = try db.rows("SELECT state, count(*) FROM task GROUP BY state") { row in
        (try row.value(0, as: TaskState.self), row.integer(1))
      }
      let artifacts = try db.first("SELECT count(*), coalesce(sum(size), 0) FROM artifact") {
        ($0.integer(0), $0.integer(1))
      }
      let pages = try db.first("PRAGMA page_count") { $0.integer(0) } ?? 0
      let pageSize = try db.first("PRAGMA page_size") { $0.integer(0) } ?? 0
      return StoreCounts(
        sweeps: Dictionary(uniqueKeysWithValues: sweeps), tasks: Dictionary(uniqueKeysWithValues: tasks),
        artifacts: artifacts?.0 ?? 0, artifactBytes: artifacts?.1 ?? 0, databaseBytes: pages * pageSize)
    }
  }

  /// The schema and its tables.
  func databaseStatus() throws -> DatabaseStatus {
    try reading { db, _ in
      let names = try db.rows(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name"
      ) { $0.text(0) }
      let tables = try names.map { name in
        DatabaseStatus.Table(
          name: name, rows: try db.first("SELECT count(*) FROM \"\(name)\"") { $0.integer(0) }, isEstimate: false,
          bytes: nil)
      }
      let pages = try db.first("PRAGMA page_count") { $0.integer(0) } ?? 0
      let pageSize = try db.first("PRAGMA page_size") { $0.integer(0) } ?? 0
      return DatabaseStatus(
        database: path, engine: "SQLite \(try db.first("SELECT sqlite_version()") { $0.text(0) } ?? "")",
        version: try db.first("SELECT max(number) FROM schema_migration") { $0.integer(0) } ?? 0, pending: [],
        bytes: pages * pageSize, tables: tables, roles: [])
    }
  }
}
