internal import SweepRecords

/// A question in brackets with a LIMIT is asked once for each of the few live tasks; as a join or EXISTS the planner might
/// begin with all tasks of a sweep.
extension PostgreSQLStore {
  package func dispatch(_ policy: DispatchPolicy, as leader: LeaderToken) async throws -> [DispatchedTask] {
    // Rows that somebody else has locked are passed over: a task that is being claimed needs no message.
    try await writing { db, now in
      try PlanningLock.share(db)
      try Self.require(leader, db)
      let again = try Self.redispatch(policy, now: now, db)
      let sweeps = try db.rows(
        "SELECT number, id, priority FROM sweep WHERE state = 'active' AND id = coalesce($1, id) ORDER BY number",
        .text(policy.only?.text)
      ) { row in
        ActiveSweep(number: row.integer(0), id: SweepID(row.text(1)), priority: try row.value(2))
      }
      var room = Room(policy, again: again.count, queued: try Self.queued(policy.only, db))
      let asked = sweeps.filter { room.most(for: $0.priority) > 0 }
      guard !asked.isEmpty else { return again }
      let waiting = try Self.waiting(room.limit, of: asked, now: now, db)
      guard !waiting.isEmpty else { return again }
      var share = WindowShare(inFlight: try Self.inFlight(db))
      var chosen: [(task: Int, sweep: ActiveSweep)] = []
      for priority in SweepPriority.allCases {
        let competing = asked.filter { $0.priority == priority }
        let places = share.fill(room.most(for: priority), from: competing.map { ($0.number, waiting[$0.number] ?? []) })
        room.take(places.count)
        chosen += places.compactMap { place in
          competing.first { $0.number == place.sweep }.map { (place.task, $0) }
        }
      }
      return again + (try Self.queue(chosen, from: .ready, now: now, db))
    }
  }

  /// What is left of the window, and of the reply.
  private struct Room {
    private let window: Int
    private(set) var limit: Int
    private var queued: [SweepPriority: Int]

    init(_ policy: DispatchPolicy, again: Int, queued: [SweepPriority: Int]) {
      (window, limit, self.queued) = (policy.window, max(0, min(policy.window, policy.limit - again)), queued)
    }

    /// Places for tasks of a priority: what is as urgent or more counts.
    func most(for priority: SweepPriority) -> Int {
      var occupied = 0
      for other in SweepPriority.allCases {
        occupied += queued[other] ?? 0
        if other == priority { break }
      }
      return max(0, min(window - occupied, limit))
    }

    mutating func take(_ count: Int) {
      limit -= count
      queued[.high, default: 0] += count
    }
  }

  private struct ActiveSweep {
    var number: Int
    var id: SweepID
    var priority: SweepPriority
  }

  /// Dispatches again what was queued too long ago, whatever the window says: its message may be lost.
  private static func redispatch(
    _ policy: DispatchPolicy, now: String, _ db: PostgreSQLConnection
  ) throws -> [DispatchedTask] {
    let stale = try db.rows(
      """
      WITH stale AS MATERIALIZED (
        SELECT id FROM task WHERE state = 'queued' AND (dispatched_at IS NULL
          OR dispatched_at + make_interval(secs => $2 * (1 << greatest(0, least(unanswered - 1, 6))::int)) <= \(now)))
      SELECT t.id, s.number, s.id, s.priority FROM stale JOIN task t ON t.id = stale.id
      JOIN LATERAL (
        SELECT s.number, s.id, s.priority FROM sweep_task st JOIN sweep s ON s.number = st.sweep
        WHERE st.task = t.id AND s.state = 'active' AND s.id = coalesce($1, s.id)
        ORDER BY CASE s.priority WHEN 'high' THEN 0 WHEN 'normal' THEN 1 ELSE 2 END, s.number LIMIT 1) s ON true
      WHERE t.state = 'queued' ORDER BY t.id LIMIT $3 FOR NO KEY UPDATE OF t SKIP LOCKED
      """, .text(policy.only?.text), .real(policy.redispatchAfter), PostgreSQLValue(policy.limit)
    ) { row in
      (
        task: row.integer(0),
        sweep: ActiveSweep(number: row.integer(1), id: SweepID(row.text(2)), priority: try row.value(3))
      )
    }
    return try queue(stale, from: .queued, now: now, db)
  }

  /// Queued tasks that somebody may claim, by priority: what the window counts.
  private static func queued(_ only: SweepID?, _ db: PostgreSQLConnection) throws -> [SweepPriority: Int] {
    let counts = try db.rows(
      """
      SELECT t.queue, count(*) FROM task t WHERE t.state = 'queued' AND (
        SELECT true FROM sweep_task st JOIN sweep s ON s.number = st.sweep
        WHERE st.task = t.id AND s.state = 'active' AND s.id = coalesce($1, s.id) LIMIT 1)
      GROUP BY t.queue
      """, .text(only?.text)
    ) { (try $0.value(0, as: SweepPriority.self), $0.integer(1)) }
    return Dictionary(uniqueKeysWithValues: counts)
  }

