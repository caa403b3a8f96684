internal import Diagnostics
package import Messaging
package import Storage
package import SweepRecords

/// Leads the sweeps of a store: plans, dispatches, takes leases of dead workers away, ends what is done (protocol.md,
/// 3, 4, 8).
///
/// Any number may run; one leads at a time, and every write of it carries the token that proves it. What there is to
/// do is done in lanes side by side: a broker that takes no messages holds up neither the lead nor the reaper.
package actor Coordinator {
  package struct Settings: Sendable {
    /// Seconds for which the lead is taken; renewed every quarter. Who doesn't lead looks every eighth whether the
    /// place is free.
    package var leadership: Double = 8
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
    /// How long what is under way may take to end after `stop`, before the lead is given up.
    package var grace: Duration = .seconds(2)

    package init() {}
  }

  /// What an owner in the same process may want to know.
  package enum Event: Sendable, Equatable {
    case tookLead
    case lostLead
    /// Tasks were published and the broker has them.
    case dispatched(Int)
    /// Messages that no queue took, or whose fate is not known.
    case notTaken(Int)
    /// Leases of workers that were not heard of any more, and how many of those tasks were parked for it.
    case leasesExpired(Int, parked: Int)
    /// How many workers are alive, and how many of them say that they can't do everything.
    case workers(alive: Int, unready: Int)
    case ended(SweepSummary)
    /// A sweep can't be planned.
    case unplannable(SweepID, reason: String)
  }

  let settings: Settings
  let store: any ResultStore
  let queue: any TaskQueue
  /// Makes sure that the broker has the queues.
  let declareQueues: @Sendable () async throws(QueueError) -> Void
  let expander: any SweepExpander
  let holder: String
  let time: Timekeeper
  let log: LogSink
  let events: @Sendable (Event) -> Void
  private nonisolated let wakes = LaneSignals()

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
  /// Whether the queues are known to be there.
  var hasQueues = false
  /// Whether the first dispatch and reaping since the lead was taken are still to come.
  var isFirstDispatch = true
  var isFirstReap = true
  /// Whether nothing was left to plan when it was last looked for.
  var hasPlanned = false
  private var isStopping = false
  /// When a call to the store last came back.
  private var lastContact: Duration?

  /// - Parameters:
  ///   - declareQueues: declares the broker's queues; called before the first message and after messages came back.
  ///   - holder: who leads, in words unique to this process; a new process of the same name takes over at once.
  package init(
    settings: Settings = Settings(), store: any ResultStore, queue: any TaskQueue,
    declareQueues: @escaping @Sendable () async throws(QueueError) -> Void = { () async throws(QueueError) in },
    expander: any SweepExpander, holder: String, time: Timekeeper = .continuous(),
    log: @escaping LogSink = { _ in }, events: @escaping @Sendable (Event) -> Void = { _ in }
  ) {
    self.settings = settings
    self.store = store
    self.queue = queue
    self.declareQueues = declareQueues
    self.expander = expander
    self.holder = holder
    self.time = time
    self.log = log
    self.events = events
    window = settings.window
    schedule = CoordinatorSchedule(
      intervals: [
        .lead: .seconds(settings.leadership / 4), .reap: .seconds(settings.reap.lease / 3), .census: .seconds(5),
        .expand: settings.expandEvery, .dispatch: settings.dispatchEvery, .settle: settings.settleEvery,
        .recount: settings.recountEvery,
      ], candidacy: .seconds(settings.leadership / 8))
  }

  package var isLeading: Bool { schedule.isLeading }

  /// Why the coordinator can't lead at present, or take the lead when it falls to it; empty when it can.
  package var hindrances: [String] {
    var reasons: [String] = []
    let silence = lastContact.map { (time.now() - $0).inSeconds } ?? .infinity
    if silence > settings.leadership {
      reasons.append(
        silence.isFinite ? "the database has not answered for \(Int(silence)) s" : "the database has not answered yet")
    }
    if publishing.failures > 0 { reasons.append("the broker takes no messages") }
    return reasons
  }

  /// Says that something may have become ready: the next dispatch comes at once.
  package nonisolated func poke() { wakes.ring(.messages) }

  /// Does what is due, over and over, until it is stopped or its task is cancelled; then gives the lead up.
  ///
  /// - Throws: what no waiting mends: a damaged store, a fault in this program.
  package func run() async throws {
    do {
      try await withThrowingTaskGroup { group in
        for lane in CoordinatorSchedule.Lane.allCases {
          group.addTask {
            try await self.serve(lane)
            return true
          }
        }
        defer { group.cancelAll() }
        _ = try await group.next()
        // All end soon, unless one waits for a broker or a store that says nothing.
        group.addTask { [time, settings] in
          try? await time.sleep(settings.grace)
          return false
        }
        for _ in 1..<CoordinatorSchedule.Lane.allCases.count {
          guard try await group.next() == true else { break }
        }
        await giveLeadUp()
      }
    } catch is CancellationError {
      await giveLeadUp()
    } catch {
      await giveLeadUp()
      throw error
    }
  }

  /// Ends `run` after what it is doing now.
  package func stop() {
    isStopping = true
    wakes.ringAll()
  }

  private func giveLeadUp() async {
    guard let token else { return }
    self.token = nil
    schedule.lostLead(at: time.now())
    do {
      try await store.releaseLeadership(token)
      log(LogEntry(.info, "gave the lead up", details: ["coordinator": holder]))
    } catch {
      log(LogEntry(.warning, "could not give the lead up; it will expire", details: ["error": "\(error)"]))
    }
  }

  private func serve(_ lane: CoordinatorSchedule.Lane) async throws {
    while !isStopping, !Task.isCancelled {
      for duty in schedule.duties(at: time.now()) where duty.lane == lane && !isStopping { try await attend(to: duty) }
      guard !isStopping else { return }
      let pause = schedule.next(in: lane).map { max(.zero, $0 - time.now()) } ?? .seconds(1)
      await wakes[lane].wait(atMost: pause, time)
      if lane == .messages { schedule.hurry(.dispatch, at: time.now()) }
    }
  }

  /// Does everything that is due, one after the other. Returns for how long nothing more is.
  @discardableResult
  package func step() async throws -> Duration {
    for duty in schedule.duties(at: time.now()) { try await attend(to: duty) }
    return schedule.next.map { max(.zero, $0 - time.now()) } ?? .seconds(1)
  }

  private func attend(to duty: CoordinatorSchedule.Duty) async throws {
    // A duty before may have lost the lead.
    guard duty == .lead || schedule.isLeading else { return }
    let token = token
    do {
      try await perform(duty)
    } catch let error as StoreError where error.code == .notLeader {
      // It may have been taken anew meanwhile.
      if token == self.token { loseLead() }
    } catch let error as StoreError where error.isTransient && (isStopping || !schedule.isLeading) {
      // Given up because it is nothing to us any more.
    }
  }

  private func perform(_ duty: CoordinatorSchedule.Duty) async throws {
    switch duty {
    case .lead: try await lead()
    case .reap: try await trying("reap") { try await reap() }
    case .census: try await trying("workers") { try await countWorkers() }
    case .expand: try await expand()
    case .dispatch: try await dispatch()
    case .settle: try await trying("settle") { try await settle() }
    case .recount: try await trying("recount") { try await recount() }
    }
  }

  /// Calls the store, again and again while it fails for a passing reason and this coordinator leads.
  func trying<Result>(_ what: String, _ body: () async throws -> Result) async throws -> Result {
    let retry = StoreRetry(attempts: settings.storeAttempts, longest: .seconds(4), time: time, log: log)
    return try await retry(what, while: { !isStopping && schedule.isLeading }, body)
  }

  /// Takes the lead if it is free, or renews it.
  private func lead() async throws {
    let asked = time.now()
    do {
      if let token, schedule.isLeading {
        guard try await store.renewLeadership(token, for: settings.leadership) else { return loseLead() }
      } else {
        token = try await store.acquireLeadership(holder: holder, for: settings.leadership)
        guard token != nil else {
          lastContact = time.now()
          return schedule.did(.lead, at: asked)
        }
        log(LogEntry(.info, "took the lead", details: ["coordinator": holder]))
        events(.tookLead)
        schedule.tookLead(at: asked)
        isFirstDispatch = true
        isFirstReap = true
        hasPlanned = false
        planning = nil
        wakes.ringAll()
      }
      lastContact = time.now()
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
    events(.lostLead)
    schedule.lostLead(at: time.now())
    token = nil
    planning = nil
  }

  /// Brings a duty forward and wakes its lane.
  func hurry(_ duty: CoordinatorSchedule.Duty) {
    schedule.hurry(duty, at: time.now())
    wakes.ring(duty.lane)
  }

  /// The token for a leader's write.
  func leaderToken() throws -> LeaderToken {
    guard let token else { throw StoreError(.notLeader, "this coordinator does not lead") }
    return token
  }
}

/// Wakes the lanes of a coordinator.
private final class LaneSignals: Sendable {
  private let signals: [CoordinatorSchedule.Lane: WakeSignal]
  private let spare = WakeSignal()

  init() {
    signals = Dictionary(uniqueKeysWithValues: CoordinatorSchedule.Lane.allCases.map { ($0, WakeSignal()) })
  }

  subscript(lane: CoordinatorSchedule.Lane) -> WakeSignal { signals[lane] ?? spare }
  func ring(_ lane: CoordinatorSchedule.Lane) { self[lane].ring() }
  func ringAll() { for signal in signals.values { signal.ring() } }
}
