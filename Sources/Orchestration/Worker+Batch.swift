internal import Foundation
internal import Messaging
internal import Storage
internal import SweepRecords

/// What a worker does with a batch of messages.
extension Worker {
  /// Claims the tasks, computes them, stores what came out; acknowledges each message when its task is dealt with.
  func handle(_ deliveries: [Delivery], from consumer: any TaskConsumer) async throws {
    var tags = await read(deliveries, from: consumer)
    guard !tags.isEmpty else { return }
    var claimed = try await claim(tags.keys.sorted())
    let wanted = Set(claimed.map(\.lease.task))
    let unwanted = tags.filter { !wanted.contains($0.key) }
    if !unwanted.isEmpty {
      tally.dropped += unwanted.values.reduce(0) { $0 + $1.count }
      await consumer.acknowledge(unwanted.values.flatMap { $0 })
      await learn(from: unwanted.keys.sorted())
    }

    // The short ones first; what is too much for one batch others may do at once.
    claimed.sort { (batch.expected($0.kind), $0.lease.task) < (batch.expected($1.kind), $1.lease.task) }
    let fitting = batch.fitting(claimed.map(\.kind))
    if fitting < claimed.count {
      try await giveBack(claimed[fitting...].map(\.lease), reason: "too much for one batch")
      await acknowledge(claimed[fitting...].map(\.lease.task), &tags, consumer)
      claimed.removeSubrange(fitting...)
    }
    var finished: [FinishedTask] = []
    let start = time.now()
    for (index, task) in claimed.enumerated() {
      // Tasks that turned out long would keep the rest of the batch from other workers.
      let isLate = index > 0 && (time.now() - start).inSeconds > 8 * batch.target
      if isLate || phase == .stopping {
        try await giveBack(claimed[index...].map(\.lease), reason: isLate ? "its batch took long" : "shutdown")
        break
      }
      guard table.holds(task.lease) else { continue }
      // What is made does not wait for what takes long.
      if batch.expected(task.kind) >= batch.target { try await keep(&finished, &tags, consumer) }
      let began = time.now()
      switch await perform(task) {
      case .success(let result): finished.append(FinishedTask(lease: task.lease, result: result))
      case .failure(let fault): try await settle(fault, of: task)
      }
      if let unfit { await declareUnfit(unfit) }
      batch.took((time.now() - began).inSeconds, task.kind)
      if (time.now() - start).inSeconds > batch.target { try await keep(&finished, &tags, consumer) }
    }
    try await finish(finished)
    await acknowledge(claimed.map(\.lease.task), &tags, consumer)
  }

  private func keep(
    _ finished: inout [FinishedTask], _ tags: inout [TaskID: [DeliveryTag]], _ consumer: any TaskConsumer
  ) async throws {
    guard !finished.isEmpty else { return }
    try await finish(finished)
    await acknowledge(finished.map(\.lease.task), &tags, consumer)
    finished = []
  }

  private func acknowledge(
    _ tasks: [TaskID], _ tags: inout [TaskID: [DeliveryTag]], _ consumer: any TaskConsumer
  ) async {
    let settled = tasks.flatMap { tags.removeValue(forKey: $0) ?? [] }
    if !settled.isEmpty { await consumer.acknowledge(settled) }
  }

  /// The tasks that messages ring for, with the deliveries of each. What can't be read goes to the dead letters; what
  /// this
  /// worker could not do a while ago is dropped, to be dispatched again later.
  private func read(_ deliveries: [Delivery], from consumer: any TaskConsumer) async -> [TaskID: [DeliveryTag]] {
    var tags: [TaskID: [DeliveryTag]] = [:]
    for delivery in deliveries {
      do throws(DeadLetter) {
        let task = TaskID(try TaskMessage(parsing: delivery.body).task)
        if readiness.avoids(task, now: time.now()) {
          tally.dropped += 1
          await consumer.acknowledge([delivery.tag])
        } else {
          tags[task, default: []].append(delivery.tag)
        }
      } catch {
        tally.deadLetters += 1
        events(.deadLetter(error.reason))
        log(
          LogEntry(
            .error, "a message can't be read", worker: id,
            details: [
              "reason": error.reason.rawValue, "error": error.description, "id": String(delivery.id.prefix(80)),
            ]))
        await consumer.reject(delivery.tag, because: error)
      }
    }
    return tags
  }

