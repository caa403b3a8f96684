internal import SweepRecords

extension SQLiteStore {
  package func dispatch(_ policy: DispatchPolicy, as leader: LeaderToken) throws -> [DispatchedTask] {
    try writing { db, now in
      try Self.require(leader, &db)
      var dispatched = try Self.redispatch(policy, now: now, &db)
      let only = SQLValue(policy.only?.text)
      let sweeps = try db.rows(
        "SELECT number, id, priority FROM sweep WHERE state = 'active' AND id = coalesce(?, id) ORDER BY number", only
      ) { row in
        ActiveSweep(number: row.integer(0), id: SweepID(row.text(1)), priority: try row.value(2))
      }
      let byNumber = Dictionary(uniqueKeysWithValues: sweeps.map { ($0.number, $0) })
      var share = WindowShare(inFlight: try Self.inFlight(&db))
      var occupied = 0
      for priority in SweepPriority.allCases {
        occupied += try Self.queued(priority, only, &db)
        let room = min(policy.window - occupied, policy.limit - dispatched.count)
        let waiting = try Self.waiting(room, of: sweeps.filter { $0.priority == priority }, now: now, &db)
        let chosen = share.fill(room, from: waiting)
        for (task, number) in chosen {
          guard let sweep = byNumber[number] else { continue }
          dispatched.append(try Self.queue(task, for: sweep, now: now, &db))
        }
        occupied += chosen.count
      }
      return dispatched
    }
  }

  private struct ActiveSweep {
    var number: Int
    var id: SweepID
    var priority: SweepPriority
  }

  /// Dispatches again what was queued too long ago, whatever the window says: its message may be lost.
  private static func redispatch(
    _ policy: DispatchPolicy, now: Double, _ db: inout SQLiteConnection
  ) throws -> [DispatchedTask] {
    let stale = try db.rows(
      """
      SELECT t.id, s.number, s.id, s.priority FROM task t
      JOIN sweep s ON s.number = (
        SELECT s.number FROM sweep_task st JOIN sweep s ON s.number = st.sweep
        WHERE st.task = t.id AND s.state = 'active' AND s.id = coalesce(?, s.id)
        ORDER BY CASE s.priority WHEN 'high' THEN 0 WHEN 'normal' THEN 1 ELSE 2 END, s.number LIMIT 1)
      WHERE t.state = 'queued' AND (t.dispatched_at IS NULL
        OR t.dispatched_at + ? * (1 << max(0, min(t.unanswered - 1, 6))) <= ?)
      ORDER BY t.id LIMIT ?
      """, SQLValue(policy.only?.text), SQLValue(policy.redispatchAfter), SQLValue(now), SQLValue(policy.limit)
    ) { row in
      (
        task: row.integer(0),
        sweep: ActiveSweep(number: row.integer(1), id: SweepID(row.text(2)), priority: try row.value(3))
      )
    }
    return try stale.map { try queue($0.task, for: $0.sweep, now: now, &db) }
  }

  /// Queued tasks of a priority that somebody may claim: what the window counts.
  private static func queued(
    _ priority: SweepPriority, _ only: SQLValue, _ db: inout SQLiteConnection
  ) throws -> Int {
    try db.first(
      """
      SELECT count(*) FROM task t WHERE t.state = 'queued' AND t.queue = ? AND EXISTS (
        SELECT 1 FROM sweep_task st JOIN sweep s ON s.number = st.sweep
        WHERE st.task = t.id AND s.state = 'active' AND s.id = coalesce(?, s.id))
      """, SQLValue(priority.rawValue), only
    ) { $0.integer(0) } ?? 0
  }

  /// Tasks queued or running, by sweep.
  private static func inFlight(_ db: inout SQLiteConnection) throws -> [Int: Int] {
    var counts: [Int: Int] = [:]
    for state in ["queued", "running"] {
      let found = try db.rows(
        """
        SELECT st.sweep, count(*) FROM task t CROSS JOIN sweep_task st WHERE t.state = '\(state)' AND st.task = t.id
        GROUP BY st.sweep
        """
      ) { ($0.integer(0), $0.integer(1)) }
      counts.merge(found, uniquingKeysWith: +)
    }
    return counts
  }

  /// The due tasks that sweeps have ready, as many of each as there may be room for.
  private static func waiting(
    _ room: Int, of sweeps: [ActiveSweep], now: Double, _ db: inout SQLiteConnection
  ) throws -> [(sweep: Int, tasks: [Int])] {
    guard room > 0 else { return [] }
    return try sweeps.map { sweep in
      // CROSS JOIN keeps SQLite to this order: the ready ones, then whether the sweep wants them.
      let ready = try db.rows(
        """
        SELECT t.id FROM task t CROSS JOIN sweep_task st
        WHERE t.state = 'ready' AND (t.not_before IS NULL OR t.not_before <= ?) AND st.sweep = ? AND st.task = t.id
        ORDER BY t.id LIMIT ?
        """, SQLValue(now), SQLValue(sweep.number), SQLValue(room)
      ) { $0.integer(0) }
      return (sweep.number, ready)
    }
  }

  /// Moves a task to a sweep's queue.
  private static func queue(
    _ task: Int, for sweep: ActiveSweep, now: Double, _ db: inout SQLiteConnection
  ) throws -> DispatchedTask {
    let dispatched = try db.first(
      """
      UPDATE task SET state = 'queued', queue = ?, dispatch = dispatch + 1, unanswered = unanswered + 1,
        dispatched_at = ?, not_before = NULL
      WHERE id = ? RETURNING dispatch, kind, layer, work
      """, SQLValue(sweep.priority.rawValue), SQLValue(now), SQLValue(task)
    ) { row in
      DispatchedTask(
        id: DispatchID(task: TaskID(Int64(task)), dispatch: row.integer(0)), sweep: sweep.id, priority: sweep.priority,
        kind: try row.value(1), layer: row.optionalInteger(2), work: row.text(3))
    }
    guard let dispatched else { throw StoreError(.internal, "task \(task) vanished while it was dispatched") }
    return dispatched
  }

  package func undispatch(_ dispatches: [DispatchID], as leader: LeaderToken) throws {
    try writing { db, _ in
      try Self.require(leader, &db)
      for id in dispatches {
        try db.run(
          """
          UPDATE task SET state = 'ready', queue = NULL, dispatched_at = NULL, unanswered = 0
          WHERE id = ? AND dispatch = ? AND state = 'queued'
          """, SQLValue(id.task.number), SQLValue(id.dispatch))
      }
    }
  }
}
