import SweepRecords
import Testing

@testable import Storage

/// Why tasks can't be claimed.
@Suite struct ResultStoreConformanceMissTests {
  @Test(arguments: StoreKind.allCases) func `each reason has its name`(_ kind: StoreKind) async throws {
    let fixture = try await StoreFixture(kind)
    let store = try fixture.open()
    let leader = try await store.lead()
    for name in ["one", "two"] { try await store.register(WorkerRegistration(name)) }
    try await store.register(WorkerRegistration("other", numericsVersion: numericsVersion + 1))
    let sweep = try await store.add(
      SweepSubmission("a"),
      [.init("held"), .init("done"), .init("failed"), .init("free"), .init("waits", after: ["free"])], as: leader)
    let names = ["held", "done", "failed", "free", "waits"]
    var ids: [String: TaskID] = [:]
    for name in names { ids[name] = try await store.task(name)?.id }
    func reasons(_ worker: String) async throws -> [ClaimMiss?] {
      let misses = try await store.claimMisses(
        names.compactMap { ids[$0] } + [TaskID(987_654)], worker: WorkerID(worker))
      #expect(misses[TaskID(987_654)] == .missing && misses.count == 6)
      return names.map { ids[$0].flatMap { misses[$0] } }
    }
    _ = try await store.claim(["held"], by: "one")
    try await store.run("done", by: "one")
    let failed = try #require(try await store.claim(["failed"], by: "one").first)
    _ = try await store.fail(
      TaskFailure(lease: failed.lease, fault: .transient, error: "no", jitter: 1), worker: WorkerID("one"),
      policy: RetryPolicy())
    #expect(try await reasons("two") == [.running, .ended, .notDue, .free, .blocked])
    #expect(try await reasons("other") == [.running, .ended, .otherNumerics, .otherNumerics, .blocked])
    fixture.clock.advance(10)
    #expect(try await reasons("two") == [.running, .ended, .free, .free, .blocked])
    _ = try await store.pause(sweep)
    #expect(try await reasons("two") == [.running, .ended, .inactive, .inactive, .blocked])
    #expect(try await store.claimMisses([], worker: WorkerID("two")).isEmpty)
  }
}
