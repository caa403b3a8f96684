import Storage
import SweepRecords
import Testing

/// A sweep's way from submission to its end.
@Suite struct ResultStoreConformanceLifecycleTests {
  @Test(arguments: StoreKind.allCases) func `the same sweep twice is one sweep`(_ kind: StoreKind) async throws {
    let store = try await StoreFixture(kind).open()
    let first = try await store.submit(SweepSubmission("a"))
    #expect(first.isNew && first.state == .planning && first.id.text.count == 12)
    let second = try await store.submit(SweepSubmission("a"))
    #expect(second == SubmittedSweep(id: first.id, isNew: false, state: .planning))
    #expect(try await store.sweeps(in: nil).count == 1)
  }

  @Test(arguments: StoreKind.allCases) func `what was submitted is read again`(_ kind: StoreKind) async throws {
    let fixture = try await StoreFixture(kind)
    let store = try fixture.open()
    let model = ModelRow(
      digest: .named("model"), name: "m", locator: "m.gguf", architecture: "llama", parameters: 135_000_000, layers: 30,
      width: 576, vocabulary: 49152)
    let behaviours = [
      BehaviourRow(
        name: "z", contrast: .named("c"), questions: .named("q"), pairCount: 10, questionCount: 5, read: .answerMean),
      BehaviourRow(name: "a", vector: .named("v")),
    ]
    var submission = SweepSubmission("a", priority: .high, inputs: [[1, 2, 3], []])
    (submission.document, submission.models, submission.behaviours) = (
      "name: a # ä\u{1}\u{10FFFF}👩‍🔬\\N", [model], behaviours
    )
    let id = try await store.submit(submission).id
    let stored = try await store.submission(of: id)
    #expect(stored.document == submission.document)
    #expect(stored.resolved == "{}")
    #expect(stored.models == [model])
    #expect(stored.behaviours == behaviours)
    #expect(Set(stored.inputs.map(\.size)) == [0, 3])
    #expect(stored.summary.priority == .high && stored.summary.submittedAt == fixture.clock.now)
    #expect(try await store.artifact(Digest(of: [1, 2, 3])) == [1, 2, 3])
    await #expect(throws: StoreError.self) { try await store.submission(of: SweepID("none")) }
  }

  @Test(arguments: StoreKind.allCases) func `a sweep runs from plan to end`(_ kind: StoreKind) async throws {
    let fixture = try await StoreFixture(kind)
    let store = try fixture.open()
    let leader = try await store.lead()
    try await store.register(WorkerRegistration("worker"))
    let sweep = try await store.submit(SweepSubmission("a")).id
    let first = PlanChunk(from: 0, to: 2, tasks: [.init("x"), .init("y")], isLast: false)
    var reply = try await store.expand(sweep, with: first, as: leader)
    #expect(reply == ExpansionReply(applied: true, state: .planning, cursor: 2, inserted: 2, alreadyDone: 0))
    reply = try await store.expand(sweep, with: first, as: leader)
    #expect(reply == ExpansionReply(applied: false, state: .planning, cursor: 2, inserted: 0, alreadyDone: 0))
    #expect(try await store.dispatch(DispatchPolicy(window: 10), as: leader).isEmpty)
    #expect(try await store.claim(["x"], by: "worker").isEmpty)
    let last = PlanChunk(from: 2, to: 3, tasks: [.init("z", after: ["x", "y"], kind: .score, layer: 4)], isLast: true)
    reply = try await store.expand(sweep, with: last, as: leader)
    #expect(reply == ExpansionReply(applied: true, state: .active, cursor: 3, inserted: 1, alreadyDone: 0))

    let dispatched = try await store.dispatch(DispatchPolicy(window: 10), as: leader)
    #expect(dispatched.map(\.work) == [#"{"name":"x"}"#, #"{"name":"y"}"#])
    #expect(dispatched.allSatisfy { $0.sweep == sweep && $0.id.dispatch == 1 && $0.priority == .normal })
    let claimed = try await store.claim(["x", "y", "z"], by: "worker")
    #expect(claimed.map(\.title) == ["x", "y"])
    #expect(claimed[0].files.map(\.locator) == ["models/model x.gguf"])
    #expect(claimed[0].key == .named("x") && claimed[0].sweeps == [sweep] && claimed[0].estimate == 2)
    #expect(claimed[0].lease.token < claimed[1].lease.token)
    #expect(try await store.settleSweeps(as: leader).isEmpty)

    #expect(try await store.finish(claimed[0], by: "worker") == .done)
    #expect(try await store.state(of: "z") == .blocked)
    #expect(try await store.finish(claimed[1], by: "worker") == .done)
    #expect(try await store.state(of: "z") == .ready)
    #expect(try await store.settleSweeps(as: leader).isEmpty)
    fixture.clock.advance(5)
    try await store.run("z")
    let ended = try await store.settleSweeps(as: leader)
    #expect(ended.map(\.id) == [sweep] && ended[0].state == .done && ended[0].endedAt == fixture.clock.now)
    #expect(try await store.settleSweeps(as: leader).isEmpty)
    #expect(try await store.recomputeCounters(as: leader).isEmpty)
  }

