import Messaging
import Storage
import SweepRecords
import Synchronization

/// A process that dies at a certain moment: from then on none of its calls goes through.
final class Mortality: Sendable {
  enum Moment: String, Sendable, CaseIterable {
    case beforeClaim, afterClaim, midCompute, beforeFinish, afterFinish
    case beforePublish, afterPublish
    case afterExpand
  }
  struct Killed: Error {}

  private let moment: Moment?
  /// Which of several such moments it is, from 1.
  private let left: Mutex<Int>
  private let dead = Mutex(false)

  /// A process that dies at the `count`-th such moment; never without a moment.
  init(_ moment: Moment? = nil, count: Int = 1) {
    self.moment = moment
    left = Mutex(count)
  }

  var isDead: Bool { dead.withLock { $0 } }

  /// Such a moment has come.
  func reach(_ moment: Moment) throws {
    if moment == self.moment {
      let remaining = left.withLock { left in
        left -= 1
        return left
      }
      if remaining == 0 { dead.withLock { $0 = true } }
    }
    try check()
  }

  func check() throws { if isDead { throw Killed() } }
}

/// A store as a mortal process sees it.
struct MortalStore: ResultStore {
  let inner: any ResultStore
  let mortality: Mortality

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

  func submit(_ submission: SweepSubmission) async throws -> SubmittedSweep {
    try await alive { try await inner.submit(submission) }
  }
  func expand(_ sweep: SweepID, with chunk: PlanChunk, as leader: LeaderToken) async throws -> ExpansionReply {
    try await around(nil, .afterExpand) { try await inner.expand(sweep, with: chunk, as: leader) }
  }
  func acquireLeadership(holder: String, for seconds: Double) async throws -> LeaderToken? {
    try await alive { try await inner.acquireLeadership(holder: holder, for: seconds) }
  }
  func renewLeadership(_ leader: LeaderToken, for seconds: Double) async throws -> Bool {
    try await alive { try await inner.renewLeadership(leader, for: seconds) }
  }
  func releaseLeadership(_ leader: LeaderToken) async throws {
    try await alive { try await inner.releaseLeadership(leader) }
  }
  func dispatch(_ policy: DispatchPolicy, as leader: LeaderToken) async throws -> [DispatchedTask] {
    let tasks = try await alive { try await inner.dispatch(policy, as: leader) }
    if !tasks.isEmpty { try mortality.reach(.beforePublish) }
    return tasks
  }
  func undispatch(_ dispatches: [DispatchID], as leader: LeaderToken) async throws {
    try await alive { try await inner.undispatch(dispatches, as: leader) }
  }
  func reap(_ policy: ReapPolicy, as leader: LeaderToken) async throws -> [ReapedTask] {
    try await alive { try await inner.reap(policy, as: leader) }
  }
  func settleSweeps(as leader: LeaderToken) async throws -> [SweepSummary] {
    try await alive { try await inner.settleSweeps(as: leader) }
  }
  func note(problem: String?, of sweep: SweepID, as leader: LeaderToken) async throws {
    try await alive { try await inner.note(problem: problem, of: sweep, as: leader) }
  }
  func recomputeCounters(as leader: LeaderToken) async throws -> [CounterCorrection] {
    try await alive { try await inner.recomputeCounters(as: leader) }
  }
  func register(_ worker: WorkerRegistration) async throws { try await alive { try await inner.register(worker) } }
  func claim(_ tasks: [TaskID], worker: WorkerID, for seconds: Double) async throws -> [ClaimedTask] {
    try await around(.beforeClaim, .afterClaim) { try await inner.claim(tasks, worker: worker, for: seconds) }
  }
  func heartbeat(_ worker: WorkerID, _ condition: WorkerCondition, for seconds: Double) async throws -> HeartbeatReply {
    try await alive { try await inner.heartbeat(worker, condition, for: seconds) }
  }
  func finish(_ finished: [FinishedTask], worker: WorkerID) async throws -> [FinishOutcome] {
    try await around(.beforeFinish, .afterFinish) { try await inner.finish(finished, worker: worker) }
  }
  func fail(_ failure: TaskFailure, worker: WorkerID, policy: RetryPolicy) async throws -> FailOutcome {
    try await alive { try await inner.fail(failure, worker: worker, policy: policy) }
  }
  func release(_ leases: [TaskLease], worker: WorkerID, reason: String) async throws {
    try await alive { try await inner.release(leases, worker: worker, reason: reason) }
  }
  func deregister(_ worker: WorkerID) async throws { try await alive { try await inner.deregister(worker) } }
  func pause(_ sweep: SweepID) async throws -> SweepState { try await alive { try await inner.pause(sweep) } }
  func resume(_ sweep: SweepID) async throws -> SweepState { try await alive { try await inner.resume(sweep) } }
  func cancel(_ sweep: SweepID) async throws -> SweepState { try await alive { try await inner.cancel(sweep) } }
  func retry(_ sweep: SweepID) async throws -> SweepState { try await alive { try await inner.retry(sweep) } }
  func delete(_ sweep: SweepID) async throws -> Bool { try await alive { try await inner.delete(sweep) } }
  func sweeps(in state: SweepState?) async throws -> [SweepSummary] {
    try await alive { try await inner.sweeps(in: state) }
  }
  func findSweep(_ text: String) async throws -> SweepSummary? { try await alive { try await inner.findSweep(text) } }
  func submission(of sweep: SweepID) async throws -> StoredSubmission {
    try await alive { try await inner.submission(of: sweep) }
  }
  func progress(of sweep: SweepID, rateOver seconds: Double) async throws -> SweepProgress {
    try await alive { try await inner.progress(of: sweep, rateOver: seconds) }
  }
  func parkedTasks(of sweep: SweepID?, limit: Int) async throws -> [ParkedTask] {
    try await alive { try await inner.parkedTasks(of: sweep, limit: limit) }
  }
  func attempts(at task: TaskID) async throws -> [TaskAttempt] {
    try await alive { try await inner.attempts(at: task) }
  }
  func tasks(withKeys keys: [Digest]) async throws -> [TaskStatus] {
    try await alive { try await inner.tasks(withKeys: keys) }
  }
  func workers(seenWithin seconds: Double?) async throws -> [WorkerStatus] {
    try await alive { try await inner.workers(seenWithin: seconds) }
  }
  func artifactReference(task key: Digest, name: String) async throws -> ArtifactReference? {
    try await alive { try await inner.artifactReference(task: key, name: name) }
  }
  func artifact(_ digest: Digest) async throws -> [UInt8]? { try await alive { try await inner.artifact(digest) } }
  func query(_ sql: String, limits: QueryLimits) async throws -> QueryResult {
    try await alive { try await inner.query(sql, limits: limits) }
  }
  func counts() async throws -> StoreCounts { try await alive { try await inner.counts() } }
  func schemaVersion() async throws -> Int { try await alive { try await inner.schemaVersion() } }
  func now() async throws -> Double { try await alive { try await inner.now() } }
}

/// A queue as a mortal process sees it.
struct MortalQueue: TaskQueue {
  let inner: any TaskQueue
  let mortality: Mortality

  func publish(_ messages: [OutgoingMessage]) async -> [PublishOutcome] {
    let lost = messages.map { _ in PublishOutcome.unknown(QueueError(.unreachable, "the connection was lost")) }
    if mortality.isDead { return lost }
    let outcomes = await inner.publish(messages)
    do { try mortality.reach(.afterPublish) } catch { return lost }
    return outcomes
  }

  func consume(as name: String, prefetch: Int) async throws(QueueError) -> any TaskConsumer {
    if mortality.isDead { throw QueueError(.unreachable, "the connection was lost") }
    return try await inner.consume(as: name, prefetch: prefetch)
  }
}
