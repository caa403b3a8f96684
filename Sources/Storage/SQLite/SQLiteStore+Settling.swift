internal import SweepRecords

extension SQLiteStore {
  package func settleSweeps(as leader: LeaderToken) throws -> [SweepSummary] {
    try writing { db, now in
      try Self.require(leader, &db)
      let active = try db.rows("SELECT number FROM sweep WHERE state = 'active' ORDER BY number") { $0.integer(0) }
      var ended: [SweepSummary] = []
      for number in active {
        guard let end = try Self.end(of: number, &db) else { continue }
        _ = try Self.set(end, number, endedAt: now, &db)
        ended += try db.rows("\(Self.summarySQL) WHERE number = ?", SQLValue(number)) { try Self.summary($0) }
      }
      return ended
    }
  }

  /// How an active sweep ends now; nil while there is something to run, or nothing that explains why there is not.
  private static func end(of number: Int, _ db: inout SQLiteConnection) throws -> SweepState? {
    // The few live tasks are looked at first: as a rule one of them is the sweep's, and that is the answer.
    for state in ["running", "queued", "ready"] {
      let isLive = try db.exists(
        """
        SELECT 1 FROM task t CROSS JOIN sweep_task st
        WHERE t.state = '\(state)' AND st.sweep = ? AND st.task = t.id LIMIT 1
        """, SQLValue(number))
      if isLive { return nil }
    }
    let states = try db.rows(
      "SELECT DISTINCT t.state FROM sweep_task st JOIN task t ON t.id = st.task WHERE st.sweep = ?", SQLValue(number)
    ) { try $0.value(0, as: TaskState.self) }
    if states.allSatisfy({ $0 == .done }) { return .done }
    return states.contains(.parked) ? .doneWithParked : nil
  }

  package func note(problem: String?, of sweep: SweepID, as leader: LeaderToken) throws {
    try writing { db, _ in
      try Self.require(leader, &db)
      let number = try Self.number(of: sweep, &db)
      try db.run(
        "UPDATE sweep SET problem = ? WHERE number = ? AND problem IS NOT ?", SQLValue(problem), SQLValue(number),
        SQLValue(problem))
    }
  }

  package func recomputeCounters(as leader: LeaderToken) throws -> [CounterCorrection] {
    try writing { db, _ in
      try Self.require(leader, &db)
      let wrong = try db.rows(
        """
        SELECT g.id, g.remaining, count(t.id) AS counted FROM task_group g
        LEFT JOIN task_group_member m ON m.task_group = g.id
        LEFT JOIN task t ON t.id = m.task AND t.state <> 'done'
        GROUP BY g.id, g.remaining HAVING g.remaining <> count(t.id) ORDER BY g.id
        """
      ) { CounterCorrection(group: Int64($0.integer(0)), stored: $0.integer(1), counted: $0.integer(2)) }
      for group in wrong {
        try db.run("UPDATE task_group SET remaining = ? WHERE id = ?", SQLValue(group.counted), SQLValue(group.group))
        // Those that were let go too early, and have not started, wait again.
        if group.counted > 0 {
          try db.run(
            """
            UPDATE task SET state = 'blocked', queue = NULL, dispatched_at = NULL, not_before = NULL, unanswered = 0
            WHERE task_group = ? AND state IN ('ready', 'queued')
            """, SQLValue(group.group))
        }
      }
      let freed = try db.rows(
        """
        UPDATE task SET state = 'ready' WHERE state = 'blocked' AND task_group IN (
          SELECT g.id FROM task_group g WHERE g.remaining = 0) RETURNING id
        """
      ) { $0.integer(0) }
      for task in freed { try Self.reopenSweeps(of: task, &db) }
      return wrong
    }
  }
}
