import Foundation
import Storage
import SweepRecords

/// A difference between a store and the reference model.
struct Divergence: Error, CustomStringConvertible {
  var description: String
}

/// Does the same to a store and to the reference model, and compares after each step.
struct ModelBasedRun {
  private let fixture: StoreFixture
  private var store: any ResultStore
  private var model = ReferenceModel()
  /// Everything ever leased, in order: the model's lease and the store's.
  private var leases: [(task: String, number: Int, worker: String, lease: TaskLease)] = []
  private var dispatches: [(task: String, id: DispatchID)] = []
  /// The last token of each who led.
  private var tokens: [Int: (model: Int, store: LeaderToken)] = [:]

  private static let policy = RetryPolicy(failureLimit: 3, base: 10, longest: 40)

  init(_ kind: StoreKind) async throws {
    fixture = try await StoreFixture(kind)
    store = try fixture.open()
    model.chunkNames = Dictionary(uniqueKeysWithValues: PlannedSweep.tasks.map { ($0.key, $0.title) })
    for worker in 0..<3 { try await apply(.register(worker: worker)) }
    try await apply(.lead(holder: 0))
  }

  /// Runs operations; the number of the first that diverges and how, or nil.
  static func firstDivergence(
    _ operations: [StoreOperation], _ kind: StoreKind
  ) async -> (index: Int, divergence: String)? {
    var index = 0
    do {
      var run = try await ModelBasedRun(kind)
      while index < operations.count {
        try await run.apply(operations[index])
        try await run.compareAll()
        index += 1
      }
      return nil
    } catch {
      return (index, "\(error)")
    }
  }

  // MARK: Steps

  private mutating func apply(_ operation: StoreOperation) async throws {
    switch operation {
    case .submit, .expand, .pause, .resume, .cancel, .retry, .delete: try await applyToSweep(operation)
    case .lead, .dispatch, .undispatch, .reap, .settle, .recompute: try await applyAsLeader(operation)
    case .register, .deregister, .claim, .heartbeat: try await applyAsWorker(operation)
    case .finish, .finishTwo, .fail, .release: try await applyToLease(operation)
    case .advance(let seconds):
      model.now += seconds
      fixture.clock.advance(seconds)
    case .reopen: store = try fixture.open()
    }
  }

  private mutating func applyToSweep(_ operation: StoreOperation) async throws {
    let all = PlannedSweep.all
    switch operation {
    case .submit(let number):
      let plan = all[number]
      let isNew = model.submit(plan.name, plan.priority, numericsVersion: plan.numericsVersion)
      try equal(isNew, try await store.submit(plan.submission).isNew)
    case .expand(let number, let chunk):
      let (plan, chunk) = (all[number], all[number].chunk(chunk))
      guard let token = tokens[0], token.model == model.leader.token else { return }
      let expected = model.expand(plan.name, chunk)
      try equal(expected, try await orMissing { try await store.expand(id(plan), with: chunk, as: token.store) })
    case .pause(let number):
      try equal(model.pause(all[number].name), try await orMissing { try await store.pause(id(all[number])) })
    case .resume(let number):
      try equal(model.resume(all[number].name), try await orMissing { try await store.resume(id(all[number])) })
    case .cancel(let number):
      try equal(model.cancel(all[number].name), try await orMissing { try await store.cancel(id(all[number])) })
    case .retry(let number):
      try equal(model.retry(all[number].name), try await orMissing { try await store.retry(id(all[number])) })
    case .delete(let number):
      try equal(model.delete(all[number].name), try await store.delete(id(all[number])))
    default: break
    }
  }

