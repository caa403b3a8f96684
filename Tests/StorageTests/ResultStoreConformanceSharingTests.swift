import Storage
import SweepRecords
import Testing

/// Sweeps that share tasks: each task runs once, and goes with the last sweep that wants it.
@Suite struct ResultStoreConformanceSharingTests {
  private func prepare(
    _ kind: StoreKind
  ) async throws -> (store: any ResultStore, leader: LeaderToken, one: SweepID, two: SweepID) {
    let store = try await StoreFixture(kind).open()
    let leader = try await store.lead()
    try await store.register(WorkerRegistration("worker"))
    let one = try await store.add(
      SweepSubmission("one", inputs: [[1], [2]]), [.init("shared"), .init("a", after: ["shared"])], as: leader)
    let two = try await store.add(
      SweepSubmission("two", inputs: [[2], [3]]), [.init("shared"), .init("b", after: ["shared"])], as: leader)
    return (store, leader, one, two)
  }

  @Test(arguments: StoreKind.allCases) func `a shared task runs once and counts for both`(_ kind: StoreKind)
    async throws
  {
    let (store, leader, one, two) = try await prepare(kind)
    let said = try await store.dispatch(DispatchPolicy(window: 9), as: leader)
    #expect(said.count == 1)
    let claimed = try #require(try await store.claim(["shared"], by: "worker").first)
    #expect(claimed.sweeps == [one, two])
    let row = TableRow(.steeringVector, ["behaviour": "x", "layer": 1, "name": "original"])
    try await store.finish(claimed, by: "worker", TaskResult(rows: [row]))
    #expect(try await store.state(of: "a") == .ready)
    #expect(try await store.state(of: "b") == .ready)
    for sweep in [one, two] {
      #expect(try await store.progress(of: sweep, rateOver: 60).counts == [.done: 1, .ready: 1])
    }
    #expect(
      try await store.table(
        "SELECT s.name FROM sweep s JOIN sweep_task st ON st.sweep = s.number JOIN steering_vector v ON v.task = st.task ORDER BY 1"
      )
        == ["one", "two"])
  }

  @Test(arguments: StoreKind.allCases) func `cancelling one leaves what the other wants`(_ kind: StoreKind) async throws
  {
    let (store, leader, one, two) = try await prepare(kind)
    _ = try await store.dispatch(DispatchPolicy(window: 9), as: leader)
    #expect(try await store.cancel(one) == .cancelled)
    #expect(try await store.cancel(one) == .cancelled)
    #expect(try await store.state(of: "shared") == .queued)
    #expect(try await store.state(of: "a") == .cancelled)
    #expect(try await store.pause(one) == .cancelled)
    #expect(try await store.resume(one) == .cancelled)
    #expect(try await store.cancel(two) == .cancelled)
    #expect(try await store.state(of: "shared") == .cancelled)
    #expect(try await store.state(of: "b") == .cancelled)
    #expect(try await store.retry(two) == .active)
    #expect(try await store.state(of: "shared") == .ready)
    #expect(try await store.state(of: "b") == .blocked)
    #expect(try await store.state(of: "a") == .cancelled)
    try await store.run("shared", "b")
    #expect(try await store.settleSweeps(as: leader).map(\.id) == [two])
  }

  @Test(arguments: StoreKind.allCases) func `a new sweep revives what was cancelled`(_ kind: StoreKind) async throws {
    let (store, leader, one, two) = try await prepare(kind)
    try await store.run("shared")
    _ = try await store.cancel(one)
    _ = try await store.cancel(two)
    let three = try await store.add(
      SweepSubmission("three"), [.init("shared"), .init("a", after: ["shared"])], as: leader)
    #expect(try await store.state(of: "a") == .ready)
    #expect(try await store.state(of: "b") == .cancelled)
    try await store.run("a")
    #expect(try await store.settleSweeps(as: leader).map(\.id) == [three])
    #expect(try await store.state(of: one) == .cancelled)
  }

  @Test(arguments: StoreKind.allCases) func `retrying one reopens the other`(_ kind: StoreKind) async throws {
    let (store, leader, one, two) = try await prepare(kind)
    let task = try #require(try await store.claim(["shared"], by: "worker").first)
    let failure = TaskFailure(lease: task.lease, fault: .task, error: "e", jitter: 0)
    _ = try await store.fail(failure, worker: WorkerID("worker"), policy: RetryPolicy())
    #expect(try await store.settleSweeps(as: leader).map(\.state) == [.doneWithParked, .doneWithParked])
    #expect(try await store.retry(two) == .active)
    #expect(try await store.state(of: one) == .active)
    try await store.run("shared", "a", "b")
    #expect(try await store.settleSweeps(as: leader).map(\.state) == [.done, .done])
  }

  @Test(arguments: StoreKind.allCases) func `deleting removes only what no other sweep uses`(_ kind: StoreKind)
    async throws
  {
    let (store, leader, one, two) = try await prepare(kind)
    func result(_ name: String) -> TaskResult {
      TaskResult(
        artifacts: [Artifact(name: "out", bytes: Array(name.utf8)), Artifact(name: "same", bytes: [9])],
        rows: [TableRow(.steeringVector, ["behaviour": .text(name), "layer": 1, "name": "original"])])
    }
    for name in ["shared", "a", "b"] { try await store.run(name, leaving: result(name)) }
    // Inputs [1], [2], [3]; outputs of three tasks, and one that all made.
    #expect(try await store.counts().artifacts == 7)
    #expect(try await store.delete(one))
    #expect(try await store.delete(one) == false)
    #expect(try await store.findSweep("one") == nil)
    #expect(try await store.task("a") == nil)
    #expect(try await store.table("SELECT behaviour FROM steering_vector ORDER BY 1") == ["b", "shared"])
    #expect(try await store.artifact(Digest(of: [1])) == nil)
    #expect(try await store.artifact(Digest(of: "a")) == nil)
    for bytes in [[2], [3], [9], Array("b".utf8), Array("shared".utf8)] {
      #expect(try await store.artifact(Digest(of: bytes)) == bytes)
    }
    #expect(try await store.recomputeCounters(as: leader).isEmpty)
    #expect(try await store.settleSweeps(as: leader).map(\.id) == [two])
    #expect(try await store.delete(two))
    let counts = try await store.counts()
    #expect(counts.tasks.isEmpty && counts.sweeps.isEmpty && counts.artifacts == 0)
    for table in ["task_group", "task_group_member", "task_attempt", "artifact_chunk", "steering_vector", "sweep_task"]
    {
      #expect(try await store.table("SELECT count(*) FROM \(table)") == ["0"])
    }
    // Planned again, it is new.
    try await store.add(SweepSubmission("one"), [.init("shared"), .init("a", after: ["shared"])], as: leader)
    #expect(try await store.state(of: "shared") == .ready)
  }

  @Test(arguments: StoreKind.allCases) func `deleting under a worker's hands fences it`(_ kind: StoreKind) async throws
  {
    let (store, leader, one, two) = try await prepare(kind)
    let task = try #require(try await store.claim(["shared"], by: "worker").first)
    #expect(try await store.delete(one))
    #expect(try await store.state(of: "shared") == .running)
    #expect(try await store.delete(two))
    #expect(try await store.heartbeat(WorkerID("worker"), .ready, memory: nil, for: 45).held.isEmpty)
    #expect(try await store.finish(task, by: "worker") == .fenced)
    await #expect { try await store.pause(two) } throws: { ($0 as? StoreError)?.code == .missing }
    let chunk = PlanChunk(from: 0, to: 1, tasks: [], isLast: true)
    await #expect { try await store.expand(two, with: chunk, as: leader) } throws: {
      ($0 as? StoreError)?.code == .missing
    }
  }
}
