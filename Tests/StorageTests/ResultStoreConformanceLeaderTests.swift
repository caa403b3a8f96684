import Storage
import SweepRecords
import Testing

/// Who leads, and what is dispatched.
@Suite struct ResultStoreConformanceLeaderTests {
  @Test(arguments: StoreKind.allCases) func `one leads, and an old leader is fenced`(_ kind: StoreKind) async throws {
    let fixture = try await StoreFixture(kind)
    let store = try fixture.open()
    let first = try #require(try await store.acquireLeadership(holder: "a", for: 30))
    #expect(try await store.acquireLeadership(holder: "b", for: 30) == nil)
    fixture.clock.advance(29)
    #expect(try await store.renewLeadership(first, for: 30))
    fixture.clock.advance(29)
    #expect(try await store.acquireLeadership(holder: "b", for: 30) == nil)
    fixture.clock.advance(1)
    let second = try #require(try await store.acquireLeadership(holder: "b", for: 30))
    #expect(try await store.renewLeadership(first, for: 30) == false)
    let sweep = try await store.submit(SweepSubmission("a")).id
    let writes: [(LeaderToken) async throws -> Void] = [
      { _ = try await store.expand(sweep, with: PlanChunk(from: 0, to: 1, tasks: [], isLast: true), as: $0) },
      { _ = try await store.dispatch(DispatchPolicy(window: 1), as: $0) },
      { try await store.undispatch([], as: $0) }, { _ = try await store.reap(ReapPolicy(), as: $0) },
      { _ = try await store.settleSweeps(as: $0) }, { _ = try await store.recomputeCounters(as: $0) },
      { try await store.note(problem: "none", of: sweep, as: $0) },
    ]
    for write in writes {
      await #expect { try await write(first) } throws: { ($0 as? StoreError)?.code == .notLeader }
      try await write(second)
    }
    try await store.releaseLeadership(first)
    #expect(try await store.acquireLeadership(holder: "c", for: 30) == nil)
    try await store.releaseLeadership(second)
    await #expect(throws: StoreError.self) { try await store.settleSweeps(as: second) }
    #expect(try await store.acquireLeadership(holder: "c", for: 30) != nil)
  }

