import Foundation
import SweepRecords
import TestServers
import Testing

@testable import Storage

/// Calls at the same time, each from a store (and so connections) of its own.
@Suite struct PostgreSQLConcurrencyTests {
  private func stores(_ count: Int) async throws -> (fixture: StoreFixture, stores: [PostgreSQLStore]) {
    let fixture = try await StoreFixture(.postgresql)
    let stores = try (0..<count).map { _ in
      try PostgreSQLStore(uri: fixture.uri, settings: PostgreSQLSettings(clock: .told { fixture.clock.now }))
    }
    return (fixture, stores)
  }

  private func row(_ name: String) -> TableRow { TableRow(.sae, ["name": .text(name), "layer": 1]) }

  @Test func `each task is claimed once, and each finish counts its group down`() async throws {
    let (fixture, stores) = try await stores(4)
    _ = fixture
    let leader = try await stores[0].lead()
    let names = (0..<60).map { "t\($0)" }
    let all =
      names.map { TaskDefinition($0) } + [.init("end", after: names), .init("half", after: Array(names[..<30]))]
    try await stores[0].add(SweepSubmission("a"), all, as: leader)
    let ids = try await stores[0].tasks(withKeys: names.map { .named($0) }).map(\.id)
    let done = try await withThrowingTaskGroup(of: [(TaskID, FinishOutcome)].self) { group in
      for (number, store) in stores.enumerated() {
        group.addTask {
          let worker = WorkerID("w\(number)")
          try await store.register(WorkerRegistration(worker.text))
          var done: [(TaskID, FinishOutcome)] = []
          // Each in another order, several at once, so that they get in one another's way.
          for start in stride(from: 0, to: ids.count, by: 5) {
            let wanted = (0..<8).map { ids[(start + $0 * (number + 1)) % ids.count] }
            let claimed = try await store.claim(wanted.reversed(), worker: worker, for: 45)
            let artifacts = [Artifact(name: "same", bytes: [1, 2, 3]), Artifact(name: "other", bytes: [UInt8(start)])]
            let finished = claimed.map {
              FinishedTask(lease: $0.lease, result: TaskResult(artifacts: artifacts, rows: [self.row("s")]))
            }
            done += zip(claimed.map(\.lease.task), try await store.finish(finished, worker: worker))
          }
          return done
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    // What nobody got because two asked at once is left for one.
    let claimed = Set(done.map(\.0))
    #expect(done.count == claimed.count && done.allSatisfy { $0.1 == .done })
    for name in names { try await stores[0].run(name, leaving: TaskResult(rows: [row("s")]), by: "w0") }
    #expect(try await stores[0].table("SELECT count(*), count(DISTINCT task) FROM sae") == ["60|60"])
    #expect(try await stores[0].state(of: "end") == .ready)
    #expect(try await stores[0].state(of: "half") == .ready)
    #expect(try await stores[0].recomputeCounters(as: leader).isEmpty)
  }

  @Test func `two that submit the same sweep make one`() async throws {
    let (fixture, stores) = try await stores(4)
    _ = fixture
    let submitted = try await withThrowingTaskGroup(of: SubmittedSweep.self) { group in
      for store in stores {
        group.addTask {
          try await store.submit(SweepSubmission("a", inputs: [[1], [2], [UInt8](repeating: 3, count: 1 << 20)]))
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(Set(submitted.map(\.id)).count == 1 && submitted.count { $0.isNew } == 1)
    #expect(try await stores[0].counts().artifacts == 3)
  }

  @Test func `one of many becomes the leader`() async throws {
    let (fixture, stores) = try await stores(6)
    let tokens = try await withThrowingTaskGroup(of: LeaderToken?.self) { group in
      for (number, store) in stores.enumerated() {
        group.addTask { try await store.acquireLeadership(holder: "\(number)", for: 30) }
      }
      return try await group.reduce(into: [LeaderToken]()) { if let token = $1 { $0.append(token) } }
    }
    let first = try #require(tokens.first)
    #expect(tokens.count == 1)
    fixture.clock.advance(31)
    let next = try await withThrowingTaskGroup(of: LeaderToken?.self) { group in
      for store in stores { group.addTask { try await store.acquireLeadership(holder: "new", for: 30) } }
      return try await group.reduce(into: [Int64]()) { if let token = $1 { $0.append(token.number) } }
    }
    // The same holder may take its own place again, with a higher token each time.
    #expect(Set(next).count == stores.count && next.allSatisfy { $0 > first.number })
  }

  /// Does something while a transaction of another connection's is open; its result, if it came before the transaction's
  /// end, and the rest of it.
  private func during<T: Sendable>(
    _ fixture: StoreFixture, for seconds: Double,
    _ transaction: @escaping @Sendable (PostgreSQLConnection) throws -> Void,
    _ body: @escaping @Sendable () async throws -> T
  ) async throws -> (inTime: Bool, result: T) {
    let session = PostgreSQLSession(try PostgreSQLAddress(parsing: fixture.uri), PostgreSQLSettings()) { _ in }
    let (isOpen, isDone) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    let holder = Task.detached {
      try await session.perform { db in
        try db.write { db in
          try transaction(db)
          isOpen.signal()
          return isDone.wait(timeout: .now() + seconds) == .success
        }
      }
    }
    await withCheckedContinuation { continuation in
      DispatchQueue.global().async {
        isOpen.wait()
        continuation.resume()
      }
    }
    let result = try await body()
    isDone.signal()
    return (try await holder.value, result)
  }

  @Test func `a takeover waits for the old leader's write, a renewal does not`() async throws {
    let (fixture, stores) = try await stores(2)
    let leader = try await stores[0].lead()
    let renewal = try await during(fixture, for: 20, { try PostgreSQLStore.require(leader, $0) }) {
      try await stores[0].renewLeadership(leader, for: 30)
    }
    #expect(renewal.inTime && renewal.result)
    // While the place is held nobody waits for it.
    let early = try await during(fixture, for: 20, { try PostgreSQLStore.require(leader, $0) }) {
      try await stores[1].acquireLeadership(holder: "second", for: 30)
    }
    #expect(early.inTime && early.result == nil)
    fixture.clock.advance(31)
    let takeover = try await during(fixture, for: 0.5, { try PostgreSQLStore.require(leader, $0) }) {
      try await stores[1].acquireLeadership(holder: "second", for: 30)
    }
    #expect(!takeover.inTime && takeover.result.map { $0.number > leader.number } == true)
    await #expect { try await stores[0].settleSweeps(as: leader) } throws: { ($0 as? StoreError)?.code == .notLeader }
  }

  @Test func `the reaper waits a lease after a restart, and passes over what is being finished`() async throws {
    let fixture = try await StoreFixture(.postgresql)
    let store = try PostgreSQLStore(uri: fixture.uri)
    let leader = try await store.lead()
    try await store.register(WorkerRegistration("worker"))
    try await store.add(SweepSubmission("a"), [.init("x")], as: leader)
    let ids = [try #require(try await store.task("x")).id]
    let task = try #require(try await store.claim(ids, worker: WorkerID("worker"), for: -1).first)
    // Expired, but the server has not been up for a lease of a year.
    #expect(try await store.reap(ReapPolicy(lease: 3e7), as: leader).isEmpty)
    let locked = try await during(fixture, for: 20, { _ = try $0.run("SELECT 1 FROM task FOR UPDATE") }) {
      try await store.reap(ReapPolicy(lease: 0), as: leader)
    }
    #expect(locked.inTime && locked.result.isEmpty)
    #expect(try await store.reap(ReapPolicy(lease: 0), as: leader).map(\.state) == [.ready])
    #expect(try await store.finish(task, by: "worker") == .fenced)
  }

  @Test func `a heartbeat never waits for the worker's own finish`() async throws {
    let (fixture, stores) = try await stores(1)
    let store = stores[0]
    let leader = try await store.lead()
    try await store.register(WorkerRegistration("worker"))
    try await store.add(SweepSubmission("a"), [.init("x"), .init("y")], as: leader)
    let tasks = try await store.claim(["x", "y"], by: "worker")
    let id = tasks[0].lease.task.number
    fixture.clock.advance(40)
    let beat = try await during(
      fixture, for: 20, { _ = try $0.run("SELECT 1 FROM task WHERE id = $1 FOR UPDATE", .integer(id)) }
    ) { try await store.heartbeat(WorkerID("worker"), .ready, memory: nil, for: 45).held }
    #expect(beat.inTime && beat.result == tasks.map(\.lease))
    // One was renewed, the other was not, and is not lost as long as its row is locked.
    fixture.clock.advance(40)
    #expect(try await store.reap(ReapPolicy(), as: leader).map(\.lease.task) == [tasks[0].lease.task])
  }

  @Test func `a set that is made while one of its tasks is finished counts it`() async throws {
    let (fixture, stores) = try await stores(2)
    let leader = try await stores[0].lead()
    try await stores[0].register(WorkerRegistration("worker"))
    try await stores[0].add(SweepSubmission("a"), [.init("x"), .init("y")], as: leader)
    let task = try #require(try await stores[0].claim(["x"], by: "worker").first)
    // The finish has marked its task, and is about to count down what it sees.
    let id = task.lease.task.number
    let sweep = try await stores[1].submit(SweepSubmission("b")).id
    let tasks: [TaskDefinition] = [.init("x"), .init("y"), .init("z", after: ["x", "y"])]
    let planned = try await during(
      fixture, for: 0.5,
      {
        _ = try $0.run(
          """
          UPDATE task SET state = 'done', lease_token = NULL, worker = NULL, lease_until = NULL, ended_at = now()
          WHERE id = $1
          """, .integer(id))
      }
    ) { try await stores[1].expand(sweep, with: PlanChunk(from: 0, to: 1, tasks: tasks, isLast: true), as: leader) }
    #expect(!planned.inTime && planned.result.alreadyDone == 1)
    #expect(try await stores[0].table("SELECT remaining FROM task_group") == ["1"])
    try await stores[0].run("y")
    #expect(try await stores[0].state(of: "z") == .ready)
  }

  /// Everything at once, at random, and at the end all must fit: the counters, the rows, the states.
  @Test(arguments: [1, 2, 3] as [UInt64]) func `a crowd leaves everything in order`(_ seed: UInt64) async throws {
    let (fixture, stores) = try await stores(6)
    _ = fixture
    let leader = try await stores[0].lead()
    let plans = (0..<6).map { number in
      (0..<4).map { layer in
        (0..<8).map { index -> TaskDefinition in
          // Sweeps share most of their tasks, and some of the sets that they wait for.
          let name = "\((number + index) % 7).\(layer).\(index)"
          let waits = layer == 0 ? [] : (0..<8).filter { $0 % 2 == (index + layer) % 2 }
          return TaskDefinition(
            name, after: waits.map { "\((number + $0) % 7).\(layer - 1).\($0)" }, kind: layer == 3 ? .score : .evaluate)
        }
      }
    }
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await self.plan(plans, stores[0], leader, seed) }
      group.addTask { try await self.lead(stores[1], leader) }
      for worker in 0..<3 { group.addTask { try await self.work(stores[2 + worker], "w\(worker)", seed) } }
      group.addTask { try await self.meddle(stores[5], plans.count, seed) }
      try await group.waitForAll()
    }
    let store = stores[0]
    // Let the rest run to its end, in order.
    for sweep in try await store.sweeps(in: nil) {
      _ = try await store.resume(sweep.id)
      _ = try await store.retry(sweep.id)
    }
    try await plan(plans, store, leader, seed)
    #expect(try await store.recomputeCounters(as: leader).isEmpty)
    _ = try await store.reap(ReapPolicy(failureLimit: 1000, everyLease: true), as: leader)
    for _ in 0..<6 {
      _ = try await store.dispatch(DispatchPolicy(window: 1000), as: leader)
      let ready = try await store.table("SELECT key FROM task WHERE state IN ('ready', 'queued')").compactMap {
        Digest(hex: $0)
      }
      let claimed = try await store.claim(store.tasks(withKeys: ready).map(\.id), worker: WorkerID("w0"), for: 45)
      let finished = claimed.map { FinishedTask(lease: $0.lease, result: TaskResult(rows: [row("s")])) }
      _ = try await store.finish(finished, worker: WorkerID("w0"))
    }
    _ = try await store.settleSweeps(as: leader)
    #expect(try await store.recomputeCounters(as: leader).isEmpty)
    #expect(Set(try await store.sweeps(in: nil).map(\.state)) == [.done])
    #expect(try await store.table("SELECT DISTINCT state FROM task") == ["done"])
    #expect(
      try await store.table("SELECT count(*) FROM task t WHERE (SELECT count(*) FROM sae WHERE task = t.id) <> 1") == [
        "0"
      ])
    #expect(
      try await store.table(
        "SELECT count(*) FROM task t WHERE (SELECT count(*) FROM task_attempt a WHERE a.task = t.id AND outcome = 'done') <> 1"
      )
        == ["0"])
    #expect(try await store.table("SELECT count(*) FROM task_attempt WHERE outcome IS NULL") == ["0"])
  }

  private func plan(
    _ plans: [[[TaskDefinition]]], _ store: PostgreSQLStore, _ leader: LeaderToken, _ seed: UInt64
  ) async throws {
    for (number, chunks) in plans.enumerated() {
      let id = try await store.submit(SweepSubmission("s\(number)", inputs: [[1], [UInt8(number)]])).id
      for (index, chunk) in chunks.enumerated() {
        let chunk = PlanChunk(from: index, to: index + 1, tasks: chunk, isLast: index == chunks.count - 1)
        // It may be paused, cancelled or gone: then it is not applied, or not there.
        do { _ = try await store.expand(id, with: chunk, as: leader) } catch let error as StoreError {
          if ![.missing, .unknownDependency].contains(error.code) { throw error }
        }
      }
    }
  }

  private func lead(_ store: PostgreSQLStore, _ leader: LeaderToken) async throws {
    for round in 0..<40 {
      _ = try await store.dispatch(DispatchPolicy(window: 10, redispatchAfter: 0), as: leader)
      if round % 4 == 0 {
        _ = try await store.reap(ReapPolicy(failureLimit: 1000, everyLease: round % 8 == 0), as: leader)
      }
      _ = try await store.settleSweeps(as: leader)
      if round % 10 == 0 { #expect(try await store.recomputeCounters(as: leader).isEmpty) }
      #expect(try await store.renewLeadership(leader, for: 30))
    }
  }

  private func work(_ store: PostgreSQLStore, _ name: String, _ seed: UInt64) async throws {
    var generator = SeededGenerator(seed: seed &+ UInt64(name.hashValue & 0xFFFF))
    let worker = WorkerID(name)
    try await store.register(WorkerRegistration(name))
    for _ in 0..<40 {
      let ready = try await store.table("SELECT id FROM task WHERE state IN ('ready', 'queued') ORDER BY id LIMIT 12")
      let ids = ready.compactMap { Int64($0) }.map { TaskID($0) }.shuffled(using: &generator)
      let claimed = try await store.claim(ids, worker: worker, for: 45)
      _ = try await store.heartbeat(worker, .ready, memory: nil, for: 45)
      var finished: [FinishedTask] = []
      for task in claimed {
        switch Int.random(in: 0..<8, using: &generator) {
        case 0:
          let failure = TaskFailure(lease: task.lease, fault: .transient, error: "e", jitter: 0)
          _ = try await store.fail(failure, worker: worker, policy: RetryPolicy(failureLimit: 1000, base: 0))
        case 1: try await store.release([task.lease], worker: worker, reason: "r")
        case 2:
          let failure = TaskFailure(lease: task.lease, fault: .task, error: "e", jitter: 0)
          _ = try await store.fail(failure, worker: worker, policy: RetryPolicy())
        default:
          let artifacts = [Artifact(name: "a", bytes: [1]), Artifact(name: "b", bytes: Array(task.title.utf8))]
          finished.append(FinishedTask(lease: task.lease, result: TaskResult(artifacts: artifacts, rows: [row("s")])))
        }
      }
      _ = try await store.finish(finished, worker: worker)
    }
    _ = try await store.release(
      store.heartbeat(worker, .ready, memory: nil, for: 45).held, worker: worker, reason: "end")
  }

  private func meddle(_ store: PostgreSQLStore, _ count: Int, _ seed: UInt64) async throws {
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<60 {
      guard let sweep = try await store.findSweep("s\(Int.random(in: 0..<count, using: &generator))")?.id else {
        continue
      }
      do {
        switch Int.random(in: 0..<12, using: &generator) {
        case 0...2: _ = try await store.pause(sweep)
        case 3...5: _ = try await store.resume(sweep)
        case 6: _ = try await store.cancel(sweep)
        case 7...9: _ = try await store.retry(sweep)
        case 10: _ = try await store.delete(sweep)
        default: _ = try await store.progress(of: sweep, rateOver: 60)
        }
      } catch let error as StoreError where error.code == .missing {}
    }
  }
}