  private mutating func applyAsLeader(_ operation: StoreOperation) async throws {
    switch operation {
    case .lead(let holder):
      let expected = model.lead("leader \(holder)", for: 100)
      let token = try await store.acquireLeadership(holder: "leader \(holder)", for: 100)
      try equal(expected == nil, token == nil)
      if let expected, let token { tokens[holder] = (expected, token) }
    case .dispatch(let leader, let window):
      guard let token = try await token(leader, { try await $0.dispatch(DispatchPolicy(window: 1), as: $1) }) else {
        return
      }
      let policy = DispatchPolicy(window: window, redispatchAfter: 30, limit: 5)
      let expected = model.dispatch(policy)
      let said = try await store.dispatch(policy, as: token)
      try equal(
        expected.map { "\($0.task):\($0.dispatch) for \($0.sweep)" },
        said.map { task in
          let name = PlannedSweep.tasks.first { $0.work == task.work }?.title ?? "?"
          let sweep = PlannedSweep.all.first { id($0) == task.sweep }?.name ?? "?"
          return "\(name):\(task.id.dispatch) for \(sweep)"
        })
      dispatches += zip(expected, said).map { ($0.task, $1.id) }
    case .undispatch(let leader, let number):
      guard let token = try await token(leader, { try await $0.undispatch([], as: $1) }), !dispatches.isEmpty else {
        return
      }
      let (task, id) = dispatches[dispatches.count - 1 - number % dispatches.count]
      // A task that was deleted and planned anew is another one.
      if try await store.task(task)?.id == id.task { model.undispatch(task, id.dispatch) }
      try await store.undispatch([id], as: token)
    case .reap(let leader, let every):
      let policy = ReapPolicy(failureLimit: 3, everyLease: every)
      guard let token = try await token(leader, { try await $0.reap(policy, as: $1) }) else { return }
      let expected = model.reap(limit: 3, everyLease: every)
      var reaped: [String: TaskState] = [:]
      for task in try await store.reap(policy, as: token) {
        reaped[leases.last { $0.lease.task == task.lease.task }?.task ?? "?"] = task.state
      }
      try equal(expected, reaped)
    case .settle(let leader):
      guard let token = try await token(leader, { try await $0.settleSweeps(as: $1) }) else { return }
      let ended = try await store.settleSweeps(as: token)
      try equal(model.settle(), Dictionary(uniqueKeysWithValues: ended.map { ($0.name, $0.state) }))
    case .recompute(let leader):
      guard let token = try await token(leader, { try await $0.recomputeCounters(as: $1) }) else { return }
      try equal([], try await store.recomputeCounters(as: token))
    default: break
    }
  }

  /// The token of a leader who leads; one who doesn't must be refused.
  private func token(
    _ leader: Int, _ attempt: (any ResultStore, LeaderToken) async throws -> Void
  ) async throws -> LeaderToken? {
    guard let token = tokens[leader] else { return nil }
    if token.model == model.leader.token { return token.store }
    do { try await attempt(store, token.store) } catch let error as StoreError where error.code == .notLeader {
      return nil
    }
    throw Divergence(description: "leader \(leader) has an old token, and was not refused")
  }

  private func token<T>(
    _ leader: Int, _ attempt: (any ResultStore, LeaderToken) async throws -> T
  ) async throws -> LeaderToken? {
    try await token(leader) { (store: any ResultStore, token: LeaderToken) -> Void in
      _ = try await attempt(store, token)
    }
  }

  private mutating func applyAsWorker(_ operation: StoreOperation) async throws {
    switch operation {
    case .register(let worker):
      let numerics = worker == 2 ? 2 : 1
      model.workers[name(worker)] = numerics
      try await store.register(WorkerRegistration(name(worker), numericsVersion: numerics))
    case .deregister(let worker):
      model.deregister(name(worker))
      try await store.deregister(WorkerID(name(worker)))
    case .claim(let mask, let worker):
      let names = PlannedSweep.tasks.map(\.title).enumerated().filter { mask >> $0.offset & 1 == 1 }.map(\.element)
      let expected = model.claim(names, name(worker), for: 45)
      let claimed = try await orMissing { try await store.claim(names, by: name(worker)) }
      try equal(expected.map { $0.map(\.task) }, claimed.map { $0.map(\.title) })
      for (lease, task) in zip(expected ?? [], claimed ?? []) {
        if let last = leases.map(\.lease.token).max(), task.lease.token <= last {
          throw Divergence(description: "lease token \(task.lease.token.number) follows \(last.number)")
        }
        leases.append((lease.task, lease.lease, name(worker), task.lease))
      }
    case .heartbeat(let worker):
      let expected = model.heartbeat(name(worker), for: 45)
      let reply = try await orMissing {
        try await store.heartbeat(WorkerID(name(worker)), .ready, memory: nil, for: 45)
      }
      try equal(expected?.held, reply.map { Set($0.held.map(taskName)) })
      try equal(expected?.cancelled, reply.map { Set($0.cancelled.map(taskName)) })
    default: break
    }
  }