  /// Tasks queued or running, by sweep.
  private static func inFlight(_ db: PostgreSQLConnection) throws -> [Int: Int] {
    let counts = try db.rows(
      """
      SELECT st.sweep, count(*) FROM (
        SELECT id FROM task WHERE state = 'queued' UNION ALL SELECT id FROM task WHERE state = 'running') t
      CROSS JOIN LATERAL (SELECT sweep FROM sweep_task WHERE task = t.id OFFSET 0) st GROUP BY st.sweep
      """
    ) { ($0.integer(0), $0.integer(1)) }
    return Dictionary(uniqueKeysWithValues: counts)
  }

  /// SQL of the ids between which the tasks of the sweep `s` lie: mostly together, so that those of others are skipped.
  /// (Compared as a pair, which only the primary key's index can answer.)
  static let range = """
    SELECT (SELECT task FROM sweep_task WHERE (sweep, task) >= (s.number, 0) ORDER BY sweep, task LIMIT 1) AS low,
      (SELECT task FROM sweep_task WHERE (sweep, task) <= (s.number, 9223372036854775807)
        ORDER BY sweep DESC, task DESC LIMIT 1) AS high
    """

  /// The due tasks that sweeps have ready, as many of each as there may be room for.
  private static func waiting(
    _ room: Int, of sweeps: [ActiveSweep], now: String, _ db: PostgreSQLConnection
  ) throws -> [Int: [Int]] {
    let found = try db.rows(
      """
      SELECT s.number, r.id FROM unnest($1::bigint[]) AS s (number)
      CROSS JOIN LATERAL (\(range)) range
      CROSS JOIN LATERAL (
        SELECT t.id FROM task t
        WHERE t.state = 'ready' AND t.id BETWEEN range.low AND range.high AND (t.not_before IS NULL OR t.not_before <= \(now))
          AND (SELECT true FROM sweep_task st WHERE st.sweep = s.number AND st.task = t.id LIMIT 1)
        ORDER BY t.id LIMIT $2) r
      """, .integers(sweeps.map { Int64($0.number) }), PostgreSQLValue(room)
    ) { (sweep: $0.integer(0), task: $0.integer(1)) }
    return Dictionary(grouping: found, by: \.sweep).mapValues { $0.map(\.task).sorted() }
  }

  /// Moves tasks to their sweeps' queues; those that are in another state meanwhile are left out.
  private static func queue(
    _ tasks: [(task: Int, sweep: ActiveSweep)], from state: TaskState, now: String, _ db: PostgreSQLConnection
  ) throws -> [DispatchedTask] {
    if tasks.isEmpty { return [] }
    let sweeps = Dictionary(uniqueKeysWithValues: tasks)
    let queued = try db.rows(
      """
      WITH free AS MATERIALIZED (
        SELECT t.id, c.queue FROM unnest($1::bigint[], $2::text[]) AS c (id, queue) JOIN task t ON t.id = c.id
        WHERE t.state = $3 ORDER BY t.id FOR NO KEY UPDATE OF t SKIP LOCKED)
      UPDATE task SET state = 'queued', queue = free.queue, dispatch = dispatch + 1, unanswered = unanswered + 1,
        dispatched_at = \(now), not_before = NULL
      FROM free WHERE task.id = free.id RETURNING task.id, dispatch, kind, layer, work
      """, .integers(tasks.map { Int64($0.task) }), .texts(tasks.map(\.sweep.priority.rawValue)),
      .text(state.rawValue)
    ) { row -> DispatchedTask? in
      guard let sweep = sweeps[row.integer(0)] else { return nil }
      return DispatchedTask(
        id: DispatchID(task: row.task(0), dispatch: row.integer(1)), sweep: sweep.id, priority: sweep.priority,
        kind: try row.value(2), layer: row.optionalInteger(3), work: row.text(4))
    }
    let byTask = Dictionary(uniqueKeysWithValues: queued.compactMap { $0 }.map { (Int($0.id.task.number), $0) })
    return tasks.compactMap { byTask[$0.task] }
  }

  package func undispatch(_ dispatches: [DispatchID], as leader: LeaderToken) async throws {
    try await writing { db, _ in
      try PlanningLock.share(db)
      try Self.require(leader, db)
      if dispatches.isEmpty { return }
      // One that is being claimed is passed over: it needs no message.
      try db.run(
        """
        WITH back AS MATERIALIZED (
          SELECT t.id FROM unnest($1::bigint[], $2::bigint[]) AS d (id, dispatch) JOIN task t ON t.id = d.id
          WHERE t.dispatch = d.dispatch AND t.state = 'queued' ORDER BY t.id FOR NO KEY UPDATE OF t SKIP LOCKED)
        UPDATE task SET state = 'ready', queue = NULL, dispatched_at = NULL, unanswered = 0
        FROM back WHERE task.id = back.id
        """, .integers(dispatches.map(\.task.number)), .integers(dispatches.map { Int64($0.dispatch) }))
    }
  }
}
