internal import SweepRecords

/// # Why calls at the same time don't harm one another
///
/// All run in READ COMMITTED: each *statement* sees what was committed before it began, and a row that was changed
/// meanwhile is waited for and looked at anew, its own columns only. So what must hold across rows is either locked
/// first and read in a later statement, or kept apart by the *planning lock*:
///
/// - **alone**: what changes which sweeps want which tasks, and the states of sweeps: `submit`, `expand`, `pause`,
///   `resume`, `cancel`, `retry`, `delete`, `settleSweeps`, `recomputeCounters`. Seldom, and short.
/// - **shared**: what decides by whether anybody wants a task: `fail`, `release`, `deregister`, `reap`, the heartbeat's
///   cancelling; and `dispatch`, `undispatch`. These don't disturb one another: each locks its task rows first.
/// - **without**: `claim`, `finish`, the heartbeat's renewal, leadership, reading. A long COPY in `finish` must delay
///   nobody; why these are right stands beside them.
///
/// Rows are locked in one order, so that as a rule nobody waits in a circle: planning lock, leader, sweeps, tasks by id,
/// groups by id, artifacts by digest. What remains (a task that becomes ready has a smaller id than the one that lets it
/// go) the server breaks, and `PostgreSQLSession` does the transaction again.
///
/// **The leader's token.** A write of a leader reads its token and locks the row FOR KEY SHARE; a renewal (no key
/// changes) goes beside that, but a takeover locks FOR UPDATE first: it waits until the write is committed, and the next
/// write waits for it and then finds another token.
///
/// **A finish beside `expand`.** A new group's counter is the number of its members that are not done. `expand` locks
/// the members before it looks at them: a finish that came first is waited for and seen as done; one that comes later
/// waits, and counts its groups in a statement of its own after that: it sees the new one. Of a group that is there,
/// `expand` and `retry` lock the row FOR SHARE before they read the counter: either it is 0 already, and the task is
/// ready, or the finish that makes it 0 waits, and then sees the task that is blocked by it.
enum PlanningLock {
  /// `STSC`: no other program's locks.
  private static let space = 0x5354_5343

  static func takeAlone(_ db: PostgreSQLConnection) throws {
    try db.run("SELECT pg_advisory_xact_lock(\(space), 1)")
  }

  static func share(_ db: PostgreSQLConnection) throws {
    try db.run("SELECT pg_advisory_xact_lock_shared(\(space), 1)")
  }

  /// Shares the lock if that needs no waiting.
  static func shareNow(_ db: PostgreSQLConnection) throws -> Bool {
    try db.first("SELECT pg_try_advisory_xact_lock_shared(\(space), 1)") { $0.flag(0) } ?? false
  }
}
