package import Messaging
package import Storage
package import SweepRecords

/// Runs tasks, one batch at a time: claims what messages ring for, fetches inputs, computes on a thread of its own,
/// stores
/// results, then acknowledges; meanwhile its heartbeat keeps the leases (protocol.md, 5-7, 9, 12).
package actor Worker {
  package struct Settings: Sendable {
    /// Seconds for which a task is leased; renewed every third.
    package var lease: Double = 45
    package var retry = RetryPolicy()
    package var batch = BatchSize()
    /// Bytes of artifacts that are kept for the next task.
    package var cacheCapacity = 256 << 20
    /// How long a task that was told to stop may take to do so before it is left behind.
    package var grace: Duration = .seconds(3)
    /// How often a call to the store is tried before the worker gives up; nil for no limit.
    package var storeAttempts: Int?
    /// There is no other worker that could do what this one can't.
    package var isAlone = false
    /// Seconds that a task may compute; nil for no limit.
    package var taskSeconds: Double?
    /// Bytes of memory that the process may use while a task runs; nil for no limit.
    package var memoryLimit: Int?
    /// How often a running task is looked at for its limits.
    package var watchEvery: Duration = .milliseconds(200)

    package init() {}
  }

  /// What an owner in the same process may want to know.
  package enum Event: Sendable, Equatable {
    case started(TaskID, title: String)
    /// The part of the task that is done, 0...1. From the task's thread.
    case advanced(TaskID, fraction: Double)
    case settled(TaskID, Settlement)
    /// So many tasks were claimed in one transaction that took so many seconds.
    case claimed(Int, seconds: Double)
    /// Messages whose task could not be claimed, by why.
    case missed([ClaimMiss: Int])
    /// A task's thread came to a result.
    case computed(TaskKind, seconds: Double, TaskEffort)
    /// Results of so many tasks were stored in one transaction that took so many seconds.
    case stored(tasks: Int, rows: Int, seconds: Double)
    /// A message that can't be read.
    case deadLetter(DeadLetter.Reason)
    /// A task used more than it may.
    case overran(TaskID, Overrun)
  }

  /// What a task used too much of.
  package enum Overrun: Sendable, Equatable {
    case time(limit: Double)
    /// In bytes.
    case memory(used: Int, limit: Int)
  }

  /// How a worker's service ended.
  package enum End: Sendable, Equatable {
    /// It was told to.
    case stopped
    /// The process is not fit to go on, and a new one would be: a task would not stop, or memory is not given back.
    case mustRestart(reason: String)
  }

  /// How a worker's dealings with a task ended.
  package enum Settlement: Sendable, Equatable {
    case done, parked, retried, released, fenced, cancelled
  }

  /// What has happened so far.
  package struct Tally: Sendable, Equatable {
    package var done = 0
    package var parked = 0
    package var retried = 0
    package var released = 0
    /// Results that came too late, and leases lost on the way.
    package var fenced = 0
    package var cancelled = 0
    /// Messages whose task was someone else's, or nobody's.
    package var dropped = 0
    package var deadLetters = 0
    package init() {}
  }

  enum Phase: Int, Comparable {
    case serving, draining, stopping
    static func < (a: Phase, b: Phase) -> Bool { a.rawValue < b.rawValue }
  }

  package let registration: WorkerRegistration
  package nonisolated var id: WorkerID { registration.id }
  let settings: Settings
  let store: any ResultStore
  let queue: any TaskQueue
  let executor: any TaskExecutor
  let fetcher: InputFetcher
  let time: Timekeeper
  let log: LogSink
  let events: @Sendable (Event) -> Void
  /// Bytes of memory that the process uses; nil where it can't be told.
  let memoryInUse: @Sendable () -> Int?
  /// Bytes that it may use before the system ends it.
  private let memoryAvailable: Int
  nonisolated let wake = WakeSignal()

  var phase = Phase.serving
  var table = LeaseTable()
  var readiness: WorkerReadiness
  var batch: BatchSize
  var running: [TaskLease: (monitor: RunningTask, abandon: @Sendable () -> Void)] = [:]
  /// Which sweep each lease is for, for the log.
  var sweeps: [TaskLease: SweepID] = [:]
  /// What running tasks used too much of.
  var overruns: [TaskLease: Overrun] = [:]
  /// Not nil: this process should not go on, and why.
  var unfit: String?
  package internal(set) var tally = Tally()
  /// When the store last answered a heartbeat.
  private var lastBeat: Duration?
  private var consumer: (any TaskConsumer)?
  private var prefetch = 0
  private var connecting = Backoff()
  private var hasConsumed = false
  private var deadline: Task<Void, Never>?

  /// - Parameter artifacts: where artifacts are kept on this machine's disk; nil for nowhere.
  package init(
    _ registration: WorkerRegistration, settings: Settings = Settings(), store: any ResultStore,
    queue: any TaskQueue, executor: any TaskExecutor, files: any FileResolver,
    artifacts: ArtifactFolder? = nil, memoryInUse: @escaping @Sendable () -> Int? = { ProcessMemory.inUse },
    memoryAvailable: Int = ProcessMemory.available,
    time: Timekeeper = .continuous(), log: @escaping LogSink = { _ in },
    events: @escaping @Sendable (Event) -> Void = { _ in }
  ) {
    self.registration = registration
    self.settings = settings
    self.store = store
    self.queue = queue
    self.executor = executor
    fetcher = InputFetcher(
      store: store, files: files, cacheCapacity: settings.cacheCapacity, folder: artifacts)
    self.memoryInUse = memoryInUse
    self.memoryAvailable = memoryAvailable
    self.time = time
    self.log = log
    self.events = events
    batch = settings.batch
    readiness = WorkerReadiness(isAlone: settings.isAlone)
  }

  var retry: StoreRetry { StoreRetry(attempts: settings.storeAttempts, time: time, log: log) }

  /// Serves until it is stopped or its task is cancelled, then signs off.
  ///
  /// - Throws: what no waiting mends: a damaged store, a fault in this program.
  @discardableResult
  package func run() async throws -> End {
    try await start()
    do {
      try await withThrowingTaskGroup { group in
        group.addTask { try await self.beatUntilCancelled() }
        group.addTask { try await self.serve() }
        defer { group.cancelAll() }
        try await group.next()
      }
    } catch is CancellationError {
      await signOff()
      return .stopped
    } catch let error as StoreError where error.isTransient && phase == .stopping {
      // What could not be given back goes by lease.
      await signOff()
      return .stopped
    } catch {
      await signOff()
      throw error
    }
    await signOff()
    return unfit.map { .mustRestart(reason: $0) } ?? .stopped
  }

  /// Enters the worker in the store; before the first `step`.
  package func start() async throws {
    try await retry("register", while: { phase < .stopping }) { try await store.register(registration) }
    lastBeat = time.now()
    log(LogEntry(.info, "a worker started", worker: id, details: ["host": registration.host]))
  }

  /// Stops consuming; what runs may finish within the deadline, then `stop` follows. Safe to repeat.
  package func drain(within limit: Duration) async {
    guard phase == .serving else { return }
    phase = .draining
    log(LogEntry(.info, "draining", worker: id, details: ["seconds": "\(limit.inSeconds)"]))
    deadline = Task { [weak self, time] in
      guard (try? await time.sleep(limit)) != nil else { return }
      await self?.stop()
    }
    wake.ring()
    await consumer?.stop()
  }

  /// Stops at once: tells what runs to stop, gives it back. Safe to repeat.
  package func stop() async {
    guard phase < .stopping else { return }
    phase = .stopping
    for task in running.values { task.monitor.stop() }
    deadline?.cancel()
    deadline = Task { [weak self, time, grace = settings.grace] in
      guard (try? await time.sleep(grace)) != nil else { return }
      await self?.abandonAll()
    }
    wake.ring()
    await consumer?.stop()
  }

  /// Stops without waiting for what runs.
  package func stopAtOnce() async {
    await stop()
    abandonAll()
  }

  private func abandonAll() {
    for task in running.values { task.abandon() }
  }

  /// Gives back what is left and says good-bye, as far as store and queue can still be reached.
  private func signOff() async {
    deadline?.cancel()
    for task in running.values {
      task.monitor.stop()
      task.abandon()
    }
    do {
      try await store.deregister(id)
    } catch {
      log(LogEntry(.warning, "could not sign off; leases will expire", worker: id, details: ["error": "\(error)"]))
    }
    await consumer?.close()
    consumer = nil
    log(LogEntry(.info, "a worker stopped", worker: id))
  }

  private func serve() async throws {
    while phase == .serving, !Task.isCancelled { try await step(waiting: true) }
  }

  /// Takes a batch of messages and deals with them. Returns how many it took.
  ///
  /// - Parameter waiting: whether to wait for the first.
  @discardableResult
  package func step(waiting: Bool) async throws -> Int {
    let pause = readiness.pause(now: time.now())
    if pause > .zero {
      // What a broker pushes meanwhile is for others.
      await consumer?.close()
      consumer = nil
      guard waiting else { return 0 }
      await wake.wait(atMost: pause, time)
      guard phase == .serving, readiness.pause(now: time.now()) == .zero else { return 0 }
    }
    guard let consumer = try await connected() else { return 0 }
    let deliveries: [Delivery]
    do {
      deliveries = try await consumer.next(upTo: batch.size, waiting: waiting)
    } catch {
      log(LogEntry(.warning, "the queue closed, consuming anew", worker: id, details: ["error": error.description]))
      self.consumer = nil
      return 0
    }
    if !deliveries.isEmpty { try await handle(deliveries, from: consumer) }
    return deliveries.count
  }

  /// The consumer, made anew where there is none; it holds what batches of their present size need. Nil after a failure,
  /// when it has waited a while.
  private func connected() async throws -> (any TaskConsumer)? {
    if let consumer {
      if prefetch != batch.prefetch {
        prefetch = batch.prefetch
        await consumer.resize(prefetch: prefetch)
      }
      return consumer
    }
    guard phase == .serving else { return nil }
    do {
      prefetch = batch.prefetch
      let made = try await queue.consume(as: id.text, prefetch: prefetch)
      consumer = made
      hasConsumed = true
      connecting.succeeded()
      // Whoever drained us meanwhile had nothing to stop.
      if phase > .serving { await made.stop() }
      return made
    } catch {
      // A broker that never took us has to be mended by a person; one that did may be between two states.
      if error.code == .refused, !hasConsumed { throw error }
      log(LogEntry(.warning, "could not consume", worker: id, details: ["error": error.description]))
      await wake.wait(atMost: connecting.failed(jitter: time.jitter()), time)
      return nil
    }
  }

  // MARK: Heartbeat

  private func beatUntilCancelled() async throws {
    while true {
      try await time.sleep(.seconds(settings.lease / 3))
      try await beat()
    }
  }

  /// Renews all leases, and stops what is lost.
  package func beat() async throws {
    let question = table.ask()
    let condition: WorkerCondition = phase == .serving ? readiness.condition : .draining
    let memory = memoryInUse().map { MemoryUse(used: $0, limit: memoryAvailable) }
    let reply: HeartbeatReply
    do {
      reply = try await store.heartbeat(id, condition, memory: memory, for: settings.lease)
      lastBeat = time.now()
    } catch let error as StoreError where error.isTransient {
      // The next one may be in time; if not, the finish is fenced.
      return log(LogEntry(.warning, "a heartbeat failed", worker: id, details: ["error": error.description]))
    }
    let answer = table.heard(reply, to: question)
    for lease in answer.lost + answer.cancelled {
      running[lease]?.monitor.stop()
      let isLost = answer.lost.contains(lease)
      log(
        LogEntry(
          isLost ? .warning : .info, isLost ? "a lease was lost" : "a task was cancelled", sweep: sweeps[lease],
          task: lease.task, attempt: lease.token, worker: id))
      settle(lease, isLost ? .fenced : .cancelled)
    }
    if !answer.orphans.isEmpty {
      log(LogEntry(.warning, "gives back leases whose claim went unheard", worker: id))
      try await retry("release", while: { phase < .stopping }) {
        try await store.release(answer.orphans, worker: id, reason: "the reply to the claim was lost")
      }
    }
  }

  /// Notes how a task ended here.
  func settle(_ lease: TaskLease, _ settlement: Settlement) {
    table.settled(lease)
    sweeps[lease] = nil
    switch settlement {
    case .done: tally.done += 1
    case .parked: tally.parked += 1
    case .retried: tally.retried += 1
    case .released: tally.released += 1
    case .fenced: tally.fenced += 1
    case .cancelled: tally.cancelled += 1
    }
    events(.settled(lease.task, settlement))
  }

  /// The process should not go on: what else it holds goes back, then `run` ends.
  func declareUnfit(_ reason: String) async {
    unfit = reason
    log(LogEntry(.warning, "the process must be started anew", worker: id, details: ["reason": reason]))
    await stop()
  }

  // MARK: Looking in

  /// Why the worker can't take tasks at present; empty when it can.
  package var hindrances: [String] {
    var reasons = troubles
    switch phase {
    case .serving: if consumer == nil { reasons.append("it is not connected to the broker") }
    case .draining: reasons.append("it drains")
    case .stopping: reasons.append("it stops")
    }
    let silence = lastBeat.map { (time.now() - $0).inSeconds } ?? 0
    if silence > settings.lease { reasons.append("the database has not answered for \(Int(silence)) s") }
    return reasons
  }
  /// Why the worker can't do everything; empty when it can.
  package var troubles: [String] { readiness.reasons }
  /// How many tasks it avoids for want of an input, and how often in a row everything failed.
  package var avoided: (tasks: Int, failuresInARow: Int) {
    (readiness.avoidedCount(now: time.now()), readiness.failuresInARow)
  }
}
