package import Messaging
package import Storage
package import SweepRecords

/// A whole sweep in this process: `steerscope run`. The same coordinator and worker as on a cluster, with a queue in
/// memory
/// between them.
package actor EmbeddedRun {
  /// How a run ended.
  package enum Outcome: Sendable, Equatable {
    case done
    /// Some tasks failed for good: exit status 3.
    case doneWithParked
    /// Someone cancelled the sweep.
    case cancelled
    /// Stopped from outside; run again, it continues: exit status 130.
    case interrupted
    /// Nothing is left that this machine can do, and why.
    case stuck(reason: String)
  }

  package struct Settings: Sendable {
    package var coordinator = Coordinator.Settings()
    package var worker = Worker.Settings()
    /// How long a running task may go on after `stop`.
    package var drain: Duration = .seconds(5)
    /// How often the store is asked how far the sweep is.
    package var progressEvery: Duration = .seconds(1)
    /// How often, at least, progress is reported.
    package var reportEvery: Duration = .milliseconds(200)

    package init() {
      coordinator.isAlone = true
      coordinator.redispatchAfter = 600
      coordinator.window = DispatchWindow(perWorker: 64)
      coordinator.storeAttempts = 8
      worker.isAlone = true
      worker.storeAttempts = 8
    }
  }

  private let sweep: SweepID
  private let settings: Settings
  private let store: any ResultStore
  private let coordinator: Coordinator
  private let worker: Worker
  private let threads: Int
  private var lock: RunLock?
  private let time: Timekeeper
  private let report: @Sendable (RunProgress) -> Void
  private let board: RunBoard
  private var isInterrupted = false

  /// - Parameters:
  ///   - sweep: a submitted sweep.
  ///   - lock: the proof that nobody else runs on this database: what an earlier run held is taken over at once. Let go
  ///   when the run ends.
  ///   - progress: called a few times a second, and at the end.
  package init(
    _ sweep: SweepID, lock: consuming RunLock, worker registration: WorkerRegistration, settings: Settings = Settings(),
    store: any ResultStore, queue: any TaskQueue = InProcessQueue(), executor: any TaskExecutor,
    expander: any SweepExpander, files: any FileResolver, time: Timekeeper = .continuous(),
    log: @escaping LogSink = { _ in }, progress: @escaping @Sendable (RunProgress) -> Void = { _ in }
  ) {
    self.sweep = sweep
    self.settings = settings
    self.store = store
    self.lock = .some(lock)
    self.time = time
    threads = registration.threads
    report = progress
    let board = RunBoard(sweep: sweep)
    self.board = board
    var leading = settings.coordinator
    leading.only = sweep
    let coordinator = Coordinator(
      settings: leading, store: store, queue: queue, expander: expander, holder: "embedded run",
      time: time, log: log, events: { board.note($0) })
    self.coordinator = coordinator
    worker = Worker(
      registration, settings: settings.worker, store: store, queue: queue, executor: executor, files: files,
      time: time, log: log,
      events: { event in
        board.note(event)
        if case .settled = event { coordinator.poke() }
      })
  }

  /// Runs the sweep to its end; called once. A paused or cancelled one is taken up again; one that has ended ends at
  /// once.
  package func run() async throws -> Outcome {
    defer { lock = nil }
    switch try await summary()?.state {
    case .paused: _ = try await store.resume(sweep)
    case .cancelled: _ = try await store.retry(sweep)
    case .done, .doneWithParked, .planning, .active, nil: break
    }
    guard !isInterrupted else { return .interrupted }
    if let outcome = Self.outcome(of: try await look()) { return outcome }
    return try await withThrowingTaskGroup(of: Part.self) { group in
      group.addTask {
        try await self.coordinator.run()
        return .coordinator
      }
      group.addTask {
        try await self.worker.run()
        return .worker
      }
      group.addTask { .watch(try await self.watch()) }
      do {
        var outcome: Outcome?
        while let part = try await group.next() {
          switch part {
          case .watch(let end):
            outcome = end
            await worker.stop()
          case .worker:
            await coordinator.stop()
            board.close()
          case .coordinator: break
          }
        }
        return outcome ?? .interrupted
      } catch {
        await worker.stop()
        await coordinator.stop()
        board.close()
        throw error
      }
    }
  }

  /// Stops the run: the first time it lets the running task end if that is soon, the second time it does not.
  package func stop() async {
    if isInterrupted { return await worker.stop() }
    isInterrupted = true
    await worker.drain(within: settings.drain)
  }

  private enum Part: Sendable {
    case coordinator, worker
    case watch(Outcome?)
  }

  private func summary() async throws -> SweepSummary? { try await store.findSweep(sweep.text) }

  private static func outcome(of progress: RunProgress) -> Outcome? {
    switch progress.state {
    case .done: .done
    case .doneWithParked: .doneWithParked
    case .cancelled: .cancelled
    case .planning, .active, .paused: nil
    }
  }

  /// Reports progress until the sweep ends, or nothing more can be done here; nil when the run was stopped.
  private func watch() async throws -> Outcome? {
    let began = time.now()
    var latest = try await look()
    var looked = began
    while true {
      await board.wake.wait(atMost: settings.reportEvery, time)
      let state = board.snapshot()
      if state.isClosed || Task.isCancelled { return nil }
      let now = time.now()
      if state.hasEnded || state.unplannable != nil || now - looked >= settings.progressEvery {
        board.startCounting()
        latest = try await look(rateOver: min(60, max(1, (now - began).inSeconds)))
        looked = now
        report(latest)
        if let outcome = Self.outcome(of: latest) { return outcome }
        if let reason = state.unplannable { return .stuck(reason: reason) }
        if let reason = await hindrance(latest) { return .stuck(reason: reason) }
      } else {
        var shown = latest
        shown.done = min(shown.total, shown.done + state.doneSince)
        shown.current = state.current
        report(shown)
      }
    }
  }

  /// How far the sweep is now.
  private func look(rateOver seconds: Double = 1) async throws -> RunProgress {
    guard let summary = try await summary() else { throw StoreError(.missing, "sweep \(sweep) is not there any more") }
    let progress = try await store.progress(of: sweep, rateOver: seconds)
    let total = { (counts: [TaskState: Int]) in counts.reduce(0) { $0 + ($1.key == .cancelled ? 0 : $1.value) } }
    let counts = progress.counts
    openTasks = (counts[.running, default: 0], counts[.ready, default: 0] + counts[.queued, default: 0])
    return RunProgress(
      sweep: sweep, state: summary.state,
      stages: progress.stages.map { .init(kind: $0.kind, done: $0.counts[.done, default: 0], total: total($0.counts)) },
      done: counts[.done, default: 0], total: total(counts), parked: counts[.parked, default: 0],
      rate: Double(progress.finishedRecently) / seconds,
      secondsLeft: progress.secondsLeft(workers: 1, threads: threads), current: board.snapshot().current,
      troubles: await worker.troubles)
  }

  /// What was running, and what could have, at the last look.
  private var openTasks: (running: Int, startable: Int) = (0, 0)

  /// Why nothing goes on, when all that could run needs what this machine doesn't have: here there is no other.
  private func hindrance(_ progress: RunProgress) async -> String? {
    guard progress.state == .active, openTasks.running == 0, openTasks.startable > 0 else { return nil }
    let avoided = await worker.avoided
    guard avoided.tasks >= openTasks.startable || avoided.failuresInARow >= 3 else { return nil }
    return progress.troubles.joined(separator: "; ")
  }
}
