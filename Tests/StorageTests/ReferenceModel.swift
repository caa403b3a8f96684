import Storage
import SweepRecords

/// What a store must do, told as plainly as possible: everything in memory, nothing counted ahead, nothing indexed.
struct ReferenceModel {
  struct Task {
    var id: Int
    var name: String
    var dependencies: [String]
    var state: TaskState
    var failures = 0
    var notBefore: Double?
    var queue: SweepPriority?
    var dispatch = 0
    var unanswered = 0
    var dispatchedAt: Double?
    var lease: Int?
    var worker: String?
    var leaseUntil: Double?
    var finishedBy: Int?
  }

  struct Sweep {
    var number: Int
    var name: String
    var state = SweepState.planning
    var priority: SweepPriority
    var numericsVersion: Int
    var cursor = 0
    var isPlanned = false
    var tasks: Set<String> = []
  }

  var now = 1_000_000.0
  var tasks: [String: Task] = [:]
  var sweeps: [String: Sweep] = [:]
  /// Numerics version of registered workers that have not signed off.
  var workers: [String: Int] = [:]
  var leader: (holder: String, token: Int, until: Double) = ("", 0, 0)
  private var nextTask = 0
  private var nextSweep = 0
  private var nextLease = 0

  // MARK: Questions

  func users(of task: String) -> [Sweep] {
    sweeps.values.filter { $0.tasks.contains(task) }.sorted { $0.number < $1.number }
  }
  func isWanted(_ task: String) -> Bool { users(of: task).contains { $0.state != .cancelled } }
  func isFree(_ task: Task) -> Bool { task.dependencies.allSatisfy { tasks[$0]?.state == .done } }
  func holds(_ task: String, _ lease: Int, _ worker: String) -> Bool {
    tasks[task]?.state == .running && tasks[task]?.lease == lease && tasks[task]?.worker == worker
  }
  private var inOrder: [Task] { tasks.values.sorted { $0.id < $1.id } }

  // MARK: Planning

  mutating func submit(_ name: String, _ priority: SweepPriority, numericsVersion: Int) -> Bool {
    if sweeps[name] != nil { return false }
    sweeps[name] = Sweep(number: nextSweep, name: name, priority: priority, numericsVersion: numericsVersion)
    nextSweep += 1
    return true
  }

  mutating func expand(_ name: String, _ chunk: PlanChunk) -> ExpansionReply? {
    guard var sweep = sweeps[name] else { return nil }
    guard sweep.state == .planning, sweep.cursor == chunk.from else {
      return ExpansionReply(applied: false, state: sweep.state, cursor: sweep.cursor, inserted: 0, alreadyDone: 0)
    }
    var reply = ExpansionReply(applied: true, state: .planning, cursor: chunk.to, inserted: 0, alreadyDone: 0)
    for definition in chunk.tasks {
      let dependencies = definition.dependencies.compactMap { key in chunkNames[key] }
      if tasks[definition.title] == nil {
        tasks[definition.title] = Task(
          id: nextTask, name: definition.title, dependencies: dependencies, state: .blocked)
        nextTask += 1
        reply.inserted += 1
        free(definition.title)
      } else if tasks[definition.title]?.state == .cancelled {
        revive(definition.title)
      } else if tasks[definition.title]?.state == .done {
        reply.alreadyDone += 1
      }
      sweep.tasks.insert(definition.title)
    }
    sweep.cursor = chunk.to
    if chunk.isLast {
      sweep.isPlanned = true
      sweep.state = .active
      reply.state = .active
    }
    sweeps[name] = sweep
    return reply
  }

  /// The names behind the keys of the plan.
  var chunkNames: [Digest: String] = [:]

  private mutating func free(_ name: String) {
    if let task = tasks[name], task.state == .blocked, isFree(task) { tasks[name]?.state = .ready }
  }

  private mutating func revive(_ name: String) {
    tasks[name]?.state = .blocked
    tasks[name]?.failures = 0
    tasks[name]?.notBefore = nil
    free(name)
  }

  // MARK: The leader

  mutating func lead(_ holder: String, for seconds: Double) -> Int? {
    guard leader.holder == holder || leader.until <= now else { return nil }
    leader = (holder, leader.token + 1, now + seconds)
    return leader.token
  }