  private mutating func applyToLease(_ operation: StoreOperation) async throws {
    guard !leases.isEmpty else { return }
    // Counted from the latest, which is the one most often still held.
    func lease(_ number: Int) -> (task: String, number: Int, worker: String, lease: TaskLease) {
      leases[leases.count - 1 - number % leases.count]
    }
    switch operation {
    case .finish(let number): try await finish([lease(number)])
    case .finishTwo(let number, let other):
      let pair = [lease(number), lease(other)]
      if pair[0].worker == pair[1].worker { try await finish(pair) }
    case .fail(let number, let fault, let jitter):
      let lease = lease(number)
      let expected = model.fail(lease.task, lease.number, lease.worker, fault, Self.policy, jitter: jitter)
      let failure = TaskFailure(lease: lease.lease, fault: fault, error: "e", jitter: jitter)
      try equal(expected, try await store.fail(failure, worker: WorkerID(lease.worker), policy: Self.policy))
    case .release(let number):
      let lease = lease(number)
      model.release(lease.task, lease.number, lease.worker)
      try await store.release([lease.lease], worker: WorkerID(lease.worker), reason: "r")
    default: break
    }
  }

  private mutating func finish(_ held: [(task: String, number: Int, worker: String, lease: TaskLease)]) async throws {
    var expected: [FinishOutcome] = []
    for lease in held {
      let again = model.tasks[lease.task]?.finishedBy == lease.number
      expected.append(again ? .alreadyDone : model.finish(lease.task, lease.number, lease.worker))
    }
    let finished = held.map { lease in
      let rows = [TableRow(.sae, ["name": .text(lease.task), "layer": 1])]
      let artifacts = [Artifact(name: "out", bytes: Array(lease.task.utf8))]
      return FinishedTask(lease: lease.lease, result: TaskResult(artifacts: artifacts, rows: rows))
    }
    try equal(expected, try await store.finish(finished, worker: WorkerID(held[0].worker)))
  }

  // MARK: Comparing

  private func name(_ worker: Int) -> String { "worker \(worker)" }
  private func id(_ plan: PlannedSweep) -> SweepID { SweepID(String(plan.submission.digest.hex.prefix(12))) }
  private func taskName(_ lease: TaskLease) -> String { leases.last { $0.lease == lease }?.task ?? "?" }

  private func orMissing<T>(_ body: () async throws -> T) async throws -> T? {
    do { return try await body() } catch let error as StoreError where error.code == .missing { return nil }
  }

  private func equal<T: Equatable>(_ expected: T, _ found: T) throws {
    if expected != found { throw Divergence(description: "expected \(expected), found \(found)") }
  }

  /// Compares all that both know of sweeps and tasks, and what must be true of rows and artifacts.
  private func compareAll() async throws {
    let sweeps = try await store.table("SELECT name, state, plan_cursor, is_planned FROM sweep ORDER BY name")
    try equal(
      model.sweeps.values.sorted { $0.name < $1.name }
        .map { "\($0.name)|\($0.state.rawValue)|\($0.cursor)|\($0.isPlanned ? 1 : 0)" }, sweeps)
    let tasks = try await store.table(
      """
      SELECT title, state, failures, \(fixture.seconds("not_before")), queue, dispatch, unanswered,
        \(fixture.seconds("dispatched_at")), worker, \(fixture.seconds("lease_until")),
        (SELECT count(*) FROM sweep_task st WHERE st.task = task.id),
        (SELECT count(*) FROM sae WHERE sae.task = task.id),
        (SELECT count(*) FROM task_artifact ta WHERE ta.task = task.id),
        (SELECT count(*) FROM task_attempt a WHERE a.task = task.id AND a.outcome IS NULL)
      FROM task ORDER BY title
      """)
    let expected = model.tasks.values.sorted { $0.name < $1.name }.map { task in
      let result = task.state == .done ? 1 : 0
      let cells: [String?] = [
        task.name, task.state.rawValue, "\(task.failures)", task.notBefore.map { "\($0)" }, task.queue?.rawValue,
        "\(task.dispatch)", "\(task.unanswered)", task.dispatchedAt.map { "\($0)" }, task.worker,
        task.leaseUntil.map { "\($0)" }, "\(model.users(of: task.name).count)", "\(result)", "\(result)",
        task.state == .running ? "1" : "0",
      ]
      return cells.map { $0 ?? "-" }.joined(separator: "|")
    }
    try equal(expected, tasks)
    let done = model.tasks.values.filter { $0.state == .done }.count
    try equal(
      ["\(done)|\(done)"],
      try await store.table("SELECT (SELECT count(*) FROM artifact), (SELECT count(*) FROM artifact_chunk)"))
    try equal(
      [],
      try await store.table("SELECT id FROM task_group g WHERE NOT EXISTS (SELECT 1 FROM task WHERE task_group = g.id)")
    )
  }
}
