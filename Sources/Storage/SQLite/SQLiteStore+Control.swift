package import SweepRecords

extension SQLiteStore {
  package func pause(_ sweep: SweepID) throws -> SweepState {
    try changeState(of: sweep) { number, state, _, db, _ in
      guard state == .active || state == .planning else { return state }
      return try Self.set(.paused, number, endedAt: nil, &db)
    }
  }

  package func resume(_ sweep: SweepID) throws -> SweepState {
    try changeState(of: sweep) { number, state, isPlanned, db, _ in
      guard state == .paused else { return state }
      // Messages that came during the pause were dropped: the next dispatch rings again.
      try db.run(
        """
        UPDATE task SET dispatched_at = NULL
        WHERE state = 'queued' AND EXISTS (SELECT 1 FROM sweep_task st WHERE st.sweep = ? AND st.task = task.id)
        """, SQLValue(number))
      return try Self.set(isPlanned ? .active : .planning, number, endedAt: nil, &db)
    }
  }

  package func cancel(_ sweep: SweepID) throws -> SweepState {
    try changeState(of: sweep) { number, state, _, db, now in
      guard state == .active || state == .planning || state == .paused else { return state }
      let state = try Self.set(.cancelled, number, endedAt: now, &db)
      try Self.cancelUnwanted(in: number, now: now, &db)
      return state
    }
  }

  package func retry(_ sweep: SweepID) throws -> SweepState {
    try changeState(of: sweep) { number, state, isPlanned, db, _ in
      let revivable = state == .cancelled ? "('parked', 'cancelled')" : "('parked')"
      let revived = try db.rows(
        """
        UPDATE task SET failures = 0, error = NULL, ended_at = NULL, not_before = NULL, unanswered = 0, state =
          CASE WHEN coalesce((SELECT g.remaining FROM task_group g WHERE g.id = task.task_group), 0) = 0
            THEN 'ready' ELSE 'blocked' END
        WHERE state IN \(revivable) AND id IN (SELECT st.task FROM sweep_task st WHERE st.sweep = ?) RETURNING id
        """, SQLValue(number)
      ) { $0.integer(0) }
      for task in revived { try Self.reopenSweeps(of: task, &db) }
      return switch state {
      case .cancelled: try Self.set(isPlanned ? .active : .planning, number, endedAt: nil, &db)
      case .doneWithParked: revived.isEmpty ? state : .active
      case .planning, .active, .paused, .done: state
      }
    }
  }

  package func delete(_ sweep: SweepID) throws -> Bool {
    try writing { db, now in
      guard
        let number = try db.first(
          "SELECT number FROM sweep WHERE id = ?", SQLValue(sweep.text), read: { $0.integer(0) })
      else { return false }
      _ = try Self.set(.cancelled, number, endedAt: now, &db)
      try db.run(
        """
        DELETE FROM task WHERE id IN (SELECT st.task FROM sweep_task st WHERE st.sweep = ?)
          AND NOT EXISTS (SELECT 1 FROM sweep_task o WHERE o.task = task.id AND o.sweep <> ?)
        """, SQLValue(number), SQLValue(number))
      // What is left is shared; the others may all be cancelled.
      try Self.cancelUnwanted(in: number, now: now, &db)
      try db.run("DELETE FROM sweep WHERE number = ?", SQLValue(number))
      try db.run("DELETE FROM task_group WHERE NOT EXISTS (SELECT 1 FROM task t WHERE t.task_group = task_group.id)")
      try Self.collectArtifacts(&db)
      return true
    }
  }

  /// Looks a sweep up and lets the body change it; what the body returns is its state after.
  private func changeState(
    of sweep: SweepID,
    _ body: (_ number: Int, SweepState, _ isPlanned: Bool, inout SQLiteConnection, _ now: Double) throws -> SweepState
  ) throws -> SweepState {
    try writing { db, now in
      let known = try db.first("SELECT number, state, is_planned FROM sweep WHERE id = ?", SQLValue(sweep.text)) {
        row in
        (number: row.integer(0), state: try row.value(1, as: SweepState.self), isPlanned: row.integer(2) != 0)
      }
      guard let known else { throw Self.missing(sweep) }
      return try body(known.number, known.state, known.isPlanned, &db, now)
    }
  }

  static func set(
    _ state: SweepState, _ number: Int, endedAt: Double?, _ db: inout SQLiteConnection
  ) throws -> SweepState {
    try db.run(
      "UPDATE sweep SET state = ?, ended_at = ?, problem = CASE WHEN ? IS NULL THEN problem END WHERE number = ?",
      SQLValue(state.rawValue), SQLValue(endedAt), SQLValue(endedAt), SQLValue(number))
    return state
  }

  /// Cancels the tasks of a sweep that are neither running nor at an end, and that no sweep wants.
  private static func cancelUnwanted(in number: Int, now: Double, _ db: inout SQLiteConnection) throws {
    try db.run(
      """
      UPDATE task SET state = 'cancelled', ended_at = ?, not_before = NULL, queue = NULL, dispatched_at = NULL,
        unanswered = 0
      WHERE state IN ('blocked', 'ready', 'queued') AND id IN (SELECT st.task FROM sweep_task st WHERE st.sweep = ?)
        AND NOT EXISTS (SELECT 1 FROM sweep_task st JOIN sweep s ON s.number = st.sweep
          WHERE st.task = task.id AND s.state <> 'cancelled')
      """, SQLValue(now), SQLValue(number))
  }

  /// Makes sweeps active that had ended for want of this task.
  static func reopenSweeps(of task: Int, _ db: inout SQLiteConnection) throws {
    try db.run(
      """
      UPDATE sweep SET state = 'active', ended_at = NULL
      WHERE state = 'done_with_parked' AND number IN (SELECT st.sweep FROM sweep_task st WHERE st.task = ?)
      """, SQLValue(task))
  }
}
