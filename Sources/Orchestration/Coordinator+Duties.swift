internal import Diagnostics
internal import Messaging
internal import Storage
internal import SweepRecords

/// What a leader does.
extension Coordinator {
  /// Plans the next piece of a sweep that is not planned yet, a piece a time so that the lead is renewed in between.
  func expand() async throws {
    let now = time.now()
    if planning == nil {
      let open = try await trying("sweeps") { try await store.sweeps(in: .planning) }
      // The oldest first; those that could not be planned wait.
      let next = open.last { sweep in
        sweep.id == settings.only ?? sweep.id && unplannable[sweep.id].map { $0.until <= now } ?? true
      }
      hasPlanned = next == nil
      guard let next else { return schedule.did(.expand, at: now) }
      planning = try await trying("submission") { try await store.submission(of: next.id) }
    }
    guard let submission = planning else { return }
    let sweep = submission.summary
    do {
      let (tasks, next) = try expander.chunk(
        of: submission.resolved, from: sweep.cursor, limit: settings.chunk)
      if let next, next <= sweep.cursor { throw StoreError(.internal, "the plan does not go on after \(sweep.cursor)") }
      let chunk = PlanChunk(from: sweep.cursor, to: next ?? sweep.cursor + 1, tasks: tasks, isLast: next == nil)
      let reply = try await trying("expand") { try await store.expand(sweep.id, with: chunk, as: leaderToken()) }
      log(
        LogEntry(
          .info, "planned a piece", sweep: sweep.id,
          details: ["tasks": "\(tasks.count)", "new": "\(reply.inserted)", "done": "\(reply.alreadyDone)"]))
      planning?.summary.cursor = reply.cursor
      if reply.state != .planning { planning = nil }
      if unplannable.removeValue(forKey: sweep.id) != nil || sweep.problem != nil {
        planning?.summary.problem = nil
        try await trying("note") { try await store.note(problem: nil, of: sweep.id, as: leaderToken()) }
      }
      schedule.did(.expand, at: time.now(), again: true)
      if reply.state == .active { hurry(.dispatch) }
    } catch let error as StoreError where error.code == .notLeader || error.isTransient {
      throw error
    } catch {
      try await cannotPlan(sweep.id, "\(error)")
    }
  }

  private func cannotPlan(_ sweep: SweepID, _ reason: String) async throws {
    planning = nil
    schedule.did(.expand, at: time.now())
    var backoff = unplannable[sweep]?.backoff ?? Backoff(first: .seconds(10), longest: .seconds(600))
    unplannable[sweep] = (time.now() + backoff.failed(jitter: time.jitter()), backoff)
    log(LogEntry(.error, "a sweep can't be planned", sweep: sweep, details: ["error": reason]))
    events(.unplannable(sweep, reason: reason))
    try await trying("note") {
      try await store.note(problem: "it can't be planned: \(reason)", of: sweep, as: leaderToken())
    }
  }

