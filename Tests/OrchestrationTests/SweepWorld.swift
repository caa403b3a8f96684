import CSQLite
import Foundation
import Messaging
import Orchestration
import Storage
import SweepRecords
import Testing

/// A database in a temporary folder, a queue, manual time; and the processes that a test starts on them.
final class SweepWorld: Sendable {
  let folder: URL
  let time = ManualTime()
  let store: SQLiteStore
  let queue: InProcessQueue

  init() throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "steerscope-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    store = try SQLiteStore(path: folder.appending(path: "sweeps.db").path, clock: time.clock)
    queue = InProcessQueue()
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  var databasePath: String { store.path }

  @discardableResult
  func submit(_ sweep: PretendSweep = PretendSweep(), priority: SweepPriority = .normal) async throws -> SweepID {
    try await store.submit(sweep.submission(priority: priority)).id
  }

  static func registration(_ name: String) -> WorkerRegistration {
    WorkerRegistration(
      id: WorkerID(name), host: "here", process: 1, version: "test", numericsVersion: numericsVersion, cpu: "any",
      threads: 1)
  }

  func coordinator(
    _ name: String = "coordinator", mortality: Mortality = Mortality(), queue: (any TaskQueue)? = nil,
    _ change: (inout Coordinator.Settings) -> Void = { _ in },
    events: @escaping @Sendable (Coordinator.Event) -> Void = { _ in }
  ) -> Coordinator {
    var settings = Coordinator.Settings()
    settings.chunk = 7
    change(&settings)
    return Coordinator(
      settings: settings, store: MortalStore(inner: store, mortality: mortality),
      queue: MortalQueue(inner: queue ?? self.queue, mortality: mortality), expander: PretendExpander(), holder: name,
      time: time.timekeeper, events: events)
  }

  func worker(
    _ name: String = "worker", executor: PretendExecutor = PretendExecutor(), mortality: Mortality = Mortality(),
    queue: (any TaskQueue)? = nil, files: any FileResolver = PretendFiles(), timekeeper: Timekeeper? = nil,
    _ change: (inout Worker.Settings) -> Void = { _ in }, log: @escaping LogSink = { _ in },
    events: @escaping @Sendable (Worker.Event) -> Void = { _ in }
  ) async throws -> Worker {
    var settings = Worker.Settings()
    settings.batch = BatchSize(target: 0, limit: 1)
    change(&settings)
    let worker = Worker(
      Self.registration(name), settings: settings, store: MortalStore(inner: store, mortality: mortality),
      queue: MortalQueue(inner: queue ?? self.queue, mortality: mortality), executor: executor, files: files,
      time: timekeeper ?? time.timekeeper, log: log, events: events)
    try await worker.start()
    return worker
  }

  /// Lets processes take turns until the sweep ends; time passes when none has anything to do.
  func run(
    _ sweep: SweepID, _ coordinators: [Coordinator], _ workers: [Worker], turns: Int = 5000
  ) async throws -> SweepState {
    for _ in 0..<turns {
      var deliveries = 0
      for coordinator in coordinators { try await coordinator.step() }
      for worker in workers { deliveries += try await worker.step(waiting: false) }
      let state = try #require(try await store.findSweep(sweep.text)).state
      if [.done, .doneWithParked, .cancelled].contains(state) { return state }
      if deliveries == 0 {
        time.advance(.seconds(5))
        for worker in workers { try await worker.beat() }
      }
    }
    Issue.record("the sweep did not end")
    return try #require(try await store.findSweep(sweep.text)).state
  }

  /// Everything that the tasks of the database made, by task key: rows of all tables and artifacts.
  func results() async throws -> [String] {
    var lines: [String] = []
    for table in ResultTable.allCases {
      lines += try await rows(
        "SELECT t.key, '\(table.rawValue)', r.* FROM \(table.rawValue) r JOIN task t ON t.id = r.task")
    }
    lines += try await rows("SELECT t.key, a.name, a.artifact FROM task_artifact a JOIN task t ON t.id = a.task")
    return lines.sorted()
  }

  /// Rows of a query as text.
  func rows(_ sql: String) async throws -> [String] {
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

  /// Changes the database behind everyone's back.
  func damage(_ sql: String) throws {
    var handle: OpaquePointer?
    defer { sqlite3_close(handle) }
    try #require(sqlite3_open(databasePath, &handle) == SQLITE_OK)
    try #require(sqlite3_exec(handle, sql, nil, nil, nil) == SQLITE_OK)
  }

  /// How often each task was finished, by key.
  func finishedAttempts() async throws -> [String] {
    try await rows(
      "SELECT t.key, (SELECT count(*) FROM task_attempt a WHERE a.task = t.id AND a.outcome = 'done') FROM task t")
  }

  /// What an undisturbed run of the standard sweep leaves.
  private static let undisturbed = Task {
    let world = try SweepWorld()
    let id = try await world.submit()
    let state = try await world.run(id, [world.coordinator()], [try await world.worker()])
    #expect(state == .done)
    return try await world.results()
  }

  /// Expects that every task of the standard sweep was done exactly once, with the results of an undisturbed run.
  func expectAsUndisturbed() async throws {
    let expected = try await Self.undisturbed.value
    #expect(!expected.isEmpty)
    #expect(try await results() == expected)
    let attempts = try await finishedAttempts()
    #expect(attempts.count == PretendSweep().count)
    #expect(attempts.allSatisfy { $0.hasSuffix("|1") })
  }
}
