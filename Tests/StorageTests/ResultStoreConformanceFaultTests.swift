import SweepRecords
import Testing

@testable import Storage

/// Leases lost, tasks failed, results that come twice: nothing is lost and nothing is there twice.
@Suite struct ResultStoreConformanceFaultTests {
  private let result = TaskResult(
    artifacts: [Artifact(name: "sae", bytes: [1, 2, 3])], rows: [TableRow(.sae, ["name": "s", "layer": 3, "l0": 8.5])])

  /// A store with a leader, two workers and a sweep of one task with one dependent.
  private func prepare(
    _ kind: StoreKind
  ) async throws -> (fixture: StoreFixture, store: any ResultStore, leader: LeaderToken, sweep: SweepID) {
    let fixture = try await StoreFixture(kind)
    let store = try fixture.open()
    let leader = try await store.lead()
    for name in ["one", "two"] { try await store.register(WorkerRegistration(name)) }
    let sweep = try await store.add(SweepSubmission("a"), [.init("x"), .init("y", after: ["x"])], as: leader)
    return (fixture, store, leader, sweep)
  }

  @Test(arguments: StoreKind.allCases) func `a worker that lost its lease leaves nothing`(_ kind: StoreKind)
    async throws
  {
    let (fixture, store, leader, sweep) = try await prepare(kind)
    let first = try #require(try await store.claim(["x"], by: "one").first)
    #expect(try await store.claim(["x"], by: "two").isEmpty)
    fixture.clock.advance(45)
    let reaped = try await store.reap(ReapPolicy(), as: leader)
    let expired = ReapedTask(
      lease: first.lease, sweep: sweep, worker: WorkerID("one"),
      error: "its worker one on host was last heard of 45 s ago", state: .ready)
    #expect(reaped == [expired])
    let second = try #require(try await store.claim(["x"], by: "two").first)
    #expect(second.failures == 1 && second.lease.token > first.lease.token)
    // Late, by another worker, with a made-up token: all fenced, and all without a trace.
    #expect(try await store.finish(first, by: "one", result) == .fenced)
    #expect(try await store.finish(second, by: "one", result) == .fenced)
    var invented = second
    invented.lease.token = LeaseToken(99)
    #expect(try await store.finish(invented, by: "two", result) == .fenced)
    #expect(try await store.table("SELECT count(*) FROM sae") == ["0"])
    #expect(try await store.counts().artifacts == 0)
    #expect(try await store.state(of: "y") == .blocked)
    #expect(try await store.finish(second, by: "two", result) == .done)
    #expect(try await store.table("SELECT name, layer, l0 FROM sae") == ["s|3|8.5"])
    let outcomes = try await store.attempts(at: first.lease.task).map(\.outcome)
    #expect(outcomes == [.expired, .done])
  }

  /// A worker that the kernel ends for its memory says nothing; what it said before is in the attempt.
  @Test(arguments: StoreKind.allCases) func `the last words of a worker are the reaper's`(_ kind: StoreKind)
    async throws
  {
    let (fixture, store, leader, _) = try await prepare(kind)
    let task = try #require(try await store.claim(["x"], by: "one").first)
    let use = MemoryUse(used: 8_482_560_410, limit: 8 << 30)
    _ = try await store.heartbeat(WorkerID("one"), .ready, memory: use, for: 45)
    #expect(try await store.workers().first { $0.registration.id == WorkerID("one") }?.memory == use)
    #expect(try await store.workers().first { $0.registration.id == WorkerID("two") }?.memory == nil)
    fixture.clock.advance(61)
    let reaped = try await store.reap(ReapPolicy(failureLimit: 1), as: leader)
    let words = "its worker one on host was last heard of 61 s ago, using 7.9 GiB of 8.0 GiB of memory"
    #expect(reaped.map(\.error) == [words] && reaped.map(\.state) == [.parked])
    #expect(reaped.map(\.lease) == [task.lease])
    #expect(try await store.attempts(at: task.lease.task).map(\.error) == [words])
    // Where it can't be told any more, nothing is said of it.
    _ = try await store.heartbeat(WorkerID("one"), .ready, memory: nil, for: 45)
    #expect(try await store.workers().first { $0.registration.id == WorkerID("one") }?.memory == nil)
  }