  mutating func dispatch(_ policy: DispatchPolicy) -> [(task: String, dispatch: Int, sweep: String)] {
    var said: [(String, Int, String)] = []
    for task in inOrder where task.state == .queued && said.count < policy.limit {
      let wait = policy.redispatchAfter * [1, 1, 2, 4, 8, 16, 32, 64][min(task.unanswered, 7)]
      let sweep = users(of: task.name).filter { $0.state == .active }.min {
        (rank($0.priority), $0.number) < (rank($1.priority), $1.number)
      }
      guard let sweep, task.dispatchedAt.map({ $0 + wait <= now }) ?? true else { continue }
      said.append((task.name, queue(task.name, sweep), sweep.name))
    }
    var flying: [String: Int] = [:]
    for task in tasks.values where task.state == .queued || task.state == .running {
      for sweep in users(of: task.name) { flying[sweep.name, default: 0] += 1 }
    }
    for priority in SweepPriority.allCases {
      while said.count < policy.limit {
        let queued = tasks.values.filter { task in
          task.state == .queued && rank(task.queue ?? .low) <= rank(priority)
            && users(of: task.name).contains { $0.state == .active }
        }
        guard queued.count < policy.window else { break }
        let candidates = sweeps.values.filter { $0.state == .active && $0.priority == priority }
          .sorted { (flying[$0.name, default: 0], $0.number) < (flying[$1.name, default: 0], $1.number) }
        var next: (task: String, sweep: Sweep)?
        for sweep in candidates where next == nil {
          let ready = inOrder.first {
            sweep.tasks.contains($0.name) && $0.state == .ready && ($0.notBefore ?? 0) <= now
          }
          next = ready.map { ($0.name, sweep) }
        }
        guard let next else { break }
        said.append((next.task, queue(next.task, next.sweep), next.sweep.name))
        flying[next.sweep.name, default: 0] += 1
      }
    }
    return said
  }

  private func rank(_ priority: SweepPriority) -> Int { priority == .high ? 0 : priority == .normal ? 1 : 2 }

  private mutating func queue(_ name: String, _ sweep: Sweep) -> Int {
    guard var task = tasks[name] else { return 0 }
    task.state = .queued
    task.queue = sweep.priority
    task.dispatch += 1
    task.unanswered += 1
    task.dispatchedAt = now
    task.notBefore = nil
    tasks[name] = task
    return task.dispatch
  }

  mutating func undispatch(_ name: String, _ dispatch: Int) {
    guard let task = tasks[name], task.state == .queued, task.dispatch == dispatch else { return }
    clearQueue(name)
    tasks[name]?.state = .ready
  }

  private mutating func clearQueue(_ name: String) {
    tasks[name]?.queue = nil
    tasks[name]?.dispatchedAt = nil
    tasks[name]?.unanswered = 0
    tasks[name]?.notBefore = nil
  }

  mutating func reap(limit: Int, everyLease: Bool) -> [String: TaskState] {
    var reaped: [String: TaskState] = [:]
    for task in inOrder where task.state == .running && (everyLease || (task.leaseUntil ?? 0) <= now) {
      reaped[task.name] = countFailure(task.name, parks: task.failures + 1 >= limit, notBefore: now)
    }
    return reaped
  }

  mutating func settle() -> [String: SweepState] {
    var ended: [String: SweepState] = [:]
    for sweep in sweeps.values where sweep.state == .active {
      let states = Set(sweep.tasks.compactMap { tasks[$0]?.state })
      guard states.isDisjoint(with: [.ready, .queued, .running]) else { continue }
      let end: SweepState = states.isSubset(of: [.done]) ? .done : .doneWithParked
      sweeps[sweep.name]?.state = end
      ended[sweep.name] = end
    }
    return ended
  }

  // MARK: Workers

  mutating func claim(_ names: [String], _ worker: String, for seconds: Double) -> [(task: String, lease: Int)]? {
    guard let numerics = workers[worker] else { return nil }
    var claimed: [(String, Int)] = []
    for name in names {
      guard let task = tasks[name], task.state == .queued || (task.state == .ready && (task.notBefore ?? 0) <= now),
        users(of: name).contains(where: { $0.state == .active && $0.numericsVersion == numerics })
      else { continue }
      clearQueue(name)
      tasks[name]?.state = .running
      tasks[name]?.lease = nextLease
      tasks[name]?.worker = worker
      tasks[name]?.leaseUntil = now + seconds
      claimed.append((name, nextLease))
      nextLease += 1
    }
    return claimed
  }