  private func claim(_ tasks: [TaskID]) async throws -> [ClaimedTask] {
    table.claimBegan()
    let began = time.now()
    var claimed: [ClaimedTask] = []
    defer { table.claimEnded(claimed.map(\.lease)) }
    claimed = try await retry("claim", while: { phase < .stopping }) {
      try await store.claim(tasks, worker: id, for: settings.lease)
    }
    for task in claimed { sweeps[task.lease] = task.sweeps.first }
    if !claimed.isEmpty { events(.claimed(claimed.count, seconds: (time.now() - began).inSeconds)) }
    return claimed
  }

  /// Why tasks could not be claimed: as a rule a message came twice; but a worker whose arithmetic no sweep wants should
  /// not go on taking messages from those who can.
  private func learn(from tasks: [TaskID]) async {
    guard let misses = try? await store.claimMisses(tasks, worker: id), !misses.isEmpty else { return }
    events(.missed(misses.values.reduce(into: [:]) { $0[$1, default: 0] += 1 }))
    guard let (task, _) = misses.first(where: { $0.value == .otherNumerics }) else { return }
    let fault = TaskFault(
      .worker,
      "a sweep was planned for another numerics version than \(registration.numericsVersion), which this worker computes: "
        + "run workers of the version that submitted it, or submit it anew")
    readiness.failed(fault, task: task, now: time.now(), jitter: time.jitter())
    log(LogEntry(.warning, "a task is for another numerics version", task: task, worker: id))
  }

  /// Fetches a task's inputs and computes it.
  private func perform(_ task: ClaimedTask) async -> Result<TaskResult, TaskFault> {
    events(.started(task.lease.task, title: task.title))
    log(entry(.debug, "a task started", task, ["title": task.title]))
    do {
      let work: TaskWork
      do { work = try TaskWork(canonicalJSON: task.work) } catch {
        throw TaskFault(.task, "its work can't be read: \(error)")
      }
      if let objection = readiness.objection(to: work.inputs, now: time.now()) { throw objection }
      let inputs = try await retry("inputs", while: { table.holds(task.lease) && phase < .stopping }) {
        try await fetcher.inputs(of: work, files: task.files)
      }
      let result = try await compute(work, inputs, task).get()
      try Self.check(result)
      readiness.succeeded(with: work.inputs)
      return .success(result)
    } catch let fault as TaskFault {
      return .failure(fault)
    } catch let error as StoreError where error.isTransient {
      return .failure(TaskFault(.transient, error.description))
    } catch is CancellationError {
      return .failure(TaskFault(.stopped, "the worker was cancelled"))
    } catch {
      return .failure(TaskFault(.task, "\(error)"))
    }
  }

  private func compute(
    _ work: TaskWork, _ inputs: TaskInputs, _ task: ClaimedTask
  ) async -> Result<TaskResult, TaskFault> {
    guard table.holds(task.lease), phase < .stopping else {
      return .failure(TaskFault(.stopped, "stopped before it began"))
    }
    let monitor = RunningTask { [events] in events(.advanced(task.lease.task, fraction: $0)) }
    let job = ComputeJob(name: task.kind.rawValue) { [executor] in
      Result { () throws(TaskFault) in try executor.execute(work, inputs: inputs, monitor: monitor) }
    }
    running[task.lease] = (monitor, { job.abandon() })
    let began = time.now()
    let watch = hasLimits ? Task { await watchLimits(of: task.lease, since: began) } : nil
    defer {
      running[task.lease] = nil
      watch?.cancel()
    }
    let result = await withTaskCancellationHandler {
      await job.result
    } onCancel: {
      // A thread hears of nothing by itself.
      Task { await self.stop() }
    }
    let overrun = overruns.removeValue(forKey: task.lease)
    if case .success(let made) = result {
      events(.computed(task.kind, seconds: (time.now() - began).inSeconds, made.effort))
    } else if let overrun {
      note(overrun, hasStopped: result != nil)
      return .failure(Self.fault(of: overrun, task: task, host: registration.host))
    }
    return result ?? .failure(TaskFault(.stopped, "did not stop in time"))
  }

