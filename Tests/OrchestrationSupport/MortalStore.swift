package import Messaging
package import Storage
package import SweepRecords
internal import Synchronization

/// A process that dies at a certain moment: from then on none of its calls goes through.
package final class Mortality: Sendable {
  package enum Moment: String, Sendable, CaseIterable {
    case beforeClaim, afterClaim, midCompute, beforeFinish, afterFinish
    case beforePublish, afterPublish
    case afterExpand
  }
  package struct Killed: Error {}

  private let moment: Moment?
  /// Which of several such moments it is, from 1.
  private let left: Mutex<Int>
  private let dead = Mutex(false)

  /// A process that dies at the `count`-th such moment; never without a moment.
  package init(_ moment: Moment? = nil, count: Int = 1) {
    self.moment = moment
    left = Mutex(count)
  }

  package var isDead: Bool { dead.withLock { $0 } }

  /// Such a moment has come.
  package func reach(_ moment: Moment) throws {
    if moment == self.moment {
      let remaining = left.withLock { left in
        left -= 1
        return left
      }
      if remaining == 0 { dead.withLock { $0 = true } }
    }
    try check()
  }

  package func check() throws { if isDead { throw Killed() } }
}

/// A store as a mortal process sees it.
package struct MortalStore: ResultStore {
  package let inner: any ResultStore
  package let mortality: Mortality

  package init(inner: any ResultStore, mortality: Mortality) {
    self.inner = inner
    self.mortality = mortality
  }

  private func alive<Result>(_ body: () async throws -> Result) async throws -> Result {
    try mortality.check()
    return try await body()
  }

  private func around<Result>(
    _ before: Mortality.Moment?, _ after: Mortality.Moment?, _ body: () async throws -> Result
  ) async throws -> Result {
    if let before { try mortality.reach(before) }
    let result = try await alive(body)
    if let after { try mortality.reach(after) }
    return result
  }

  package func submit(_ submission: SweepSubmission) async throws -> SubmittedSweep {
    try await alive { try await inner.submit(submission) }
  }
  package func expand(_ sweep: SweepID, with chunk: PlanChunk, as leader: LeaderToken) async throws -> ExpansionReply {
    try await around(nil, .afterExpand) { try await inner.expand(sweep, with: chunk, as: leader) }
  }
  package func acquireLeadership(holder: String, for seconds: Double) async throws -> LeaderToken? {
    try await alive { try await inner.acquireLeadership(holder: holder, for: seconds) }
  }
  package func renewLeadership(_ leader: LeaderToken, for seconds: Double) async throws -> Bool {
    try await alive { try await inner.renewLeadership(leader, for: seconds) }
  }
  package func releaseLeadership(_ leader: LeaderToken) async throws {
    try await alive { try await inner.releaseLeadership(leader) }
  }
  package func dispatch(_ policy: DispatchPolicy, as leader: LeaderToken) async throws -> [DispatchedTask] {
    let tasks = try await alive { try await inner.dispatch(policy, as: leader) }
    if !tasks.isEmpty { try mortality.reach(.beforePublish) }
    return tasks
  }
  package func undispatch(_ dispatches: [DispatchID], as leader: LeaderToken) async throws {
    try await alive { try await inner.undispatch(dispatches, as: leader) }
  }
  package func reap(_ policy: ReapPolicy, as leader: LeaderToken) async throws -> [ReapedTask] {
    try await alive { try await inner.reap(policy, as: leader) }
  }
  package func settleSweeps(as leader: LeaderToken) async throws -> [SweepSummary] {
    try await alive { try await inner.settleSweeps(as: leader) }
  }
  package func note(problem: String?, of sweep: SweepID, as leader: LeaderToken) async throws {
    try await alive { try await inner.note(problem: problem, of: sweep, as: leader) }
  }
  package func recomputeCounters(as leader: LeaderToken) async throws -> [CounterCorrection] {
    try await alive { try await inner.recomputeCounters(as: leader) }
  }
  package func register(_ worker: WorkerRegistration) async throws {
    try await alive { try await inner.register(worker) }
  }
  package func claim(_ tasks: [TaskID], worker: WorkerID, for seconds: Double) async throws -> [ClaimedTask] {
    try await around(.beforeClaim, .afterClaim) { try await inner.claim(tasks, worker: worker, for: seconds) }
  }
  package func claimMisses(_ tasks: [TaskID], worker: WorkerID) async throws -> [TaskID: ClaimMiss] {
    try await alive { try await inner.claimMisses(tasks, worker: worker) }
  }
  package func heartbeat(
    _ worker: WorkerID, _ condition: WorkerCondition, memory: MemoryUse?, for seconds: Double
  ) async throws -> HeartbeatReply {
    try await alive { try await inner.heartbeat(worker, condition, memory: memory, for: seconds) }
  }
  package func finish(_ finished: [FinishedTask], worker: WorkerID) async throws -> [FinishOutcome] {
    try await around(.beforeFinish, .afterFinish) { try await inner.finish(finished, worker: worker) }
  }
  package func fail(_ failure: TaskFailure, worker: WorkerID, policy: RetryPolicy) async throws -> FailOutcome {
    try await alive { try await inner.fail(failure, worker: worker, policy: policy) }
  }
  package func release(_ leases: [TaskLease], worker: WorkerID, reason: String) async throws {
    try await alive { try await inner.release(leases, worker: worker, reason: reason) }
  }
  package func deregister(_ worker: WorkerID) async throws { try await alive { try await inner.deregister(worker) } }
  package func pause(_ sweep: SweepID) async throws -> SweepState { try await alive { try await inner.pause(sweep) } }
  package func resume(_ sweep: SweepID) async throws -> SweepState { try await alive { try await inner.resume(sweep) } }
  package func cancel(_ sweep: SweepID) async throws -> SweepState { try await alive { try await inner.cancel(sweep) } }
  package func retry(_ sweep: SweepID) async throws -> SweepState { try await alive { try await inner.retry(sweep) } }
  package func delete(_ sweep: SweepID) async throws -> Bool { try await alive { try await inner.delete(sweep) } }
  package func sweeps(in state: SweepState?) async throws -> [SweepSummary] {
    try await alive { try await inner.sweeps(in: state) }
  }
  package func findSweep(_ text: String) async throws -> SweepSummary? {
    try await alive { try await inner.findSweep(text) }
  }
  package func submission(of sweep: SweepID) async throws -> StoredSubmission {
    try await alive { try await inner.submission(of: sweep) }
  }
  package func progress(of sweep: SweepID, rateOver seconds: Double) async throws -> SweepProgress {
    try await alive { try await inner.progress(of: sweep, rateOver: seconds) }
  }
  package func parkedTasks(of sweep: SweepID?, limit: Int) async throws -> [ParkedTask] {
    try await alive { try await inner.parkedTasks(of: sweep, limit: limit) }
  }
  package func attempts(at task: TaskID) async throws -> [TaskAttempt] {
    try await alive { try await inner.attempts(at: task) }
  }
  package func tasks(withKeys keys: [Digest]) async throws -> [TaskStatus] {
    try await alive { try await inner.tasks(withKeys: keys) }
  }
  package func workers(seenWithin seconds: Double?) async throws -> [WorkerStatus] {
    try await alive { try await inner.workers(seenWithin: seconds) }
  }
  package func artifactReference(task key: Digest, name: String) async throws -> ArtifactReference? {
    try await alive { try await inner.artifactReference(task: key, name: name) }
  }
  package func artifact(_ digest: Digest) async throws -> [UInt8]? {
    try await alive { try await inner.artifact(digest) }
  }
  package func query(_ sql: String, limits: QueryLimits) async throws -> QueryResult {
    try await alive { try await inner.query(sql, limits: limits) }
  }
  package func counts() async throws -> StoreCounts { try await alive { try await inner.counts() } }
  package func schemaVersion() async throws -> Int { try await alive { try await inner.schemaVersion() } }
  package func now() async throws -> Double { try await alive { try await inner.now() } }
}

/// A queue as a mortal process sees it.
package struct MortalQueue: TaskQueue {
  package let inner: any TaskQueue
  package let mortality: Mortality

  package init(inner: any TaskQueue, mortality: Mortality) {
    self.inner = inner
    self.mortality = mortality
  }

  package func publish(_ messages: [OutgoingMessage]) async -> [PublishOutcome] {
    let lost = messages.map { _ in PublishOutcome.unknown(QueueError(.unreachable, "the connection was lost")) }
    if mortality.isDead { return lost }
    let outcomes = await inner.publish(messages)
    do { try mortality.reach(.afterPublish) } catch { return lost }
    return outcomes
  }

  package func consume(as name: String, prefetch: Int) async throws(QueueError) -> any TaskConsumer {
    if mortality.isDead { throw QueueError(.unreachable, "the connection was lost") }
    return try await inner.consume(as: name, prefetch: prefetch)
  }
}
