import Foundation
import Messaging
import Orchestration
import OrchestrationSupport
import Storage
import SweepRecords
import Synchronization
import TestServers
import Testing

/// Servers lose what they hold, or go away for a while, each once and at a chosen moment.
@Suite(.timeLimit(.minutes(10))) struct ServerLossTests {
  /// Runs the standard sweep; once, when the worker has begun its `count`-th task, does `body`.
  private func run(
    _ ground: Ground, at count: Int = 9, _ body: @escaping @Sendable () async throws -> Void
  ) async throws {
    let world = try await SweepWorld(on: ground)
    let sweep = try await world.submit()
    let queue = try await world.openQueue()
    let coordinator = world.coordinator(queue: queue)
    let executor = PretendExecutor()
    let worker = try await world.worker(executor: executor, queue: queue)
    // Step by step until it is time, so that messages are in the queues.
    var turns = 0
    while executor.executionCount < count {
      turns += 1
      guard turns < 2000 else { throw ServerError(description: "nothing runs") }
      try await coordinator.step()
      if try await worker.step(waiting: false) == 0 {
        try await Task.sleep(for: .milliseconds(50))
        world.time.advance(.seconds(1))
        try await worker.beat()
      }
    }
    try await body()
    #expect(try await world.run(sweep, [coordinator], [worker]) == .done)
    #expect(try await world.difference() == nil)
    await world.bury(queue)
  }

  @Test func queuesArePurged() async throws {
    let (ground, host) = try await ServerGround.fresh()
    let broker = try await TestServers.rabbitMQ()
    try await run(ground) {
      for name in ["high", "normal", "low"] {
        try await broker.control(["purge_queue", "-p", host, "steerscope.\(name)"])
      }
    }
  }

  @Test func allQueuesAreDeleted() async throws {
    let (ground, host) = try await ServerGround.fresh()
    let broker = try await TestServers.rabbitMQ()
    try await run(ground) {
      for name in ["high", "normal", "low", "dead"] {
        try await broker.control(["delete_queue", "-p", host, "steerscope.\(name)"])
      }
    }
  }

  @Test func theBrokerClosesAllConnections() async throws {
    let (ground, host) = try await ServerGround.fresh()
    let broker = try await TestServers.rabbitMQ()
    try await run(ground) { try await broker.control(["close_all_connections", "--vhost", host, "test"]) }
  }

  @Test(arguments: [false, true]) func theDatabaseRestarts(_ isKilled: Bool) async throws {
    let server = try await TestServers.postgreSQL("restarted-\(isKilled)")
    let (ground, _) = try await ServerGround.fresh(database: server)
    try await run(ground) {
      if isKilled { try await server.kill() } else { try await server.stop() }
      try await server.start()
    }
  }

  /// Connections end after their COMMIT has happened and before they are told, at every commit for a while.
  @Test func connectionsEndDuringCommit() async throws {
    let server = try await TestServers.postgreSQL("cut")
    let (ground, _) = try await ServerGround.fresh(database: server)
    let cut = Count()
    try await run(ground) {
      try await server.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
      try await server.sql("SELECT pg_reload_conf()")
      Task.detached { try await Self.cutCommits(server, cut) }
    }
    #expect(cut.value > 0)
  }

  /// Ends, for two seconds, whoever has committed and waits for a standby that is not there; then lets the rest go on.
  private static func cutCommits(_ server: TestPostgreSQL, _ cut: Count) async throws {
    for _ in 0..<20 {
      try await Task.sleep(for: .milliseconds(100))
      let ended = try await server.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
      cut.add(ended.split(separator: "\n").count { $0 == "t" })
    }
    try await server.sql("ALTER SYSTEM RESET synchronous_standby_names")
    try await server.sql("SELECT pg_reload_conf()")
  }

  /// A number that rises.
  private final class Count: Sendable {
    private let number = Mutex(0)
    var value: Int { number.withLock { $0 } }
    func add(_ more: Int) { number.withLock { $0 += more } }
  }

  /// A server, or a proxy in front of it, that takes every packet and never answers: half-open TCP.
  @Test func aServerThatSaysNothingIsGivenUp() async throws {
    let server = try await TestServers.postgreSQL()
    let name = try await server.freshDatabaseName()
    let uri = server.uri(database: name)
    _ = try await StoreLocator(parsing: uri).migrate()
    let store = try PostgreSQLStore(uri: uri, settings: PostgreSQLSettings(silenceTimeout: 1, statementTimeout: 1))
    #expect(try await store.sweeps(in: nil).isEmpty)
    let backends = try await server.sql("SELECT pid FROM pg_stat_activity WHERE datname = '\(name)'")
      .split(separator: "\n").compactMap { Int32($0) }
    #expect(!backends.isEmpty)
    for backend in backends { #expect(kill(backend, SIGSTOP) == 0) }
    let error = await #expect(throws: StoreError.self) { try await store.sweeps(in: nil) }
    #expect(error?.isTransient == true)
    // Another connection, another backend.
    #expect(try await store.sweeps(in: nil).isEmpty)
    for backend in backends { kill(backend, SIGCONT) }
    await store.close()
  }

  /// Garbage, oversized and deeply nested messages, and such of a later version, among the real ones.
  @Test func nonsenseGoesToTheDeadLetters() async throws {
    let (ground, host) = try await ServerGround.fresh()
    let broker = try await TestServers.rabbitMQ()
    let nested = String(repeating: "{\"a\":", count: 10_000)
    let bodies: [[UInt8]] = [
      [], [0xff, 0x00], Array("{}".utf8), Array(nested.utf8),
      Array(#"{"schema":2,"sweep":"s","task":1,"dispatch":1,"kind":"score"}"#.utf8),
      Array(#"{"schema":1,"sweep":"s","task":9223372036854775808,"dispatch":1,"kind":"score"}"#.utf8),
    ]
    try await run(ground) {
      let queue = try await ground.openQueue()
      let outcomes = await queue.publish(
        bodies.enumerated().map { OutgoingMessage(id: "nonsense:\($0)", priority: .normal, body: $1) })
      #expect(outcomes.allSatisfy { $0 == .confirmed })
      await ground.bury(queue)
      // Our own queue would not even send one that is too long.
      try await broker.publish(bytes: 3_000_000, to: "steerscope.normal", in: host)
    }
    // The broker's figures of its queues are up to five seconds old.
    let wanted = "steerscope.dead\t\(bodies.count + 1)"
    var figures = ""
    for _ in 0..<60 where !figures.contains(wanted) {
      figures = try await broker.control(["list_queues", "-p", host, "name", "messages"])
      try await Task.sleep(for: .milliseconds(250))
    }
    #expect(figures.contains(wanted), "\(figures)")
  }

  @Test func aWorkerOfOtherArithmeticGetsNothing() async throws {
    let (ground, _) = try await ServerGround.fresh()
    let world = try await SweepWorld(on: ground)
    let sweep = try await world.submit()
    let queue = try await world.openQueue()
    let coordinator = world.coordinator(queue: queue)
    let stranger = WorkerID("stranger")
    try await world.store.register(
      WorkerRegistration(
        id: stranger, host: "elsewhere", process: 1, version: "other", numericsVersion: numericsVersion + 1,
        cpu: "any", threads: 1))
    var ids: [TaskID] = []
    for _ in 0..<200 where ids.isEmpty {
      try await coordinator.step()
      world.time.advance(.seconds(1))
      try await Task.sleep(for: .milliseconds(20))
      let queued = try await world.rows("SELECT id FROM task WHERE state = 'queued'")
      ids = queued.compactMap { Int64($0) }.map(TaskID.init)
    }
    #expect(!ids.isEmpty)
    #expect(try await world.store.claim(ids, worker: stranger, for: 45).isEmpty)
    let misses = try await world.store.claimMisses(ids, worker: stranger)
    #expect(misses.count == ids.count && misses.values.allSatisfy { $0 == .otherNumerics }, "\(misses)")
    #expect(try await world.run(sweep, [coordinator], [try await world.worker(queue: queue)]) == .done)
    #expect(try await world.difference() == nil)
    await world.bury(queue)
  }
}
