package import SweepRecords

/// Where sweeps, their tasks and their results live: the one truth of the system (protocol.md).
///
/// Every method is one transaction (a long one several), committed when it returns; nothing is half-written when it
/// throws. All times are the database's own, in seconds since 1970. Methods throw `StoreError`; those that take what a
/// user typed throw `InputError` too. A transient `StoreError` may be tried again, with the same arguments, and does
/// not act twice.
package protocol ResultStore: Sendable {
  // MARK: Submitting and planning

  /// Stores a sweep with its inputs; the same digest again is the same sweep, and nothing is written (protocol.md 2).
  func submit(_ submission: SweepSubmission) async throws -> SubmittedSweep

  /// Adds a chunk of a sweep's plan: inserts the tasks whose keys are new, links all to the sweep, revives cancelled
  /// ones.
  ///
  /// Dependencies must be in this chunk or an earlier one of the same sweep. After the last chunk the sweep is
  /// `active`. Does nothing unless the sweep is `planning` and its cursor is where the chunk begins: look at the reply.
  func expand(_ sweep: SweepID, with chunk: PlanChunk, as leader: LeaderToken) async throws -> ExpansionReply

  // MARK: The leader

  /// Takes the leader's place if it is free, expired or already this holder's; nil while another holds it. A new token
  /// fences whoever led before: all methods with `as leader` throw `.notLeader` for an old one.
  func acquireLeadership(holder: String, for seconds: Double) async throws -> LeaderToken?

  /// Prolongs the lease; false when someone else has taken it.
  func renewLeadership(_ leader: LeaderToken, for seconds: Double) async throws -> Bool

  /// Gives the place up, so that the next one need not wait; without effect for an old token.
  func releaseLeadership(_ leader: LeaderToken) async throws

  /// Moves due `ready` tasks to `queued` as far as the window allows, and dispatches stale ones again (protocol.md 4).
  /// What is returned is committed: publish a message for each.
  func dispatch(_ policy: DispatchPolicy, as leader: LeaderToken) async throws -> [DispatchedTask]

  /// Puts tasks whose messages came back to `ready`, where they are still at that dispatch.
  func undispatch(_ dispatches: [DispatchID], as leader: LeaderToken) async throws

  /// Takes expired leases away: `ready` again and one failure more, or `parked` at the limit (protocol.md 8).
  func reap(_ policy: ReapPolicy, as leader: LeaderToken) async throws -> [ReapedTask]

  /// Ends active sweeps with nothing left to run: `done`, or `done_with_parked`. Returns those that ended now.
  func settleSweeps(as leader: LeaderToken) async throws -> [SweepSummary]

  /// Notes why a sweep can't go on, in words for people; nil when all is well. The note goes when the sweep ends.
  func note(problem: String?, of sweep: SweepID, as leader: LeaderToken) async throws

  /// Counts dependencies anew and corrects what was wrong, dependents included; an empty reply is the expected one.
  func recomputeCounters(as leader: LeaderToken) async throws -> [CounterCorrection]

  // MARK: Workers

  /// Enters a worker, or brings its row up to date; before its first claim or heartbeat.
  func register(_ worker: WorkerRegistration) async throws

  /// Claims those of the tasks that are `queued` or due `ready`, whose sweep is active and of the worker's numerics
  /// version (protocol.md 5). A task that is missing in the reply is someone else's, done, or nobody's now: drop its
  /// message.
  func claim(_ tasks: [TaskID], worker: WorkerID, for seconds: Double) async throws -> [ClaimedTask]

  /// Why tasks could not be claimed by a worker just now, for its log: a look, not a promise.
  func claimMisses(_ tasks: [TaskID], worker: WorkerID) async throws -> [TaskID: ClaimMiss]

  /// Renews all leases of a worker and says what changed (protocol.md 6). Running tasks that only cancelled sweeps want
  /// become `cancelled` here. A lease not in the reply is lost.
  ///
  /// - Parameter memory: what the worker uses; nil where it can't be told.
  func heartbeat(
    _ worker: WorkerID, _ condition: WorkerCondition, memory: MemoryUse?, for seconds: Double
  ) async throws -> HeartbeatReply

  /// Stores results and ends tasks, all in one transaction; fenced ones leave nothing behind (protocol.md 7). The
  /// replies are in the order of the arguments. Throws, with nothing written, when a row can't be stored: then finish
  /// one by one.
  func finish(_ finished: [FinishedTask], worker: WorkerID) async throws -> [FinishOutcome]

  /// Gives a failed task up: parked at once, or ready later and one failure more, parked at the limit (protocol.md 9).
  func fail(_ failure: TaskFailure, worker: WorkerID, policy: RetryPolicy) async throws -> FailOutcome

  /// Gives leases back uncounted, for the worker's own reasons: shutdown, a file missing here (protocol.md 9).
  func release(_ leases: [TaskLease], worker: WorkerID, reason: String) async throws

  /// Notes that a worker has gone, and gives back whatever it still holds, uncounted.
  func deregister(_ worker: WorkerID) async throws

  // MARK: Control, each safe to repeat

  /// Stops dispatch and claims; what runs finishes. Returns the state after; without effect on a sweep that has ended.
  func pause(_ sweep: SweepID) async throws -> SweepState

  /// Undoes a pause; what was queued is dispatched again.
  func resume(_ sweep: SweepID) async throws -> SweepState

  /// Cancels what is not running and no other sweep wants; the rest at the next heartbeat.
  func cancel(_ sweep: SweepID) async throws -> SweepState

  /// Revives parked and cancelled tasks with their failures forgotten, and every sweep that ended because of them.
  func retry(_ sweep: SweepID) async throws -> SweepState

  /// Removes a sweep and what only it used: tasks, rows, artifacts. False when it was not there.
  func delete(_ sweep: SweepID) async throws -> Bool

  // MARK: Reading

  /// All sweeps, the newest first; with `state` those in it.
  func sweeps(in state: SweepState?) async throws -> [SweepSummary]

  /// The sweep that a user means: an id, else the newest of that name, else an id's beginning; nil when there is none.
  /// Throws `InputError` when the beginning fits several.
  func findSweep(_ text: String) async throws -> SweepSummary?

  /// What was submitted.
  func submission(of sweep: SweepID) async throws -> StoredSubmission

  /// Tasks of a sweep by kind and state, and how many ended in the last `seconds`.
  func progress(of sweep: SweepID, rateOver seconds: Double) async throws -> SweepProgress

  /// Parked tasks with their errors, of one sweep or all, the latest first.
  func parkedTasks(of sweep: SweepID?, limit: Int) async throws -> [ParkedTask]

  /// The attempts at a task, in order.
  func attempts(at task: TaskID) async throws -> [TaskAttempt]

  /// The tasks with these keys, in no order; what is missing has never been planned.
  func tasks(withKeys keys: [Digest]) async throws -> [TaskStatus]

  /// Workers, the last seen first: those that were heard of within so many seconds and have not signed off, or, with
  /// nil, all that ever were.
  func workers(seenWithin seconds: Double?) async throws -> [WorkerStatus]

  /// What a finished task made under a name; nil when it is not there (yet).
  func artifactReference(task key: Digest, name: String) async throws -> ArtifactReference?

  /// The bytes of an artifact, checked against the digest; nil when it is not there.
  func artifact(_ digest: Digest) async throws -> [UInt8]?

  /// Runs one statement of read-only SQL, for people. Throws `InputError` for SQL that is wrong, writes, or takes too
  /// long.
  func query(_ sql: String, limits: QueryLimits) async throws -> QueryResult

  /// Totals over the whole store.
  func counts() async throws -> StoreCounts

  /// The number of the last migration applied.
  func schemaVersion() async throws -> Int

  /// The database's time in seconds since 1970.
  func now() async throws -> Double
}

extension ResultStore {
  /// All workers that ever were, the last seen first.
  package func workers() async throws -> [WorkerStatus] { try await workers(seenWithin: nil) }
}
