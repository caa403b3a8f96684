import Foundation
import SweepRecords
import Synchronization
import TestServers

@testable import Storage

/// A clock that tests turn by hand.
final class TestClock: Sendable {
  private let seconds = Mutex(1_000_000.0)
  var now: Double { seconds.withLock { $0 } }
  func advance(_ by: Double) { seconds.withLock { $0 += by } }
}

/// A kind of store that must pass the conformance suite.
enum StoreKind: String, CaseIterable, Sendable {
  case sqlite, postgresql
}

/// A fresh store: in a folder of its own, which goes with the fixture, or a database of its own on the tests' server.
final class StoreFixture: Sendable {
  let kind: StoreKind
  let clock = TestClock()
  let folder: URL
  var path: String { folder.appending(path: "steerscope.db").path }
  /// The connection URI.
  let uri: String

  convenience init() throws { try self.init(.sqlite, uri: "") }

  convenience init(_ kind: StoreKind) async throws {
    try self.init(kind, uri: kind == .postgresql ? await MigratedDatabase.fresh() : "")
  }

  private init(_ kind: StoreKind, uri: String) throws {
    self.kind = kind
    self.uri = uri
    folder = FileManager.default.temporaryDirectory.appending(path: "steerscope-storage-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  deinit {
    try? FileManager.default.removeItem(at: folder)
    if kind == .postgresql { MigratedDatabase.giveBack(uri) }
  }

  /// Opens the store; again after that, another connection to the same one.
  func open() throws -> any ResultStore {
    // The store keeps the fixture, and so its folder, by its clock.
    switch kind {
    case .sqlite: try SQLiteStore(path: path, clock: { [self] in clock.now })
    case .postgresql:
      try PostgreSQLStore(uri: uri, settings: PostgreSQLSettings(clock: .told { [self] in clock.now }))
    }
  }

  /// The SQL of a column of times as seconds since 1970.
  func seconds(_ column: String) -> String {
    kind == .postgresql ? "extract(epoch FROM \(column))::float8" : column
  }
}

/// Databases with the schema: copied from one that was migrated once, or emptied after another test.
actor MigratedDatabase {
  private static let shared = MigratedDatabase()
  private static let free = Mutex<[String]>([])
  private var template: Task<TestDatabase, any Error>?
  private var number = 0

  /// The URI of one that is as after the migration.
  static func fresh() async throws -> String {
    guard let used = free.withLock({ $0.popLast() }) else { return try await shared.copy() }
    let session = PostgreSQLSession(try PostgreSQLAddress(parsing: used), PostgreSQLSettings()) { _ in }
    try await session.perform { db in try db.execute(empty) }
    return used
  }

  /// For tests to come; no store has it open any more.
  static func giveBack(_ uri: String) { free.withLock { $0.append(uri) } }

  /// The rest goes with these. (TRUNCATE makes new files, which takes far longer.)
  private static let empty = """
    DELETE FROM sweep; DELETE FROM task; DELETE FROM task_group; DELETE FROM worker; DELETE FROM artifact;
    UPDATE leader SET holder = '', token = 0, lease_until = 'epoch';
    SELECT setval(pg_get_serial_sequence(name, key), 1, false)
    FROM (VALUES ('sweep', 'number'), ('task', 'id'), ('task_group', 'id'), ('task_attempt', 'token')) AS s (name, key);
    """

  private func copy() async throws -> String {
    let task =
      template
      ?? Task {
        let database = try await TestDatabase()
        try await database.migrate()
        return database
      }
    template = task
    let original = try await task.value
    number += 1
    let name = "\(original.name)_\(number)"
    let address = try PostgreSQLAddress(parsing: original.server.uri(database: "postgres"))
    let session = PostgreSQLSession(address, PostgreSQLSettings()) { _ in }
    try await session.perform { try $0.execute("CREATE DATABASE \(name) TEMPLATE \(original.name)") }
    return original.server.uri(database: name)
  }
}

extension Digest {
  /// A digest for a name, in tests.
  static func named(_ name: String) -> Digest { Digest(of: "test \(name)") }
}

extension TaskDefinition {
  /// A task called `name` that waits for others.
  init(_ name: String, after dependencies: [String] = [], kind: TaskKind = .evaluate, layer: Int? = nil) {
    self.init(
      key: .named(name), kind: kind, work: #"{"name":"\#(name)"}"#, dependencies: dependencies.map { .named($0) },
      files: [FileReference(digest: .named("file"), locator: "models/model \(name).gguf")], layer: layer, title: name,
      estimate: 2)
  }
}

extension SweepSubmission {
  init(_ name: String, variant: String = "", priority: SweepPriority = .normal, inputs: [[UInt8]] = []) {
    self.init(
      digest: .named("sweep \(name)\(variant)"), name: name, document: "name: \(name)\n", resolved: "{}",
      priority: priority,
      inputs: inputs)
  }
}

extension WorkerRegistration {
  init(_ name: String, numericsVersion: Int = SweepRecords.numericsVersion) {
    self.init(
      id: WorkerID(name), host: "host", process: 7, version: "1.0", numericsVersion: numericsVersion, cpu: "x86-64-v3",
      threads: 2)
  }
}

extension ResultStore {
  /// Submits and plans a sweep in one chunk.
  @discardableResult
  func add(
    _ submission: SweepSubmission, _ tasks: [TaskDefinition], as leader: LeaderToken
  ) async throws -> SweepID {
    let sweep = try await submit(submission).id
    _ = try await expand(sweep, with: PlanChunk(from: 0, to: tasks.count, tasks: tasks, isLast: true), as: leader)
    return sweep
  }

  /// The leader's token for a test.
  func lead(_ holder: String = "leader") async throws -> LeaderToken {
    guard let token = try await acquireLeadership(holder: holder, for: 30) else {
      throw StoreError(.notLeader, "taken")
    }
    return token
  }

  /// The task of that name.
  func task(_ name: String) async throws -> TaskStatus? { try await tasks(withKeys: [.named(name)]).first }

  /// The state of the task of that name.
  func state(of name: String) async throws -> TaskState? { try await task(name)?.state }

  /// The state of a sweep.
  func state(of sweep: SweepID) async throws -> SweepState? { try await findSweep(sweep.text)?.state }

  /// Claims tasks by name.
  func claim(_ names: [String], by worker: String, for seconds: Double = 45) async throws -> [ClaimedTask] {
    try await claim(tasks(withKeys: names.map { .named($0) }).map(\.id), worker: WorkerID(worker), for: seconds)
  }

  /// Finishes a task with a result.
  @discardableResult
  func finish(_ task: ClaimedTask, by worker: String, _ result: TaskResult = TaskResult()) async throws
    -> FinishOutcome?
  {
    try await finish([FinishedTask(lease: task.lease, result: result)], worker: WorkerID(worker)).first
  }

  /// Claims and finishes tasks by name, one after the other.
  func run(_ names: String..., leaving result: TaskResult = TaskResult(), by worker: String = "worker") async throws {
    for name in names {
      for claimed in try await claim([name], by: worker) { try await finish(claimed, by: worker, result) }
    }
  }

  /// Rows of a query as text, cells parted by `|`.
  func table(_ sql: String) async throws -> [String] {
    try await query(sql, limits: QueryLimits()).rows.map { row in
      row.map { cell in
        switch cell {
        case .null: "-"
        case .integer(let value): "\(value)"
        case .real(let value): "\(value)"
        case .text(let value): value
        }
      }.joined(separator: "|")
    }
  }
}