  @Test func `memory is told in words`() {
    #expect("\(MemoryUse(used: 300 << 20, limit: 1 << 30))" == "300 MiB of 1.0 GiB of memory")
    #expect("\(MemoryUse(used: 0, limit: .max))" == "0 MiB of 8589934592.0 GiB of memory")
    #expect(SilentWorker(id: WorkerID("w")).obituary == "its worker w was not heard of any more")
    #expect(SilentWorker(id: WorkerID("w"), silence: -3).obituary == "its worker w was last heard of 0 s ago")
    #expect(SilentWorker(id: WorkerID("w"), silence: .infinity).obituary.hasPrefix("its worker w was last"))
  }

  @Test(arguments: StoreKind.allCases) func `the same worker's older lease is fenced too`(_ kind: StoreKind)
    async throws
  {
    let (_, store, leader, _) = try await prepare(kind)
    let first = try #require(try await store.claim(["x"], by: "one").first)
    _ = try await store.reap(ReapPolicy(everyLease: true), as: leader)
    let second = try #require(try await store.claim(["x"], by: "one").first)
    #expect(try await store.finish(first, by: "one", result) == .fenced)
    #expect(try await store.finish(second, by: "one", result) == .done)
    #expect(try await store.finish(first, by: "one", result) == .fenced)
  }

  @Test(arguments: StoreKind.allCases) func `a finish whose reply was lost is told again, and counts once`(
    _ kind: StoreKind
  ) async throws {
    let (_, store, _, _) = try await prepare(kind)
    let task = try #require(try await store.claim(["x"], by: "one").first)
    #expect(try await store.finish(task, by: "one", result) == .done)
    #expect(try await store.finish(task, by: "one", result) == .alreadyDone)
    #expect(try await store.finish(task, by: "two", result) == .fenced)
    #expect(try await store.table("SELECT count(*) FROM sae") == ["1"])
    #expect(try await store.state(of: "y") == .ready)
  }