  mutating func heartbeat(_ worker: String, for seconds: Double) -> (held: Set<String>, cancelled: Set<String>)? {
    guard workers[worker] != nil else { return nil }
    var (held, cancelled): (Set<String>, Set<String>) = ([], [])
    for task in tasks.values where task.state == .running && task.worker == worker {
      if isWanted(task.name) {
        tasks[task.name]?.leaseUntil = now + seconds
        held.insert(task.name)
      } else {
        leave(task.name, .cancelled)
        cancelled.insert(task.name)
      }
    }
    return (held, cancelled)
  }

  private mutating func leave(_ name: String, _ state: TaskState) {
    tasks[name]?.state = state
    tasks[name]?.lease = nil
    tasks[name]?.worker = nil
    tasks[name]?.leaseUntil = nil
  }

  private mutating func countFailure(_ name: String, parks: Bool, notBefore: Double) -> TaskState {
    let state: TaskState = !isWanted(name) ? .cancelled : parks ? .parked : .ready
    tasks[name]?.failures += 1
    leave(name, state)
    if state == .ready { tasks[name]?.notBefore = notBefore }
    return state
  }

  mutating func finish(_ name: String, _ lease: Int, _ worker: String) -> FinishOutcome {
    guard holds(name, lease, worker) else { return .fenced }
    leave(name, .done)
    tasks[name]?.finishedBy = lease
    for other in tasks.keys { free(other) }
    return .done
  }

  mutating func fail(
    _ name: String, _ lease: Int, _ worker: String, _ fault: TaskFailure.Fault, _ policy: RetryPolicy, jitter: Double
  ) -> FailOutcome {
    guard holds(name, lease, worker), let failures = tasks[name]?.failures else { return .fenced }
    let delay =
      min(policy.longest, policy.base * [1, 1, 2, 4, 8, 16, 32, 64][min(failures + 1, 7)]) * (0.5 + 0.5 * jitter)
    let parks = fault == .task || failures + 1 >= policy.failureLimit
    return switch countFailure(name, parks: parks, notBefore: now + delay) {
    case .parked: .parked
    case .cancelled: .cancelled
    default: .retry(notBefore: now + delay)
    }
  }

  mutating func release(_ name: String, _ lease: Int, _ worker: String) {
    if holds(name, lease, worker) { leave(name, isWanted(name) ? .ready : .cancelled) }
  }

  mutating func deregister(_ worker: String) {
    workers[worker] = nil
    for task in tasks.values where task.worker == worker { leave(task.name, isWanted(task.name) ? .ready : .cancelled) }
  }

  // MARK: Control

  mutating func pause(_ name: String) -> SweepState? {
    if sweeps[name]?.state == .active || sweeps[name]?.state == .planning { sweeps[name]?.state = .paused }
    return sweeps[name]?.state
  }

  mutating func resume(_ name: String) -> SweepState? {
    guard let sweep = sweeps[name], sweep.state == .paused else { return sweeps[name]?.state }
    for task in sweep.tasks where tasks[task]?.state == .queued { tasks[task]?.dispatchedAt = nil }
    sweeps[name]?.state = sweep.isPlanned ? .active : .planning
    return sweeps[name]?.state
  }

  mutating func cancel(_ name: String) -> SweepState? {
    guard let sweep = sweeps[name], [.active, .planning, .paused].contains(sweep.state) else {
      return sweeps[name]?.state
    }
    sweeps[name]?.state = .cancelled
    cancelUnwanted(sweep.tasks)
    return .cancelled
  }

  private mutating func cancelUnwanted(_ names: Set<String>) {
    for name in names where !isWanted(name) {
      if let state = tasks[name]?.state, [.blocked, .ready, .queued].contains(state) {
        clearQueue(name)
        tasks[name]?.state = .cancelled
      }
    }
  }

  mutating func retry(_ name: String) -> SweepState? {
    guard let sweep = sweeps[name] else { return nil }
    let revivable: Set<TaskState> = sweep.state == .cancelled ? [.parked, .cancelled] : [.parked]
    for task in sweep.tasks where tasks[task].map({ revivable.contains($0.state) }) ?? false {
      revive(task)
      for user in users(of: task) where user.state == .doneWithParked { sweeps[user.name]?.state = .active }
    }
    if sweep.state == .cancelled { sweeps[name]?.state = sweep.isPlanned ? .active : .planning }
    return sweeps[name]?.state
  }

  mutating func delete(_ name: String) -> Bool {
    guard let sweep = sweeps.removeValue(forKey: name) else { return false }
    for task in sweep.tasks where users(of: task).isEmpty { tasks[task] = nil }
    cancelUnwanted(sweep.tasks.filter { tasks[$0] != nil })
    return true
  }
}
