internal import Diagnostics
package import Messaging
package import Storage
package import SweepRecords

/// Leads the sweeps of a store: plans, dispatches, takes leases of dead workers away, ends what is done (protocol.md,
/// 3, 4,
/// 8). Any number may run; one leads at a time, and every write of it carries the token that proves it.
package actor Coordinator {
  package struct Settings: Sendable {
    /// Seconds for which the lead is taken; renewed every third.
    package var leadership: Double = 15
    /// Tasks planned in one transaction.
    package var chunk = 500
    package var dispatchEvery: Duration = .milliseconds(500)
    package var expandEvery: Duration = .seconds(1)
    package var settleEvery: Duration = .seconds(2)
    package var recountEvery: Duration = .seconds(600)
    package var reap = ReapPolicy()
    package var window = DispatchWindow()
    /// Seconds after which a queued task is dispatched again.
    package var redispatchAfter: Double = 60
    /// This process is the only one that runs: what earlier ones held and had queued is taken over at once.
    package var isAlone = false
    /// Not nil: plans and dispatches this sweep alone, whatever else is in the database.
    package var only: SweepID?
    /// How often a call to the store is tried before the coordinator gives up; nil for no limit.
    package var storeAttempts: Int?

    package init() {}
  }

  /// What an owner in the same process may want to know.
  package enum Event: Sendable, Equatable {
    /// Tasks were published.
    case dispatched(Int)
    case ended(SweepSummary)
    /// A sweep can't be planned.
    case unplannable(SweepID, reason: String)
  }

  let settings: Settings
  let store: any ResultStore
  let queue: any TaskQueue
  let expander: any SweepExpander
  let holder: String
  let time: Timekeeper
  let log: LogSink
  let events: @Sendable (Event) -> Void
  private nonisolated let wake = WakeSignal()

  var schedule: CoordinatorSchedule
  var window: DispatchWindow
  var token: LeaderToken?
  /// When the lead ends unless renewed, by our clock, counted from before it was asked for.
  var leadUntil: Duration = .zero
  /// The sweep being planned, kept between its pieces.
  var planning: StoredSubmission?
  /// Sweeps that can't be planned, and until when they are left alone.
  var unplannable: [SweepID: (until: Duration, backoff: Backoff)] = [:]
  var publishing = Backoff(first: .milliseconds(500))
  /// Whether the first dispatch and reaping since the lead was taken are still to come.
  var isFirstDispatch = true
  var isFirstReap = true
  private var isStopping = false

  /// - Parameter holder: who leads, in words unique to this process; a new process of the same name takes over at once.
  package init(
    settings: Settings = Settings(), store: any ResultStore, queue: any TaskQueue, expander: any SweepExpander,
    holder: String, time: Timekeeper = .continuous(), log: @escaping LogSink = { _ in },
    events: @escaping @Sendable (Event) -> Void = { _ in }
  ) {
    self.settings = settings
    self.store = store
    self.queue = queue
    self.expander = expander
    self.holder = holder
    self.time = time
    self.log = log
    self.events = events
    window = settings.window
    schedule = CoordinatorSchedule(intervals: [
      .lead: .seconds(settings.leadership / 3), .reap: .seconds(settings.reap.lease / 3), .census: .seconds(5),
      .expand: settings.expandEvery, .dispatch: settings.dispatchEvery, .settle: settings.settleEvery,
      .recount: settings.recountEvery,
    ])
  }

  package var isLeading: Bool { schedule.isLeading }

  /// Says that something may have become ready: the next dispatch comes at once.
  package nonisolated func poke() { wake.ring() }

  /// Does what is due, over and over, until it is stopped or its task is cancelled.
  ///
  /// - Throws: what no waiting mends: a damaged store, a fault in this program.
  package func run() async throws {
    while !isStopping, !Task.isCancelled {
      let pause = try await step()
      guard !isStopping, pause > .zero else { continue }
      await wake.wait(atMost: pause, time)
      schedule.hurry(.dispatch, at: time.now())
    }
    if let token { try? await store.releaseLeadership(token) }
  }

  /// Ends `run` after what it is doing now.
  package func stop() {
    isStopping = true
    wake.ring()
  }

  /// Does everything that is due. Returns for how long nothing more is.
  @discardableResult
  package func step() async throws -> Duration {
    for duty in schedule.duties(at: time.now()) {
      // A duty before may have lost the lead, or brought another forward.
      guard duty == .lead || schedule.isLeading else { break }
      do {
        try await perform(duty)
      } catch let error as StoreError where error.code == .notLeader {
        loseLead()
      }
    }
    return schedule.next.map { max(.zero, $0 - time.now()) } ?? .seconds(1)
  }

  private func perform(_ duty: CoordinatorSchedule.Duty) async throws {
    let retry = StoreRetry(attempts: settings.storeAttempts, time: time, log: log)
    switch duty {
    case .lead: try await lead()
    case .reap: try await retry("reap") { try await reap() }
    case .census: try await retry("workers") { try await countWorkers() }
    case .expand: try await expand(retry)
    case .dispatch: try await dispatch(retry)
    case .settle: try await retry("settle") { try await settle() }
    case .recount: try await retry("recount") { try await recount() }
    }
  }

  /// Takes the lead if it is free, or renews it.
  private func lead() async throws {
    let asked = time.now()
    do {
      if let token, schedule.isLeading {
        guard try await store.renewLeadership(token, for: settings.leadership) else { return loseLead() }
      } else {
        token = try await store.acquireLeadership(holder: holder, for: settings.leadership)
        guard token != nil else { return schedule.did(.lead, at: asked) }
        log(LogEntry(.info, "took the lead", details: ["coordinator": holder]))
        schedule.tookLead(at: asked)
        isFirstDispatch = true
        isFirstReap = true
        planning = nil
      }
      leadUntil = asked + .seconds(settings.leadership)
      schedule.did(.lead, at: asked)
    } catch let error as StoreError where error.isTransient {
      log(LogEntry(.warning, "could not reach the store for the lead", details: ["error": error.description]))
      if schedule.isLeading, time.now() >= leadUntil { loseLead() }
      schedule.postpone(.lead, until: time.now() + .seconds(1))
    }
  }

  func loseLead() {
    guard schedule.isLeading else { return }
    log(LogEntry(.warning, "lost the lead", details: ["coordinator": holder]))
    schedule.lostLead(at: time.now())
    token = nil
    planning = nil
  }

  /// The token for a leader's write.
  func leaderToken() throws -> LeaderToken {
    guard let token else { throw StoreError(.notLeader, "this coordinator does not lead") }
    return token
  }
}
