package import SweepRecords

/// Each with the planning lock held alone: what is read stays true until the commit, but for what workers do to tasks
/// that are ready, queued or running; of these every statement looks at the row anew once it has it.
extension PostgreSQLStore {
  package func pause(_ sweep: SweepID) async throws -> SweepState {
    try await changeState(of: sweep) { number, state, _, db, _ in
      guard state == .active || state == .planning else { return state }
      return try Self.set(.paused, number, endedAt: nil, db)
    }
  }

  package func resume(_ sweep: SweepID) async throws -> SweepState {
    try await changeState(of: sweep) { number, state, isPlanned, db, _ in
      guard state == .paused else { return state }
      // Messages that came during the pause were dropped: the next dispatch rings again.
      try db.run(
        """
        UPDATE task SET dispatched_at = NULL
        WHERE state = 'queued' AND EXISTS (SELECT 1 FROM sweep_task st WHERE st.sweep = $1 AND st.task = task.id)
        """, .integer(number))
      return try Self.set(isPlanned ? .active : .planning, number, endedAt: nil, db)
    }
  }

  package func cancel(_ sweep: SweepID) async throws -> SweepState {
    try await changeState(of: sweep) { number, state, _, db, now in
      guard state == .active || state == .planning || state == .paused else { return state }
      let state = try Self.set(.cancelled, number, endedAt: now, db)
      try Self.cancelUnwanted(in: number, now: now, db)
      return state
    }
  }

  package func retry(_ sweep: SweepID) async throws -> SweepState {
    try await changeState(of: sweep) { number, state, isPlanned, db, _ in
      let revivable = state == .cancelled ? "('parked', 'cancelled')" : "('parked')"
      let revived = try db.rows(
        """
        SELECT id, task_group FROM task
        WHERE state IN \(revivable) AND id IN (SELECT st.task FROM sweep_task st WHERE st.sweep = $1)
        ORDER BY id FOR NO KEY UPDATE
        """, .integer(number)
      ) { (id: Int64($0.integer(0)), group: $0.optionalInteger(1).map(Int64.init)) }
      // Who counts a group down now waits, and then sees those that we leave blocked.
      let groups = Set(revived.compactMap(\.group)).sorted()
      try db.run("SELECT 1 FROM task_group WHERE id = ANY($1) ORDER BY id FOR SHARE", .integers(groups))
      let ids = revived.map(\.id)
      try db.run(
        """
        UPDATE task SET failures = 0, error = NULL, ended_at = NULL, not_before = NULL, unanswered = 0, state =
          CASE WHEN coalesce((SELECT g.remaining FROM task_group g WHERE g.id = task.task_group), 0) = 0
            THEN 'ready' ELSE 'blocked' END
        WHERE id = ANY($1)
        """, .integers(ids))
      try Self.reopenSweeps(of: ids, db)
      return switch state {
      case .cancelled: try Self.set(isPlanned ? .active : .planning, number, endedAt: nil, db)
      case .doneWithParked: revived.isEmpty ? state : .active
      case .planning, .active, .paused, .done: state
      }
    }
  }

  package func delete(_ sweep: SweepID) async throws -> Bool {
    try await writing { db, now in
      // A large sweep takes its time.
      try db.run("SELECT set_config('statement_timeout', '0', true)")
      db.allow(nil)
      try PlanningLock.takeAlone(db)
      guard
        let found = try db.first("SELECT number FROM sweep WHERE id = $1", .text(sweep.text), read: { $0.integer(0) })
      else { return false }
      let number = Int64(found)
      _ = try Self.set(.cancelled, number, endedAt: now, db)
      // A finish that has the row is waited for, and its rows go too; one that waits for us finds no task.
      try db.run(
        """
        WITH gone AS MATERIALIZED (
          SELECT t.id FROM task t JOIN sweep_task st ON st.task = t.id
          WHERE st.sweep = $1 AND NOT EXISTS (SELECT 1 FROM sweep_task o WHERE o.task = t.id AND o.sweep <> $1)
          ORDER BY t.id FOR UPDATE OF t)
        DELETE FROM task USING gone WHERE task.id = gone.id
        """, .integer(number))
      // What is left is shared; the others may all be cancelled.
      try Self.cancelUnwanted(in: number, now: now, db)
      try db.run("DELETE FROM sweep WHERE number = $1", .integer(number))
      try db.run(
        "DELETE FROM task_group g WHERE NOT EXISTS (SELECT 1 FROM task t WHERE t.task_group = g.id)")
      try Self.collectArtifacts(db)
      return true
    }
  }

  /// Looks a sweep up and lets the body change it; what the body returns is its state after.
  private func changeState(
    of sweep: SweepID,
    _ body:
      @Sendable (
        _ number: Int64, SweepState, _ isPlanned: Bool, PostgreSQLConnection, _ now: String
      ) throws -> SweepState
  ) async throws -> SweepState {
    try await writing { db, now in
      try PlanningLock.takeAlone(db)
      let known = try db.first("SELECT number, state, is_planned FROM sweep WHERE id = $1", .text(sweep.text)) { row in
        (number: Int64(row.integer(0)), state: try row.value(1, as: SweepState.self), isPlanned: row.flag(2))
      }
      guard let known else { throw Self.missing(sweep) }
      return try body(known.number, known.state, known.isPlanned, db, now)
    }
  }

  private static func set(
    _ state: SweepState, _ number: Int64, endedAt: String?, _ db: PostgreSQLConnection
  ) throws -> SweepState {
    let end = endedAt.map { ", ended_at = \($0), problem = NULL" } ?? ", ended_at = NULL"
    try db.run("UPDATE sweep SET state = $1\(end) WHERE number = $2", .text(state.rawValue), .integer(number))
    return state
  }

  /// Cancels the tasks of a sweep that are neither running nor at an end, and that no sweep wants.
  ///
  /// One that is claimed meanwhile is running when we get its row, and is left to the heartbeat; one that has become
  /// ready is ready, and cancelled.
  private static func cancelUnwanted(in number: Int64, now: String, _ db: PostgreSQLConnection) throws {
    try db.run(
      """
      WITH unwanted AS MATERIALIZED (
        SELECT t.id FROM task t JOIN sweep_task st ON st.task = t.id
        WHERE st.sweep = $1 AND t.state IN ('blocked', 'ready', 'queued')
          AND NOT EXISTS (SELECT 1 FROM sweep_task o JOIN sweep s ON s.number = o.sweep
            WHERE o.task = t.id AND s.state <> 'cancelled')
        ORDER BY t.id FOR NO KEY UPDATE OF t)
      UPDATE task SET state = 'cancelled', ended_at = \(now), not_before = NULL, queue = NULL, dispatched_at = NULL,
        unanswered = 0
      FROM unwanted WHERE task.id = unwanted.id
      """, .integer(number))
  }

  /// Makes sweeps active that had ended for want of these tasks.
  static func reopenSweeps(of tasks: [Int64], _ db: PostgreSQLConnection) throws {
    if tasks.isEmpty { return }
    try db.run(
      """
      UPDATE sweep SET state = 'active', ended_at = NULL
      WHERE state = 'done_with_parked' AND number IN (SELECT st.sweep FROM sweep_task st WHERE st.task = ANY($1))
      """, .integers(tasks))
  }
}
