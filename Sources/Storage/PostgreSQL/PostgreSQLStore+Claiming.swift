internal import Foundation
internal import SweepRecords

extension PostgreSQLStore {
  package func claim(_ tasks: [TaskID], worker: WorkerID, for seconds: Double) async throws -> [ClaimedTask] {
    // One statement, so one round trip and one commit. The rows are locked in the order of ids, and looked at anew once
    // they are ours: of several that want a task one gets it, and the others find it running. A pause that is committed
    // while we wait comes after us: what runs finishes. A cancellation has cancelled the row, which is seen.
    // The attempts come first: their numbers are the lease tokens, in the order of the question.
    // A reply that is lost leaves leases that the worker doesn't know of: heartbeats tell it, and it gives them back.
    let claimed = try await saying { db, now in
      try db.rows(
        """
        WITH asked AS MATERIALIZED (
          SELECT id, min(place) AS place FROM unnest($1::bigint[]) WITH ORDINALITY AS a (id, place) GROUP BY id),
        me AS MATERIALIZED (SELECT numerics_version FROM worker WHERE id = $2 AND condition <> 'stopped'),
        free AS MATERIALIZED (
          SELECT t.id, a.place FROM task t JOIN asked a ON a.id = t.id
          WHERE (t.state = 'queued' OR (t.state = 'ready' AND (t.not_before IS NULL OR t.not_before <= \(now))))
            AND (
              SELECT true FROM sweep_task st JOIN sweep s ON s.number = st.sweep
              WHERE st.task = t.id AND s.state = 'active' AND s.numerics_version = (SELECT numerics_version FROM me)
              LIMIT 1)
          ORDER BY t.id FOR NO KEY UPDATE OF t),
        attempt AS (
          INSERT INTO task_attempt (task, worker, started_at) SELECT id, $2, \(now) FROM free ORDER BY place
          RETURNING task, token),
        claimed AS (
          UPDATE task t SET state = 'running', lease_token = a.token, worker = $2,
            lease_until = \(now) + make_interval(secs => $3), queue = NULL, dispatched_at = NULL, unanswered = 0,
            not_before = NULL
          FROM attempt a WHERE t.id = a.task
          RETURNING t.id, a.token, t.key, t.kind, t.work, t.files, t.layer, t.title, t.estimate, t.failures)
        SELECT c.*, (
          SELECT string_agg(s.id, ',' ORDER BY s.number) FROM sweep_task st JOIN sweep s ON s.number = st.sweep
          WHERE st.task = c.id AND s.state <> 'cancelled')
        FROM me LEFT JOIN claimed c ON true ORDER BY c.token
        """, .integers(tasks.map(\.number)), .text(worker.text.withoutNUL), .real(seconds)
      ) { $0.isNull(0) ? nil : try Self.claimed($0) }
    }
    if claimed.isEmpty { throw Self.missing(worker) }
    return claimed.compactMap { $0 }
  }

  package func claimMisses(_ tasks: [TaskID], worker: WorkerID) async throws -> [TaskID: ClaimMiss] {
    let found = try await saying { db, now in
      try db.rows(
        """
        SELECT t.id, t.state, t.not_before IS NULL OR t.not_before <= \(now), count(s.number),
          count(s.number) FILTER (
            WHERE s.numerics_version = (SELECT w.numerics_version FROM worker w WHERE w.id = $2))
        FROM task t LEFT JOIN sweep_task st ON st.task = t.id LEFT JOIN sweep s ON s.number = st.sweep AND s.state = 'active'
        WHERE t.id = ANY ($1::bigint[]) GROUP BY t.id
        """, .integers(tasks.map(\.number)), .text(worker.text.withoutNUL)
      ) { row in
        (
          task: row.task(0),
          miss: ClaimMiss(
            state: try row.value(1), isDue: row.flag(2), activeSweeps: row.integer(3), ofNumerics: row.integer(4))
        )
      }
    }
    let misses = Dictionary(uniqueKeysWithValues: found.map { ($0.task, $0.miss) })
    return Dictionary(tasks.map { ($0, misses[$0] ?? .missing) }) { first, _ in first }
  }

  private static func claimed(_ row: borrowing PostgreSQLRow) throws -> ClaimedTask {
    ClaimedTask(
      lease: TaskLease(task: row.task(0), token: row.token(1)), key: try row.digest(2), kind: try row.value(3),
      work: row.text(4), files: try JSONDecoder().decode([FileReference].self, from: Data(row.text(5).utf8)),
      layer: row.optionalInteger(6), title: row.text(7), estimate: row.real(8), failures: row.integer(9),
      sweeps: row.text(10).split(separator: ",").map { SweepID(String($0)) })
  }
}