  /// A number that is not finite says that the computation went wrong, and would anywhere.
  private static func check(_ result: TaskResult) throws(TaskFault) {
    for row in result.rows {
      for (column, cell) in row.cells {
        if case .real(let value) = cell, !value.isFinite {
          throw TaskFault(.task, "\(row.table.rawValue).\(column) is not finite")
        }
      }
    }
  }

  // MARK: Ends

  /// Stores results in one transaction; where that can't be, each in its own, so that one bad row spoils one task.
  private func finish(_ finished: [FinishedTask]) async throws {
    let finished = finished.filter { table.holds($0.lease) }
    guard !finished.isEmpty else { return }
    table.endBegan(finished.map(\.lease))
    do {
      let began = time.now()
      let outcomes = try await retry("finish", while: { phase < .stopping }) {
        try await store.finish(finished, worker: id)
      }
      let rows = zip(finished, outcomes).reduce(0) { $0 + ($1.1 == .done ? $1.0.result.rows.count : 0) }
      events(
        .stored(
          tasks: outcomes.count { $0 == .done }, rows: rows, seconds: (time.now() - began).inSeconds))
      for (task, outcome) in zip(finished, outcomes) {
        if outcome == .fenced {
          log(
            LogEntry(
              .warning, "a result came too late", sweep: sweeps[task.lease], task: task.lease.task,
              attempt: task.lease.token, worker: id))
        } else {
          log(
            LogEntry(
              batch.size > 1 ? .debug : .info, "a task is done", sweep: sweeps[task.lease], task: task.lease.task,
              attempt: task.lease.token, worker: id))
        }
        settle(task.lease, outcome == .fenced ? .fenced : .done)
      }
    } catch let error as StoreError where !error.isTransient && error.code != .damaged {
      if finished.count > 1 {
        for task in finished { try await finish([task]) }
      } else {
        try await fail(finished[0].lease, .task, "its results can't be stored: \(error)")
      }
    }
  }

  /// Ends a task that came to nothing, by whose fault it was (protocol.md 9).
  private func settle(_ fault: TaskFault, of task: ClaimedTask) async throws {
    guard table.holds(task.lease) else { return }
    if fault.blame == .stopped, phase == .stopping {
      log(entry(.info, "a task is given back", task, ["reason": "the worker stops"]))
    } else {
      let level: LogEntry.Level = fault.blame == .task ? .error : .warning
      log(entry(level, "a task failed", task, ["blame": fault.blame.rawValue, "error": fault.message]))
    }
    switch fault.blame {
    case .task: try await fail(task.lease, .task, fault.message)
    case .transient: try await fail(task.lease, .transient, fault.message)
    case .worker:
      readiness.failed(fault, task: task.lease.task, now: time.now(), jitter: time.jitter())
      try await giveBack([task.lease], reason: fault.message)
      // The reason should be seen now, not at the next beat.
      try await beat()
    case .stopped:
      if phase == .stopping {
        try await giveBack([task.lease], reason: "shutdown")
      } else {
        try await fail(task.lease, .transient, "stopped without being told: \(fault.message)")
      }
    }
  }

  private func fail(_ lease: TaskLease, _ fault: TaskFailure.Fault, _ error: String) async throws {
    let failure = TaskFailure(lease: lease, fault: fault, error: error, jitter: time.jitter())
    table.endBegan([lease])
    let outcome = try await retry("fail", while: { phase < .stopping }) {
      try await store.fail(failure, worker: id, policy: settings.retry)
    }
    switch outcome {
    case .parked: settle(lease, .parked)
    case .retry: settle(lease, .retried)
    case .cancelled: settle(lease, .cancelled)
    case .fenced: settle(lease, .fenced)
    }
  }

  private func giveBack(_ leases: [TaskLease], reason: String) async throws {
    let leases = leases.filter { table.holds($0) }
    guard !leases.isEmpty else { return }
    table.endBegan(leases)
    try await retry("release", while: { phase < .stopping }) {
      try await store.release(leases, worker: id, reason: reason)
    }
    for lease in leases { settle(lease, .released) }
  }

  private func entry(
    _ level: LogEntry.Level, _ message: String, _ task: ClaimedTask, _ details: [String: String]
  ) -> LogEntry {
    LogEntry(
      level, message, sweep: task.sweeps.first, task: task.lease.task, attempt: task.lease.token, worker: id,
      details: details)
  }
}