  @Test(arguments: StoreKind.allCases) func `a plan that waits for what it lacks is refused whole`(
    _ kind: StoreKind
  ) async throws {
    let store = try await StoreFixture(kind).open()
    let leader = try await store.lead()
    try await store.add(SweepSubmission("other"), [.init("x")], as: leader)
    let sweep = try await store.submit(SweepSubmission("a")).id
    let chunk = PlanChunk(from: 0, to: 1, tasks: [.init("y"), .init("z", after: ["x"])], isLast: true)
    await #expect { try await store.expand(sweep, with: chunk, as: leader) } throws: {
      ($0 as? StoreError)?.code == .unknownDependency
    }
    #expect(try await store.task("y") == nil)
    #expect(try await store.findSweep(sweep.text)?.cursor == 0)
  }

  @Test(arguments: StoreKind.allCases) func `dependencies may follow within a chunk`(_ kind: StoreKind) async throws {
    let store = try await StoreFixture(kind).open()
    let leader = try await store.lead()
    try await store.register(WorkerRegistration("worker"))
    try await store.add(SweepSubmission("a"), [.init("z", after: ["x", "x"]), .init("x"), .init("x")], as: leader)
    #expect(try await store.state(of: "z") == .blocked)
    try await store.run("x")
    #expect(try await store.state(of: "z") == .ready)
  }

  @Test(arguments: StoreKind.allCases) func `a sweep of nothing new ends at once`(_ kind: StoreKind) async throws {
    let store = try await StoreFixture(kind).open()
    let leader = try await store.lead()
    try await store.register(WorkerRegistration("worker"))
    try await store.add(SweepSubmission("a"), [.init("x"), .init("y", after: ["x"])], as: leader)
    try await store.run("x", "y")
    let second = try await store.submit(SweepSubmission("b")).id
    let chunk = PlanChunk(from: 0, to: 2, tasks: [.init("x"), .init("y", after: ["x"])], isLast: true)
    let reply = try await store.expand(second, with: chunk, as: leader)
    #expect(reply == ExpansionReply(applied: true, state: .active, cursor: 2, inserted: 0, alreadyDone: 2))
    #expect(try await store.settleSweeps(as: leader).map(\.state) == [.done, .done])
    let third = try await store.add(SweepSubmission("empty"), [], as: leader)
    #expect(try await store.settleSweeps(as: leader).map(\.id) == [third])
  }

  @Test(arguments: StoreKind.allCases) func `sweeps are found by name, id and beginning`(_ kind: StoreKind) async throws
  {
    let store = try await StoreFixture(kind).open()
    let old = try await store.submit(SweepSubmission("a")).id
    let new = try await store.submit(SweepSubmission("a", variant: "2")).id
    #expect(try await store.findSweep("a")?.id == new)
    #expect(try await store.findSweep(old.text)?.id == old)
    #expect(try await store.findSweep(String(old.text.prefix(6)).uppercased())?.id == old)
    #expect(try await store.findSweep("nothing") == nil)
    #expect(try await store.findSweep("") == nil)
    #expect(try await store.findSweep("%") == nil)
    #expect(try await store.sweeps(in: nil).map(\.id) == [new, old])
    #expect(try await store.sweeps(in: .planning).count == 2)
    #expect(try await store.sweeps(in: .done).isEmpty)
    // Seventeen sweeps have sixteen first digits: two share one.
    for number in 0..<15 { _ = try await store.submit(SweepSubmission("n", variant: "\(number)")) }
    let digits = try await store.sweeps(in: nil).map { $0.id.text.prefix(1) }
    let twice = try #require(digits.first { digit in digits.filter { $0 == digit }.count > 1 && digit != "a" })
    await #expect(throws: (any Error).self) { try await store.findSweep(String(twice)) }
  }
}
