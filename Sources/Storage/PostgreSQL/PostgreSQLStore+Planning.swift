internal import Foundation
internal import SweepRecords

extension PostgreSQLStore {
  package func expand(
    _ sweep: SweepID, with chunk: PlanChunk, as leader: LeaderToken
  ) async throws -> ExpansionReply {
    // The first of a key counts.
    var keys: Set<Digest> = []
    let tasks = chunk.tasks.filter { keys.insert($0.key).inserted }
    let files = try tasks.map { try Self.json(of: $0.files) }
    return try await writing { db, _ in
      try PlanningLock.takeAlone(db)
      try Self.require(leader, db)
      let known = try db.first("SELECT number, state, plan_cursor FROM sweep WHERE id = $1", .text(sweep.text)) { row in
        (number: row.integer(0), state: try row.value(1, as: SweepState.self), cursor: row.integer(2))
      }
      guard let known else { throw Self.missing(sweep) }
      guard known.state == .planning, known.cursor == chunk.from else {
        return ExpansionReply(applied: false, state: known.state, cursor: known.cursor, inserted: 0, alreadyDone: 0)
      }
      var insertion = PostgreSQLChunkInsertion(sweep: known.number, all: chunk.tasks, tasks: tasks)
      try insertion.insert(files: files, db)
      try insertion.lockAndLink(db)
      try insertion.connect(db)
      let state = chunk.isLast ? SweepState.active : .planning
      try db.run(
        "UPDATE sweep SET plan_cursor = $1, is_planned = $2, state = $3 WHERE number = $4", PostgreSQLValue(chunk.to),
        .integer(chunk.isLast ? 1 : 0), .text(state.rawValue), PostgreSQLValue(known.number))
      return ExpansionReply(
        applied: true, state: state, cursor: chunk.to, inserted: insertion.inserted.count,
        alreadyDone: insertion.alreadyDone)
    }
  }

  private static func json(of files: [FileReference]) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(files), as: UTF8.self)
  }
}

/// Enters a chunk's tasks, with the planning lock held: a few statements, however many tasks.
private struct PostgreSQLChunkInsertion {
  let sweep: Int
  /// The chunk as it is, and the tasks of different keys in it.
  let all: [TaskDefinition]
  let tasks: [TaskDefinition]
  /// Keys that were new to the database.
  private(set) var inserted: Set<Digest> = []
  private var known: [Digest: (id: Int64, state: TaskState, isLinked: Bool)] = [:]

  init(sweep: Int, all: [TaskDefinition], tasks: [TaskDefinition]) {
    (self.sweep, self.all, self.tasks) = (sweep, all, tasks)
  }

  /// How many of the tasks are done.
  var alreadyDone: Int { tasks.count { known[$0.key]?.state == .done } }

  /// Inserts the tasks whose keys are new, `blocked` where they wait for others.
  mutating func insert(files: [String], _ db: PostgreSQLConnection) throws {
    if tasks.isEmpty { return }
    inserted = Set(
      try db.rows(
        """
        INSERT INTO task (key, kind, state, layer, estimate, title, files, work)
        SELECT key, kind, state, layer, estimate, title, files, work
        FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::float8[], $6::text[], $7::text[], $8::text[])
          WITH ORDINALITY AS t (key, kind, state, layer, estimate, title, files, work, place) ORDER BY place
        ON CONFLICT (key) DO NOTHING RETURNING key
        """, PostgreSQLValue(tasks.map(\.key)), .texts(tasks.map(\.kind.rawValue)),
        .texts(tasks.map { $0.dependencies.isEmpty ? "ready" : "blocked" }),
        .integers(tasks.map { $0.layer.map(Int64.init) }), .reals(tasks.map(\.estimate)), .texts(tasks.map(\.title)),
        .texts(files), .texts(tasks.map(\.work))
      ) { try $0.digest(0) })
  }

