package import SweepRecords

extension PostgreSQLStore {
  package func progress(of sweep: SweepID, rateOver seconds: Double) async throws -> SweepProgress {
    try await reading { db, now in
      let number = PostgreSQLValue(try Self.number(of: sweep, db))
      var stages: [TaskKind: SweepProgress.Stage] = [:]
      let counts = try db.rows(
        """
        SELECT t.kind, t.state, count(*), sum(t.estimate) FROM sweep_task st JOIN task t ON t.id = st.task
        WHERE st.sweep = $1 GROUP BY t.kind, t.state
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
        SELECT t.kind, count(*), sum(extract(epoch FROM a.ended_at - a.started_at))::float8
        FROM sweep_task st JOIN task t ON t.id = st.task JOIN task_attempt a ON a.task = t.id
        WHERE st.sweep = $1 AND a.outcome = 'done' GROUP BY t.kind
        """, number
      ) { row in (kind: try row.value(0, as: TaskKind.self), count: row.integer(1), seconds: row.real(2)) }
      for row in spent {
        stages[row.kind]?.finishedAttempts = row.count
        stages[row.kind]?.secondsSpent = row.seconds
      }
      let recent = try db.first(
        """
        SELECT count(*) FROM task t JOIN sweep_task st ON st.task = t.id
        WHERE t.state = 'done' AND t.ended_at > \(now) - make_interval(secs => $2) AND st.sweep = $1
        """, number, .real(seconds)
      ) { $0.integer(0) }
      return SweepProgress(stages: TaskKind.allCases.compactMap { stages[$0] }, finishedRecently: recent ?? 0)
    }
  }

  package func parkedTasks(of sweep: SweepID?, limit: Int) async throws -> [ParkedTask] {
    try await reading { db, _ in
      let number = try sweep.map { try Self.number(of: $0, db) }
      return try db.rows(
        """
        SELECT t.id, t.key, t.kind, t.layer, t.title, t.error, t.failures, extract(epoch FROM t.ended_at)::float8, t.work,
          (SELECT string_agg(s.id, ',' ORDER BY s.number) FROM sweep_task st JOIN sweep s ON s.number = st.sweep
            WHERE st.task = t.id)
        FROM task t
        WHERE t.state = 'parked'
          AND ($1::bigint IS NULL OR EXISTS (SELECT 1 FROM sweep_task st WHERE st.sweep = $1 AND st.task = t.id))
        ORDER BY t.ended_at DESC, t.id LIMIT $2
        """, .integer(number), PostgreSQLValue(max(0, limit))
      ) { row in
        ParkedTask(
          id: row.task(0), key: try row.digest(1), kind: try row.value(2), layer: row.optionalInteger(3),
          title: row.text(4), error: row.text(5), failures: row.integer(6), parkedAt: row.real(7), work: row.text(8),
          sweeps: row.text(9).split(separator: ",").map { SweepID(String($0)) })
      }
    }
  }

  package func attempts(at task: TaskID) async throws -> [TaskAttempt] {
    try await saying { db, _ in
      try db.rows(
        """
        SELECT token, worker, extract(epoch FROM started_at)::float8, extract(epoch FROM ended_at)::float8, outcome,
          error, log
        FROM task_attempt WHERE task = $1 ORDER BY token
        """, .integer(task.number)
      ) { row in
        TaskAttempt(
          token: row.token(0), worker: WorkerID(row.text(1)), startedAt: row.real(2), endedAt: row.optionalReal(3),
          outcome: row.isNull(4) ? nil : try row.value(4), error: row.optionalText(5), log: row.optionalText(6))
      }
    }
  }

  package func tasks(withKeys keys: [Digest]) async throws -> [TaskStatus] {
    try await saying { db, _ in
      try db.rows(
        """
        SELECT t.id, t.key, t.kind, t.state, t.title, t.failures
        FROM unnest($1::text[]) WITH ORDINALITY AS k (key, place) JOIN task t ON t.key = k.key ORDER BY k.place
        """, PostgreSQLValue(keys)
      ) { row in
        TaskStatus(
          id: row.task(0), key: try row.digest(1), kind: try row.value(2), state: try row.value(3),
          title: row.text(4), failures: row.integer(5))
      }
    }
  }

  package func workers(seenWithin seconds: Double?) async throws -> [WorkerStatus] {
    try await reading { db, now in
      let live = seconds == nil ? "true" : "w.seen_at > \(now) - make_interval(secs => $1) AND w.stopped_at IS NULL"
      let workers = try db.rows(
        """
        SELECT w.id, w.host, w.process, w.version, w.numerics_version, w.cpu, w.threads, w.condition, w.reason,
          extract(epoch FROM w.started_at)::float8, extract(epoch FROM w.seen_at)::float8,
          extract(epoch FROM w.stopped_at)::float8,
          (SELECT count(*) FROM task_attempt a WHERE a.worker = w.id AND a.outcome = 'done'), w.memory_used, w.memory_limit
        FROM worker w WHERE $1::float8 IS NULL OR (\(live)) ORDER BY w.seen_at DESC, w.id
        """, .real(seconds)
      ) { try Self.worker($0) }
      let running = try db.rows(
        "SELECT worker, title FROM task WHERE state = 'running' AND worker = ANY($1) ORDER BY id",
        .texts(workers.map(\.registration.id.text))
      ) { (worker: $0.text(0), title: $0.text(1)) }
      let titles = Dictionary(grouping: running, by: \.worker).mapValues { $0.map(\.title) }
      return workers.map { worker in
        var worker = worker
        worker.running = titles[worker.registration.id.text] ?? []
        return worker
      }
    }
  }

  private static func worker(_ row: borrowing PostgreSQLRow) throws -> WorkerStatus {
    let registration = WorkerRegistration(
      id: WorkerID(row.text(0)), host: row.text(1), process: row.integer(2), version: row.text(3),
      numericsVersion: row.integer(4), cpu: row.text(5), threads: row.integer(6))
    return WorkerStatus(
      registration: registration, condition: WorkerCondition(stored: row.text(7), reason: row.text(8)),
      startedAt: row.real(9), seenAt: row.real(10),
      memory: MemoryUse(storedUse: row.optionalInteger(13), limit: row.optionalInteger(14)),
      stoppedAt: row.optionalReal(11), running: [], finished: row.integer(12))
  }

  package func counts() async throws -> StoreCounts {
    try await reading { db, _ in
      let sweeps = try db.rows("SELECT state, count(*) FROM sweep GROUP BY state") { row in
        (try row.value(0, as: SweepState.self), row.integer(1))
      }
      let tasks = try db.rows("SELECT state, count(*) FROM task GROUP BY state") { row in
        (try row.value(0, as: TaskState.self), row.integer(1))
      }
      let artifacts = try db.first(
        "SELECT count(*), coalesce(sum(size), 0)::bigint, pg_database_size(current_database()) FROM artifact"
      ) { ($0.integer(0), $0.integer(1), $0.integer(2)) }
      return StoreCounts(
        sweeps: Dictionary(uniqueKeysWithValues: sweeps), tasks: Dictionary(uniqueKeysWithValues: tasks),
        artifacts: artifacts?.0 ?? 0, artifactBytes: artifacts?.1 ?? 0, databaseBytes: artifacts?.2 ?? 0)
    }
  }
}
