internal import Storage
internal import Synchronization

/// What coordinator and worker of an embedded run have said, for whoever reports progress.
final class RunBoard: Sendable {
  struct State: Sendable {
    var tasks: [TaskID: RunProgress.Current] = [:]
    /// Tasks done since the store was last asked.
    var doneSince = 0
    var hasEnded = false
    var unplannable: String?
    var isClosed = false

    var current: [RunProgress.Current] { tasks.sorted { $0.key < $1.key }.map(\.value) }
  }

  let wake = WakeSignal()
  private let sweep: SweepID
  private let state = Mutex(State())

  init(sweep: SweepID) { self.sweep = sweep }

  func snapshot() -> State { state.withLock { $0 } }

  /// From now on `doneSince` counts anew.
  func startCounting() { state.withLock { $0.doneSince = 0 } }

  /// The run is over.
  func close() {
    state.withLock { $0.isClosed = true }
    wake.ring()
  }

  func note(_ event: Worker.Event) {
    switch event {
    case .started(let task, let title): state.withLock { $0.tasks[task] = .init(title: title, fraction: 0) }
    case .advanced(let task, let fraction): state.withLock { $0.tasks[task]?.fraction = fraction }
    case .claimed, .missed, .computed, .stored, .deadLetter, .overran: return
    case .settled(let task, let settlement):
      state.withLock { state in
        state.tasks[task] = nil
        if settlement == .done { state.doneSince += 1 }
      }
    }
  }

  func note(_ event: Coordinator.Event) {
    switch event {
    case .tookLead, .lostLead, .dispatched, .notTaken, .leasesExpired, .workers: return
    case .ended(let summary):
      guard summary.id == sweep else { return }
      state.withLock { $0.hasEnded = true }
    case .unplannable(let id, let reason):
      guard id == sweep else { return }
      state.withLock { $0.unplannable = reason }
    }
    wake.ring()
  }
}