  /// Locks all tasks that are spoken of, so that none is finished before we commit, and links the chunk's to the sweep.
  mutating func lockAndLink(_ db: PostgreSQLConnection) throws {
    let own = Set(tasks.map(\.key))
    let spoken = own.union(all.flatMap(\.dependencies)).sorted()
    let rows = try db.rows(
      """
      SELECT t.id, t.key, t.state, EXISTS (SELECT 1 FROM sweep_task st WHERE st.sweep = $2 AND st.task = t.id)
      FROM task t WHERE t.key = ANY($1) ORDER BY t.id FOR NO KEY UPDATE OF t
      """, PostgreSQLValue(spoken), PostgreSQLValue(sweep)
    ) { row in
      (
        key: try row.digest(1), id: Int64(row.integer(0)), state: try row.value(2, as: TaskState.self),
        isLinked: row.flag(3)
      )
    }
    for row in rows { known[row.key] = (row.id, row.state, row.isLinked || own.contains(row.key)) }
    try db.run(
      "INSERT INTO sweep_task (sweep, task) SELECT $1, id FROM unnest($2::bigint[]) AS t (id) ON CONFLICT DO NOTHING",
      PostgreSQLValue(sweep), .integers(rows.filter { own.contains($0.key) && !$0.isLinked }.map(\.id)))
  }

  /// Ties new and revived tasks to the groups that they wait for, and lets those go that wait for nobody.
  func connect(_ db: PostgreSQLConnection) throws {
    for task in all { try requireDependencies(of: task) }
    let fresh = tasks.filter {
      inserted.contains($0.key) ? !$0.dependencies.isEmpty : known[$0.key]?.state == .cancelled
    }
    let waits = fresh.map { Set($0.dependencies).sorted() }
    let groups = try groups(of: Set(waits.filter { !$0.isEmpty }), db)
    let ids = fresh.compactMap { known[$0.key]?.id }
    if ids.isEmpty { return }
    let places = waits.map { groups[$0] }
    try db.run(
      """
      UPDATE task SET task_group = f.task_group, state = f.state, failures = 0, error = NULL, ended_at = NULL,
        not_before = NULL, dispatched_at = NULL, queue = NULL, unanswered = 0
      FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS f (id, task_group, state) WHERE task.id = f.id
      """, .integers(ids), .integers(places.map { $0?.id }),
      .texts(places.map { ($0?.remaining ?? 0) == 0 ? "ready" : "blocked" }))
  }

  private func requireDependencies(of task: TaskDefinition) throws {
    for key in task.dependencies where known[key]?.isLinked != true {
      throw StoreError(
        .unknownDependency, "the plan's task \"\(task.title)\" waits for \(key.short), which the sweep doesn't have")
    }
  }

  /// The groups of these sets of tasks, made where they are new, and how many members are not done.
  private func groups(
    of sets: Set<[Digest]>, _ db: PostgreSQLConnection
  ) throws -> [[Digest]: (id: Int64, remaining: Int)] {
    if sets.isEmpty { return [:] }
    let byDigest = Dictionary(
      sets.map { (Digest(of: $0.map(\.hex).joined(separator: "\n")), $0) }
    ) { first, _ in first }
    let digests = byDigest.keys.sorted()
    let remaining = digests.map { digest in
      Int64((byDigest[digest] ?? []).count { known[$0]?.state != .done })
    }
    let new = try db.rows(
      """
      INSERT INTO task_group (digest, remaining) SELECT * FROM unnest($1::text[], $2::bigint[])
      ON CONFLICT (digest) DO NOTHING RETURNING id, digest
      """, PostgreSQLValue(digests), .integers(remaining)
    ) { (id: Int64($0.integer(0)), digest: try $0.digest(1)) }
    var members: [(group: Int64, task: Int64)] = []
    for group in new {
      members += (byDigest[group.digest] ?? []).compactMap { known[$0].map { (group.id, $0.id) } }
    }
    try db.run(
      "INSERT INTO task_group_member (task_group, task) SELECT * FROM unnest($1::bigint[], $2::bigint[])",
      .integers(members.map(\.group)), .integers(members.map(\.task)))
    let found = try db.rows(
      "SELECT id, digest, remaining FROM task_group WHERE digest = ANY($1) ORDER BY id FOR SHARE",
      PostgreSQLValue(digests)
    ) { (id: Int64($0.integer(0)), digest: try $0.digest(1), remaining: $0.integer(2)) }
    return found.reduce(into: [:]) { groups, group in
      if let set = byDigest[group.digest] { groups[set] = (group.id, group.remaining) }
    }
  }
}
