internal import SweepRecords

extension PostgreSQLStore {
  /// How active sweeps end now, by number. The few live tasks are looked at first: as a rule one of them is the sweep's,
  /// and that is the answer; each question stops at the first.
  private static let ends = """
    SELECT number, state FROM (
      SELECT s.number, (
        SELECT CASE WHEN count(*) FILTER (WHERE t.state <> 'done') = 0 THEN 'done'
          WHEN count(*) FILTER (WHERE t.state = 'parked') > 0 THEN 'done_with_parked' END
        FROM sweep_task st JOIN task t ON t.id = st.task WHERE st.sweep = s.number) AS state
      FROM sweep s
      WHERE s.state = 'active'
        AND (SELECT true FROM task t WHERE t.state = 'running'
          AND (SELECT true FROM sweep_task st WHERE st.sweep = s.number AND st.task = t.id LIMIT 1) LIMIT 1) IS NULL
        AND (SELECT true FROM task t WHERE t.state = 'queued'
          AND (SELECT true FROM sweep_task st WHERE st.sweep = s.number AND st.task = t.id LIMIT 1) LIMIT 1) IS NULL
        AND (SELECT true FROM (\(range)) range CROSS JOIN task t WHERE t.state = 'ready' AND t.id BETWEEN range.low AND range.high
          AND (SELECT true FROM sweep_task st WHERE st.sweep = s.number AND st.task = t.id LIMIT 1) LIMIT 1) IS NULL
      OFFSET 0) ended
    WHERE state IS NOT NULL
    """

  package func settleSweeps(as leader: LeaderToken) async throws -> [SweepSummary] {
    // As a rule there is nothing to do, and nobody is kept waiting for that to be found out.
    let mayEnd = try await writing { db, _ in
      try Self.require(leader, db)
      return try db.exists(Self.ends)
    }
    if !mayEnd { return [] }
    return try await writing { db, now in
      try PlanningLock.takeAlone(db)
      try Self.require(leader, db)
      // One statement sees one state: a task that was done meanwhile has its dependents ready. And what has no live task
      // now has none when we commit: nobody fails, gives back or revives one beside us.
      let ended = try db.rows(
        """
        UPDATE sweep SET state = e.state, ended_at = \(now), problem = NULL FROM (\(Self.ends)) e
        WHERE sweep.number = e.number RETURNING sweep.number
        """
      ) { Int64($0.integer(0)) }
      return try db.rows("\(Self.summarySQL) WHERE number = ANY($1) ORDER BY number", .integers(ended)) {
        try Self.summary($0)
      }
    }
  }

  package func note(problem: String?, of sweep: SweepID, as leader: LeaderToken) async throws {
    try await writing { db, _ in
      try Self.require(leader, db)
      let number = try Self.number(of: sweep, db)
      try db.run(
        "UPDATE sweep SET problem = $1 WHERE number = $2 AND problem IS DISTINCT FROM $1",
        .text(problem?.withoutNUL), .integer(number))
    }
  }

  package func recomputeCounters(as leader: LeaderToken) async throws -> [CounterCorrection] {
    try await writing { db, _ in
      try PlanningLock.takeAlone(db)
      try Self.require(leader, db)
      let counted = """
        SELECT g.id, g.remaining, (
          SELECT count(*) FROM task_group_member m JOIN task t ON t.id = m.task
          WHERE m.task_group = g.id AND t.state <> 'done') AS counted
        FROM task_group g
        """
      let suspects = try db.rows("SELECT id FROM (\(counted)) c WHERE remaining <> counted") { Int64($0.integer(0)) }
      var wrong: [CounterCorrection] = []
      if !suspects.isEmpty {
        // Counted again with the counters locked: a finish that has marked its task waits for them, and counts after us.
        try db.run("SELECT 1 FROM task_group WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", .integers(suspects))
        wrong = try db.rows(
          "SELECT id, remaining, counted FROM (\(counted) WHERE g.id = ANY($1)) c WHERE remaining <> counted ORDER BY id",
          .integers(suspects)
        ) { CounterCorrection(group: Int64($0.integer(0)), stored: $0.integer(1), counted: $0.integer(2)) }
        try Self.correct(wrong, db)
      }
      let freed = try db.rows(
        """
        UPDATE task SET state = 'ready' WHERE state = 'blocked' AND task_group IN (
          SELECT g.id FROM task_group g WHERE g.remaining = 0) RETURNING id
        """
      ) { Int64($0.integer(0)) }
      try Self.reopenSweeps(of: freed, db)
      return wrong
    }
  }

  private static func correct(_ wrong: [CounterCorrection], _ db: PostgreSQLConnection) throws {
    if wrong.isEmpty { return }
    try db.run(
      """
      UPDATE task_group g SET remaining = c.counted FROM unnest($1::bigint[], $2::bigint[]) AS c (id, counted)
      WHERE g.id = c.id
      """, .integers(wrong.map(\.group)), .integers(wrong.map { Int64($0.counted) }))
    // Those that were let go too early, and have not started, wait again.
    try db.run(
      """
      UPDATE task SET state = 'blocked', queue = NULL, dispatched_at = NULL, not_before = NULL, unanswered = 0
      WHERE task_group = ANY($1) AND state IN ('ready', 'queued')
      """, .integers(wrong.filter { $0.counted > 0 }.map(\.group)))
  }
}