  @Test(arguments: StoreKind.allCases) func `a row that can't be stored leaves the task as it was`(
    _ kind: StoreKind
  ) async throws {
    let (_, store, _, _) = try await prepare(kind)
    let task = try #require(try await store.claim(["x"], by: "one").first)
    let row = TableRow(.sae, ["name": "s", "layer": 3])
    let bad: [[TableRow]] = [
      [row, row], [TableRow(.sae, ["name": "s", "layer": 3, "nonsense": 1])], [TableRow(.sae, ["name": "s"])],
      [TableRow(.sae, ["name": "s", "layer": "three"])], [TableRow(.sae, ["name": "s", "layer": 3, "task": 1])],
      [TableRow(.sae, ["name": "s", "layer": 3, "l0\") VALUES (1); --": 1])],
    ]
    for rows in bad {
      let result = TaskResult(artifacts: [Artifact(name: "a", bytes: [1])], rows: rows)
      await #expect { try await store.finish(task, by: "one", result) } throws: {
        ($0 as? StoreError)?.code == .conflict
      }
    }
    let twice = TaskResult(artifacts: [Artifact(name: "a", bytes: [1]), Artifact(name: "a", bytes: [2])])
    await #expect(throws: StoreError.self) { try await store.finish(task, by: "one", twice) }
    #expect(try await store.state(of: "x") == .running)
    #expect(try await store.counts().artifacts == 0)
    #expect(try await store.table("SELECT count(*) FROM sae") == ["0"])
    // Numbers that are not finite are null; whole numbers will do where a real one belongs.
    let odd = TaskResult(rows: [TableRow(.sae, ["name": "s", "layer": 3, "l0": .real(.nan), "threshold": 2])])
    #expect(try await store.finish(task, by: "one", odd) == .done)
    #expect(try await store.table("SELECT l0, threshold, width FROM sae") == ["-|2.0|-"])
  }

  @Test(arguments: StoreKind.allCases) func `a task's own fault parks it at once, and retry revives it`(
    _ kind: StoreKind
  ) async throws {
    let (fixture, store, leader, sweep) = try await prepare(kind)
    let task = try #require(try await store.claim(["x"], by: "one").first)
    let failure = TaskFailure(lease: task.lease, fault: .task, error: "result is not finite", log: "layer 3", jitter: 0)
    #expect(try await store.fail(failure, worker: WorkerID("two"), policy: RetryPolicy()) == .fenced)
    #expect(try await store.fail(failure, worker: WorkerID("one"), policy: RetryPolicy()) == .parked)
    #expect(try await store.fail(failure, worker: WorkerID("one"), policy: RetryPolicy()) == .fenced)
    let parked = try #require(try await store.parkedTasks(of: sweep, limit: 10).first)
    #expect(parked.title == "x" && parked.error == "result is not finite" && parked.failures == 1)
    #expect(parked.sweeps == [sweep] && parked.parkedAt == fixture.clock.now && parked.work == #"{"name":"x"}"#)
    #expect(try await store.parkedTasks(of: nil, limit: 10) == [parked])
    #expect(try await store.table("SELECT sweep, title, error FROM parked_task") == ["a|x|result is not finite"])
    #expect(try await store.attempts(at: task.lease.task).map(\.log) == ["layer 3"])
    #expect(try await store.settleSweeps(as: leader).map(\.state) == [.doneWithParked])
    #expect(try await store.state(of: "y") == .blocked)
    #expect(try await store.retry(sweep) == .active)
    #expect(try await store.retry(sweep) == .active)
    try await store.run("x", "y", by: "one")
    #expect(try await store.settleSweeps(as: leader).map(\.state) == [.done])
    #expect(try await store.retry(sweep) == .done)
  }

  @Test(arguments: StoreKind.allCases) func `passing failures wait longer each time, then park`(
    _ kind: StoreKind
  ) async throws {
    let (fixture, store, leader, _) = try await prepare(kind)
    let policy = RetryPolicy(failureLimit: 4, base: 8, longest: 20)
    for (jitter, delay) in [(1.0, 8.0), (0.5, 12.0), (0.0, 10.0)] {
      let task = try #require(try await store.claim(["x"], by: "one").first)
      let failure = TaskFailure(lease: task.lease, fault: .transient, error: "connection", jitter: jitter)
      let start = fixture.clock.now
      #expect(
        try await store.fail(failure, worker: WorkerID("one"), policy: policy) == .retry(notBefore: start + delay))
      fixture.clock.advance(delay - 0.5)
      #expect(try await store.claim(["x"], by: "one").isEmpty)
      #expect(try await store.dispatch(DispatchPolicy(window: 5), as: leader).isEmpty)
      fixture.clock.advance(0.5)
    }
    let task = try #require(try await store.claim(["x"], by: "one").first)
    let failure = TaskFailure(lease: task.lease, fault: .transient, error: "connection", jitter: 0)
    #expect(try await store.fail(failure, worker: WorkerID("one"), policy: policy) == .parked)
  }

  @Test func `back-off doubles, has a limit, and never overflows`() {
    let policy = RetryPolicy(failureLimit: 5, base: 2, longest: 300)
    #expect((1...9).map { policy.delay(failures: $0, jitter: 1) } == [2, 4, 8, 16, 32, 64, 128, 256, 300])
    #expect(policy.delay(failures: .max, jitter: 7) == 300)
    #expect(policy.delay(failures: 1, jitter: -1) == 1)
    #expect(policy.delay(failures: 0, jitter: 1) == 2)
  }

  @Test(arguments: StoreKind.allCases) func `a task that kills its workers is parked`(_ kind: StoreKind) async throws {
    let (fixture, store, leader, _) = try await prepare(kind)
    for failures in 1...3 {
      #expect(try await store.claim(["x"], by: "one").first?.failures == failures - 1)
      fixture.clock.advance(44)
      #expect(try await store.reap(ReapPolicy(failureLimit: 3), as: leader).isEmpty)
      fixture.clock.advance(1)
      let states = try await store.reap(ReapPolicy(failureLimit: 3), as: leader).map(\.state)
      #expect(states == [failures < 3 ? .ready : .parked])
    }
    let parked = try await store.parkedTasks(of: nil, limit: 1)
    #expect(parked.first?.error.contains("one") == true)
  }

  @Test(arguments: StoreKind.allCases) func `what is given back is not counted`(_ kind: StoreKind) async throws {
    let (_, store, _, _) = try await prepare(kind)
    let task = try #require(try await store.claim(["x"], by: "one").first)
    try await store.release([task.lease], worker: WorkerID("two"), reason: "not mine")
    #expect(try await store.state(of: "x") == .running)
    try await store.release([task.lease], worker: WorkerID("one"), reason: "model.gguf is missing here")
    try await store.release([task.lease], worker: WorkerID("one"), reason: "again")
    let again = try #require(try await store.claim(["x"], by: "two").first)
    #expect(again.failures == 0)
    try await store.deregister(WorkerID("two"))
    #expect(try await store.state(of: "x") == .ready)
    let attempts = try await store.attempts(at: task.lease.task)
    #expect(attempts.map(\.outcome) == [.released, .released])
    #expect(attempts.first?.error == "model.gguf is missing here")
    await #expect { try await store.claim(["x"], by: "two") } throws: { ($0 as? StoreError)?.code == .missing }
    await #expect { try await store.heartbeat(WorkerID("two"), .ready, memory: nil, for: 9) } throws: {
      ($0 as? StoreError)?.code == .missing
    }
    #expect(try await store.workers().first { $0.registration.id == WorkerID("two") }?.stoppedAt != nil)
  }

  @Test(arguments: StoreKind.allCases) func `live workers are told from those of long ago`(_ kind: StoreKind)
    async throws
  {
    let fixture = try await StoreFixture(kind)
    let store = try fixture.open()
    for name in ["old", "gone", "late"] { try await store.register(WorkerRegistration(name)) }
    fixture.clock.advance(45)
    try await store.register(WorkerRegistration("new"))
    _ = try await store.heartbeat(WorkerID("late"), .draining, memory: nil, for: 45)
    try await store.deregister(WorkerID("gone"))
    fixture.clock.advance(5)
    func live(_ seconds: Double?) async throws -> [String] {
      try await store.workers(seenWithin: seconds).map(\.registration.id.text)
    }
    #expect(try await live(45) == ["late", "new"])
    // Heard of exactly so long ago is too long ago.
    #expect(try await live(5) == [])
    #expect(try await live(50) == ["late", "new"])
    #expect(try await live(51) == ["late", "new", "old"])
    #expect(try await live(nil) == ["gone", "late", "new", "old"])
    #expect(try await store.workers().count == 4)
    _ = try await store.heartbeat(WorkerID("old"), .ready, memory: nil, for: 45)
    #expect(try await live(1) == ["old"])
  }

  @Test(arguments: StoreKind.allCases) func `a heartbeat keeps leases and brings news`(_ kind: StoreKind) async throws {
    let (fixture, store, leader, sweep) = try await prepare(kind)
    try await store.add(SweepSubmission("b"), [.init("z")], as: leader)
    let claimed = try await store.claim(["x", "z"], by: "one")
    fixture.clock.advance(40)
    #expect(try await store.heartbeat(WorkerID("one"), .ready, memory: nil, for: 45).held == claimed.map(\.lease))
    fixture.clock.advance(40)
    #expect(try await store.reap(ReapPolicy(), as: leader).isEmpty)
    #expect(try await store.pause(sweep) == .paused)
    var reply = try await store.heartbeat(WorkerID("one"), .unready(reason: "disk full"), memory: nil, for: 45)
    #expect(reply.paused == [sweep] && reply.held.count == 2 && reply.cancelled.isEmpty)
    let worker = try #require(try await store.workers().first { $0.registration.id == WorkerID("one") })
    #expect(worker.condition == .unready(reason: "disk full") && worker.running == ["x", "z"])
    #expect(worker.seenAt == fixture.clock.now && worker.registration == WorkerRegistration("one"))
    #expect(try await store.cancel(sweep) == .cancelled)
    #expect(try await store.state(of: "x") == .running)
    #expect(try await store.state(of: "y") == .cancelled)
    reply = try await store.heartbeat(WorkerID("one"), .draining, memory: nil, for: 45)
    #expect(reply == HeartbeatReply(held: [claimed[1].lease], cancelled: [claimed[0].lease], paused: []))
    #expect(try await store.state(of: "x") == .cancelled)
    #expect(try await store.finish(claimed[0], by: "one", result) == .fenced)
    fixture.clock.advance(46)
    _ = try await store.reap(ReapPolicy(), as: leader)
    #expect(try await store.heartbeat(WorkerID("one"), .ready, memory: nil, for: 45).held.isEmpty)
  }
}
