internal import CSQLite
internal import Foundation
package import Messaging
package import Orchestration
package import Storage
package import SweepRecords

/// What a world stands on: a store and a queue.
package struct Ground: Sendable {
  /// Opens the store, whose time is what the clock says.
  package var openStore: @Sendable (_ clock: @escaping @Sendable () -> Double) async throws -> any ResultStore
  /// Opens the queue as a new process does, declared.
  package var openQueue: @Sendable () async throws -> any TaskQueue
  /// Does what the broker does when the process that opened the queue has died: what it held goes back.
  package var bury: @Sendable (any TaskQueue) async -> Void
  /// Real time for messages to arrive, where they take any.
  package var patience: Duration

  package init(
    openStore: @escaping @Sendable (_ clock: @escaping @Sendable () -> Double) async throws -> any ResultStore,
    openQueue: @escaping @Sendable () async throws -> any TaskQueue,
    bury: @escaping @Sendable (any TaskQueue) async -> Void, patience: Duration = .zero
  ) {
    self.openStore = openStore
    self.openQueue = openQueue
    self.bury = bury
    self.patience = patience
  }
}

/// What went wrong with a world itself.
package struct WorldError: Error, CustomStringConvertible {
  package var description: String
}

/// A database, a queue, manual time; and the processes that a test starts on them.
package final class SweepWorld: Sendable {
  private let folder: URL
  package let time: ManualTime
  package let store: any ResultStore
  private let ground: Ground
  private let broker: any TaskQueue

  /// SQLite in a temporary folder and a queue in memory.
  package init() throws {
    time = ManualTime()
    folder = try Self.newFolder()
    let queue = InProcessQueue()
    broker = queue
    store = try SQLiteStore(path: folder.appending(path: "sweeps.db").path, clock: time.clock)
    ground = Ground(
      openStore: { try SQLiteStore(path: ":memory:", clock: $0) }, openQueue: { queue },
      bury: { _ in queue.disconnect() })
  }

  /// Any store and queue.
  package init(on ground: Ground) async throws {
    self.ground = ground
    time = ManualTime()
    folder = try Self.newFolder()
    store = try await ground.openStore(time.clock)
    broker = try await ground.openQueue()
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  private static func newFolder() throws -> URL {
    let folder = FileManager.default.temporaryDirectory.appending(path: "steerscope-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder
  }

  /// The queue in memory, of a world that has one.
  package var queue: InProcessQueue {
    guard let queue = broker as? InProcessQueue else { preconditionFailure("this world's queue is not in memory") }
    return queue
  }

  /// A queue as a new process has it.
  package func openQueue() async throws -> any TaskQueue { try await ground.openQueue() }

  /// Does what the broker does when a process has died.
  package func bury(_ queue: any TaskQueue) async { await ground.bury(queue) }

  package var databasePath: String { folder.appending(path: "sweeps.db").path }

  @discardableResult
  package func submit(
    _ sweep: PretendSweep = PretendSweep(), priority: SweepPriority = .normal
  ) async throws -> SweepID {
    try await store.submit(sweep.submission(priority: priority)).id
  }

  package static func registration(_ name: String) -> WorkerRegistration {
    WorkerRegistration(
      id: WorkerID(name), host: "here", process: 1, version: "test", numericsVersion: numericsVersion, cpu: "any",
      threads: 1)
  }

  package func coordinator(
    _ name: String = "coordinator", mortality: Mortality = Mortality(), queue: (any TaskQueue)? = nil,
    timekeeper: Timekeeper? = nil, _ change: (inout Coordinator.Settings) -> Void = { _ in },
    log: @escaping LogSink = { _ in }, events: @escaping @Sendable (Coordinator.Event) -> Void = { _ in }
  ) -> Coordinator {
    var settings = Coordinator.Settings()
    settings.chunk = 7
    change(&settings)
    return Coordinator(
      settings: settings, store: MortalStore(inner: store, mortality: mortality),
      queue: MortalQueue(inner: queue ?? broker, mortality: mortality), expander: PretendExpander(), holder: name,
      time: timekeeper ?? time.timekeeper, log: log, events: events)
  }

  package func worker(
    _ name: String = "worker", executor: any TaskExecutor = PretendExecutor(), mortality: Mortality = Mortality(),
    queue: (any TaskQueue)? = nil, files: any FileResolver = PretendFiles(), artifacts: ArtifactFolder? = nil,
    timekeeper: Timekeeper? = nil,
    _ change: (inout Worker.Settings) -> Void = { _ in }, memoryInUse: @escaping @Sendable () -> Int? = { nil },
    memoryAvailable: Int = 8 << 30,
    log: @escaping LogSink = { _ in }, events: @escaping @Sendable (Worker.Event) -> Void = { _ in }
  ) async throws -> Worker {
    var settings = Worker.Settings()
    settings.batch = BatchSize(target: 0, limit: 1)
    change(&settings)
    let worker = Worker(
      Self.registration(name), settings: settings, store: MortalStore(inner: store, mortality: mortality),
      queue: MortalQueue(inner: queue ?? broker, mortality: mortality), executor: executor, files: files,
      artifacts: artifacts, memoryInUse: memoryInUse, memoryAvailable: memoryAvailable,
      time: timekeeper ?? time.timekeeper, log: log, events: events)
    try await worker.start()
    return worker
  }

  /// Lets processes take turns until the sweep ends; time passes when none has anything to do.
  package func run(
    _ sweep: SweepID, _ coordinators: [Coordinator], _ workers: [Worker], turns: Int = 5000
  ) async throws -> SweepState {
    for _ in 0..<turns {
      var deliveries = 0
      for coordinator in coordinators { try await coordinator.step() }
      for worker in workers { deliveries += try await worker.step(waiting: false) }
      guard let state = try await store.findSweep(sweep.text)?.state else {
        throw WorldError(description: "the sweep is gone")
      }
      if [.done, .doneWithParked, .cancelled].contains(state) { return state }
      if deliveries == 0 {
        if ground.patience > .zero { try await Task.sleep(for: ground.patience) }
        time.advance(.seconds(5))
        for worker in workers { try await worker.beat() }
      }
    }
    throw WorldError(description: "the sweep did not end")
  }

  /// Everything that the tasks of the database made, by task key: rows of all tables and artifacts.
  package func results() async throws -> [String] {
    var lines: [String] = []
    for table in ResultTable.allCases {
      lines += try await rows(
        "SELECT t.key, '\(table.rawValue)' AS kind, r.* FROM \(table.rawValue) r JOIN task t ON t.id = r.task")
    }
    lines += try await rows("SELECT t.key, a.name, a.artifact FROM task_artifact a JOIN task t ON t.id = a.task")
    return lines.sorted()
  }

  /// Rows of a query as text.
  package func rows(_ sql: String) async throws -> [String] {
    let result = try await store.query(sql, limits: QueryLimits())
    return result.rows.map { row in
      // Task ids depend on who planned first.
      zip(result.columns, row).filter { $0.0 != "task" }.map { _, cell in
        switch cell {
        case .null: "null"
        case .integer(let value): "\(value)"
        case .real(let value): "\(value)"
        case .text(let value): value
        }
      }.joined(separator: "|")
    }
  }

  /// Changes a SQLite database behind everyone's back.
  package func damage(_ sql: String) throws {
    var handle: OpaquePointer?
    defer { sqlite3_close(handle) }
    guard sqlite3_open(databasePath, &handle) == SQLITE_OK, sqlite3_exec(handle, sql, nil, nil, nil) == SQLITE_OK else {
      throw WorldError(description: "can't do \(sql)")
    }
  }

  /// How often each task was finished, by key.
  package func finishedAttempts() async throws -> [String] {
    try await rows(
      "SELECT t.key, (SELECT count(*) FROM task_attempt a WHERE a.task = t.id AND a.outcome = 'done') AS done FROM task t"
    )
  }

  /// What an undisturbed run of the standard sweep leaves.
  private static let undisturbed = Task {
    let world = try SweepWorld()
    let id = try await world.submit()
    let state = try await world.run(id, [world.coordinator()], [try await world.worker()])
    guard state == .done else { throw WorldError(description: "an undisturbed run ends \(state)") }
    return try await world.results()
  }

  /// What is wrong unless every task of the standard sweep was done exactly once, with the results of an undisturbed
  /// run; nil when nothing is.
  package func difference() async throws -> String? {
    let expected = try await Self.undisturbed.value
    let found = try await results()
    guard !expected.isEmpty, found == expected else {
      let missing = Set(expected).subtracting(found).count
      return "\(missing) of \(expected.count) results are missing, \(Set(found).subtracting(expected).count) are others"
    }
    let attempts = try await finishedAttempts()
    guard attempts.count == PretendSweep().count else { return "\(attempts.count) tasks" }
    let wrong = attempts.filter { !$0.hasSuffix("|1") }
    return wrong.isEmpty ? nil : "not done once: \(wrong)"
  }
}
