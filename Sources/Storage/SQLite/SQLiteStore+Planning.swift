internal import Foundation
internal import SweepRecords

extension SQLiteStore {
  package func expand(_ sweep: SweepID, with chunk: PlanChunk, as leader: LeaderToken) throws -> ExpansionReply {
    let files = try chunk.tasks.map { try Self.json(of: $0.files) }
    return try writing { db, _ in
      try Self.require(leader, &db)
      let known = try db.first("SELECT number, state, plan_cursor FROM sweep WHERE id = ?", SQLValue(sweep.text)) {
        row in
        (number: row.integer(0), state: try row.value(1, as: SweepState.self), cursor: row.integer(2))
      }
      guard let known else { throw Self.missing(sweep) }
      guard known.state == .planning, known.cursor == chunk.from else {
        return ExpansionReply(applied: false, state: known.state, cursor: known.cursor, inserted: 0, alreadyDone: 0)
      }
      var planner = ChunkInsertion(sweep: known.number)
      for (task, files) in zip(chunk.tasks, files) { try planner.link(task, files: files, &db) }
      for task in chunk.tasks { try planner.connect(task, &db) }
      let state = chunk.isLast ? SweepState.active : .planning
      try db.run(
        "UPDATE sweep SET plan_cursor = ?, is_planned = ?, state = ? WHERE number = ?", SQLValue(chunk.to),
        SQLValue(chunk.isLast), SQLValue(state.rawValue), SQLValue(known.number))
      return ExpansionReply(
        applied: true, state: state, cursor: chunk.to, inserted: planner.inserted, alreadyDone: planner.alreadyDone)
    }
  }

  private static func json(of files: [FileReference]) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(files), as: UTF8.self)
  }
}

/// Enters a chunk's tasks: first all of them, then whom they wait for.
private struct ChunkInsertion {
  let sweep: Int
  var inserted = 0
  var alreadyDone = 0
  /// Ids of tasks seen in this chunk, and whether they were new or revived: these get a state.
  private var seen: [Digest: (id: Int, isFresh: Bool)] = [:]

  init(sweep: Int) { self.sweep = sweep }

  /// Inserts a task, `blocked` for now, unless its key is there; links it to the sweep.
  mutating func link(_ task: TaskDefinition, files: String, _ db: inout SQLiteConnection) throws {
    if seen[task.key] != nil { return }
    let changes = try db.run(
      """
      INSERT INTO task (key, kind, state, layer, estimate, title, files, work) VALUES (?, ?, 'blocked', ?, ?, ?, ?, ?)
      ON CONFLICT (key) DO NOTHING
      """, SQLValue(task.key.hex), SQLValue(task.kind.rawValue), SQLValue(task.layer), SQLValue(task.estimate),
      SQLValue(task.title), SQLValue(files), SQLValue(task.work))
    let found = try db.first("SELECT id, state FROM task WHERE key = ?", SQLValue(task.key.hex)) { row in
      (id: row.integer(0), state: try row.value(1, as: TaskState.self))
    }
    guard let found else { throw StoreError(.internal, "task \(task.key.short) vanished while it was inserted") }
    inserted += changes
    if found.state == .done { alreadyDone += 1 }
    seen[task.key] = (found.id, changes > 0 || found.state == .cancelled)
    try db.run(
      "INSERT INTO sweep_task (sweep, task) VALUES (?, ?) ON CONFLICT DO NOTHING", SQLValue(sweep), SQLValue(found.id))
  }

  /// Ties a task to the group that it waits for, and lets it go where nobody is waited for.
  mutating func connect(_ task: TaskDefinition, _ db: inout SQLiteConnection) throws {
    let keys = Set(task.dependencies).sorted()
    let members = try keys.map { try member($0, of: task, &db) }
    guard let (id, isFresh) = seen[task.key], isFresh else { return }
    seen[task.key] = (id, false)
    let group = keys.isEmpty ? nil : try group(of: keys, members, &db)
    try db.run(
      """
      UPDATE task SET task_group = ?, state = ?, failures = 0, error = NULL, ended_at = NULL, not_before = NULL,
        dispatched_at = NULL, queue = NULL, unanswered = 0
      WHERE id = ?
      """, SQLValue(group?.id), SQLValue((group?.remaining ?? 0) == 0 ? "ready" : "blocked"), SQLValue(id))
  }

  /// The id of a task that is waited for, which the sweep must have.
  private func member(_ key: Digest, of task: TaskDefinition, _ db: inout SQLiteConnection) throws -> Int {
    if let known = seen[key] { return known.id }
    let id = try db.first(
      "SELECT t.id FROM task t JOIN sweep_task st ON st.task = t.id WHERE t.key = ? AND st.sweep = ?",
      SQLValue(key.hex),
      SQLValue(sweep)
    ) { $0.integer(0) }
    guard let id else {
      throw StoreError(
        .unknownDependency, "the plan's task \"\(task.title)\" waits for \(key.short), which the sweep doesn't have")
    }
    return id
  }

  /// The group of these tasks, made if it is new.
  private func group(
    of keys: [Digest], _ members: [Int], _ db: inout SQLiteConnection
  ) throws -> (id: Int, remaining: Int) {
    let digest = SQLValue(Digest(of: keys.map(\.hex).joined(separator: "\n")).hex)
    let known = try db.first("SELECT id, remaining FROM task_group WHERE digest = ?", digest) {
      (id: $0.integer(0), remaining: $0.integer(1))
    }
    if let known { return known }
    let id = try db.first("INSERT INTO task_group (digest, remaining) VALUES (?, 0) RETURNING id", digest) {
      $0.integer(0)
    }
    for member in members {
      try db.run("INSERT INTO task_group_member (task_group, task) VALUES (?, ?)", SQLValue(id), SQLValue(member))
    }
    let remaining = try db.first(
      """
      UPDATE task_group SET remaining = (
        SELECT count(*) FROM task_group_member m JOIN task t ON t.id = m.task
        WHERE m.task_group = task_group.id AND t.state <> 'done')
      WHERE id = ? RETURNING remaining
      """, SQLValue(id)
    ) { $0.integer(0) }
    guard let id, let remaining else { throw StoreError(.internal, "a task group vanished while it was inserted") }
    return (id, remaining)
  }
}