  @Test(arguments: StoreKind.allCases) func `why a sweep can't go on is noted until it can, or ends`(
    _ kind: StoreKind
  ) async throws {
    let store = try await StoreFixture(kind).open()
    let leader = try await store.lead()
    try await store.register(WorkerRegistration("worker"))
    let sweep = try await store.add(SweepSubmission("a"), [.init("x")], as: leader)
    let other = try await store.submit(SweepSubmission("b")).id
    #expect(try await store.sweeps(in: nil).map(\.problem) == [nil, nil])
    for problem in ["no live worker has model.gguf", "the sweep's \"layers\" can't be planned"] {
      for _ in 0..<2 { try await store.note(problem: problem, of: sweep, as: leader) }
      #expect(try await store.sweeps(in: .active).map(\.problem) == [problem])
      #expect(try await store.findSweep("a")?.problem == problem)
      #expect(try await store.submission(of: sweep).summary.problem == problem)
    }
    #expect(try await store.findSweep("b")?.problem == nil)
    for _ in 0..<2 { try await store.note(problem: nil, of: sweep, as: leader) }
    #expect(try await store.findSweep("a")?.problem == nil)
    // A pause changes nothing about it; the ends do.
    for id in [sweep, other] { try await store.note(problem: "stuck", of: id, as: leader) }
    _ = try await store.pause(sweep)
    _ = try await store.resume(sweep)
    #expect(try await store.findSweep("a")?.problem == "stuck")
    try await store.run("x")
    #expect(try await store.settleSweeps(as: leader).map(\.problem) == [nil])
    #expect(try await store.findSweep("b")?.problem == "stuck")
    _ = try await store.cancel(other)
    #expect(try await store.findSweep("b")?.problem == nil)
    await #expect { try await store.note(problem: "none", of: SweepID("nothing"), as: leader) } throws: {
      ($0 as? StoreError)?.code == .missing
    }
  }

  @Test(arguments: StoreKind.allCases) func `the window bounds, and sweeps share it`(_ kind: StoreKind) async throws {
    let store = try await StoreFixture(kind).open()
    let leader = try await store.lead()
    try await store.register(WorkerRegistration("worker"))
    let many = try await store.add(SweepSubmission("many"), (0..<20).map { .init("m\($0)") }, as: leader)
    let few = try await store.add(SweepSubmission("few"), (0..<3).map { .init("f\($0)") }, as: leader)
    let low = try await store.add(SweepSubmission("low", priority: .low), [.init("l")], as: leader)
    var said = try await store.dispatch(DispatchPolicy(window: 6), as: leader)
    #expect(said.filter { $0.sweep == many }.count == 3 && said.filter { $0.sweep == few }.count == 3)
    #expect(try await store.dispatch(DispatchPolicy(window: 6), as: leader).isEmpty)
    // What is urgent finds room although the window is full of less urgent tasks.
    let high = try await store.add(SweepSubmission("high", priority: .high), [.init("h0"), .init("h1")], as: leader)
    said = try await store.dispatch(DispatchPolicy(window: 6), as: leader)
    #expect(said.map(\.sweep) == [high, high] && said.allSatisfy { $0.priority == .high })
    // The less urgent comes when there is room for all.
    said = try await store.dispatch(DispatchPolicy(window: 30), as: leader)
    #expect(said.count == 18 && said.last?.sweep == low && said.last?.priority == .low)
    #expect(try await store.dispatch(DispatchPolicy(window: 30), as: leader).isEmpty)
    #expect(try await store.counts().tasks == [.queued: 26])
  }

  @Test(arguments: StoreKind.allCases) func `fairness counts what is in flight`(_ kind: StoreKind) async throws {
    let store = try await StoreFixture(kind).open()
    let leader = try await store.lead()
    try await store.register(WorkerRegistration("worker"))
    let first = try await store.add(SweepSubmission("first"), (0..<9).map { .init("a\($0)") }, as: leader)
    _ = try await store.dispatch(DispatchPolicy(window: 4), as: leader)
    _ = try await store.claim((0..<4).map { "a\($0)" }, by: "worker")
    let second = try await store.add(SweepSubmission("second"), (0..<9).map { .init("b\($0)") }, as: leader)
    let said = try await store.dispatch(DispatchPolicy(window: 6), as: leader)
    #expect(said.map(\.sweep) == [second, second, second, second, first, second])
  }

  @Test(arguments: StoreKind.allCases) func `lost and returned messages are sent again`(_ kind: StoreKind) async throws
  {
    let fixture = try await StoreFixture(kind)
    let store = try fixture.open()
    let leader = try await store.lead()
    let sweep = try await store.add(SweepSubmission("a"), [.init("x")], as: leader)
    let policy = DispatchPolicy(window: 1, redispatchAfter: 10)
    let first = try await store.dispatch(policy, as: leader).map(\.id)
    #expect(first.map(\.dispatch) == [1])
    // 10 s, then 20, 40, ... however full the queue is.
    for (wait, number) in [(10.0, 2), (20.0, 3), (40.0, 4)] {
      fixture.clock.advance(wait - 0.5)
      #expect(try await store.dispatch(policy, as: leader).isEmpty)
      fixture.clock.advance(0.5)
      #expect(try await store.dispatch(policy, as: leader).map(\.id.dispatch) == [number])
    }
    // The return of an old message changes nothing; that of the last one does.
    try await store.undispatch(first, as: leader)
    #expect(try await store.state(of: "x") == .queued)
    try await store.undispatch([DispatchID(task: first[0].task, dispatch: 4)], as: leader)
    #expect(try await store.state(of: "x") == .ready)
    #expect(try await store.dispatch(policy, as: leader).map(\.id.dispatch) == [5])
    // A pause keeps it from being sent again, and the resumption sends it at once.
    _ = try await store.pause(sweep)
    fixture.clock.advance(1000)
    #expect(try await store.dispatch(policy, as: leader).isEmpty)
    #expect(try await store.resume(sweep) == .active)
    #expect(try await store.dispatch(policy, as: leader).map(\.id.dispatch) == [6])
    #expect(try await store.resume(sweep) == .active)
    #expect(try await store.dispatch(policy, as: leader).isEmpty)
  }

  @Test(arguments: StoreKind.allCases) func `tasks of a paused sweep don't fill the window`(_ kind: StoreKind)
    async throws
  {
    let store = try await StoreFixture(kind).open()
    let leader = try await store.lead()
    let paused = try await store.add(SweepSubmission("a"), [.init("x"), .init("y")], as: leader)
    #expect(try await store.dispatch(DispatchPolicy(window: 2), as: leader).count == 2)
    _ = try await store.pause(paused)
    try await store.add(SweepSubmission("b"), [.init("z")], as: leader)
    #expect(try await store.dispatch(DispatchPolicy(window: 2), as: leader).map(\.work) == [#"{"name":"z"}"#])
  }

  @Test(arguments: StoreKind.allCases) func `workers of another arithmetic get nothing`(_ kind: StoreKind) async throws
  {
    let store = try await StoreFixture(kind).open()
    let leader = try await store.lead()
    try await store.register(WorkerRegistration("old", numericsVersion: SweepRecords.numericsVersion + 1))
    try await store.add(SweepSubmission("a"), [.init("x")], as: leader)
    _ = try await store.dispatch(DispatchPolicy(window: 2), as: leader)
    #expect(try await store.claim(["x"], by: "old").isEmpty)
    await #expect(throws: StoreError.self) { try await store.claim(["x"], by: "unknown") }
  }
}