  /// Moves what is ready to `queued`, then rings for it; what no queue took goes back (protocol.md 4).
  func dispatch() async throws {
    guard await haveQueues() else { return }
    let now = time.now()
    // What is planned meanwhile may share tasks that an earlier process had queued: the first dispatch takes all.
    if settings.isAlone, isFirstDispatch, !hasPlanned {
      return schedule.postpone(.dispatch, until: now + .milliseconds(20))
    }
    // Alone, all that is queued was queued by a process that is gone: its messages went with it.
    let ringsAll = isFirstDispatch && settings.isAlone
    // While messages are not taken, one tries whether they are again.
    let limit = publishing.failures > 0 ? 1 : ringsAll ? 1_000_000 : 1000
    let policy = DispatchPolicy(
      window: window.size, redispatchAfter: ringsAll ? 0 : settings.redispatchAfter, limit: limit,
      only: settings.only)
    let tasks = try await trying("dispatch") { try await store.dispatch(policy, as: leaderToken()) }
    isFirstDispatch = false
    window.dispatched(tasks.count, at: now)
    guard !tasks.isEmpty else {
      schedule.did(.dispatch, at: now)
      // Nothing came: perhaps because nothing is left.
      return hurry(.settle)
    }
    let outcomes = await queue.publish(try tasks.map(Self.message))
    let lost = zip(tasks, outcomes).filter { $1 != .confirmed }
    events(.dispatched(tasks.count - lost.count))
    guard let first = lost.first else {
      publishing.succeeded()
      schedule.did(.dispatch, at: now, again: tasks.count == limit)
      // The window was empty: more of it is emptied before long.
      if tasks.count * 2 >= window.size { schedule.postpone(.dispatch, until: now + settings.dispatchEvery / 5) }
      return
    }
    events(.notTaken(lost.count))
    log(
      LogEntry(
        .warning, "messages were not taken", details: ["count": "\(lost.count)", "first": "\(first.1)"]))
    if lost.contains(where: { $1 == .returned }) { hasQueues = false }
    // Those whose fate is unknown too: who has the message claims the task whatever its dispatch is, and a second
    // message finds nothing.
    let wait = publishing.failed(jitter: time.jitter())
    try await trying("undispatch") { try await store.undispatch(lost.map(\.0.id), as: leaderToken()) }
    schedule.postpone(.dispatch, until: time.now() + wait)
  }

  /// Whether the broker has the queues, as far as is known; declares them where not.
  private func haveQueues() async -> Bool {
    guard !hasQueues else { return true }
    do {
      try await declareQueues()
      hasQueues = true
      return true
    } catch {
      log(LogEntry(.warning, "could not declare the queues", details: ["error": error.description]))
      schedule.postpone(.dispatch, until: time.now() + publishing.failed(jitter: time.jitter()))
      return false
    }
  }

  private static func message(of task: DispatchedTask) throws -> OutgoingMessage {
    // What the work covers is for people: a work that can't be read is the worker's to park.
    var message = TaskMessage(
      sweep: task.sweep.text, task: task.id.task.number, dispatch: task.id.dispatch, kind: task.kind, layer: task.layer)
    if let work = try? TaskWork(canonicalJSON: task.work) {
      message = TaskMessage(
        sweep: message.sweep, task: message.task, dispatch: message.dispatch, kind: task.kind, layer: task.layer,
        work: work)
    }
    return OutgoingMessage(id: message.id, priority: task.priority, body: try message.body())
  }

  func reap() async throws {
    var policy = settings.reap
    policy.everyLease = policy.everyLease || (settings.isAlone && isFirstReap)
    let reaped = try await store.reap(policy, as: leaderToken())
    isFirstReap = false
    for task in reaped {
      log(
        LogEntry(
          task.state == .parked ? .error : .warning, "took a lease away", sweep: task.sweep, task: task.lease.task,
          attempt: task.lease.token, worker: task.worker,
          details: ["state": task.state.rawValue, "error": task.error]))
    }
    schedule.did(.reap, at: time.now())
    guard !reaped.isEmpty else { return }
    events(.leasesExpired(reaped.count, parked: reaped.count { $0.state == .parked }))
    hurry(.dispatch)
  }

  func settle() async throws {
    for sweep in try await store.settleSweeps(as: leaderToken()) {
      log(LogEntry(.info, "a sweep ended", sweep: sweep.id, details: ["state": sweep.state.rawValue]))
      events(.ended(sweep))
    }
    schedule.did(.settle, at: time.now())
  }

  func recount() async throws {
    for wrong in try await store.recomputeCounters(as: leaderToken()) {
      log(
        LogEntry(
          .error, "a dependency counter was wrong",
          details: ["group": "\(wrong.group)", "stored": "\(wrong.stored)", "counted": "\(wrong.counted)"]))
    }
    schedule.did(.recount, at: time.now())
  }
}
