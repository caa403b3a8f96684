internal import Storage
internal import SweepRecords

/// Who is there to work, and whether they can.
extension Coordinator {
  /// Seconds without a finished task after which a sweep that no worker can go on with is said to be stuck.
  private static let patience = 30.0

  /// Counts live workers for the dispatch window; notes on sweeps that none of them can go on with what they say
  /// (protocol.md 9).
  func countWorkers() async throws {
    let live = try await store.workers(seenWithin: settings.reap.lease)
    let complaints = live.compactMap { worker in
      if case .unready(let reason) = worker.condition { (worker.registration, reason) } else { nil }
    }
    window.workers = max(1, live.count)
    events(.workers(alive: live.count, unready: complaints.count))
    let isHopeless = !live.isEmpty && complaints.count == live.count { $0.condition != .draining }
    for sweep in try await store.sweeps(in: .active) where sweep.id == settings.only ?? sweep.id {
      if isHopeless, sweep.problem == nil, try await isStuck(sweep.id) {
        let problem = "no live worker can go on with it: " + Self.words(complaints)
        log(LogEntry(.error, "a sweep can't go on", sweep: sweep.id, details: ["error": problem]))
        try await store.note(problem: problem, of: sweep.id, as: leaderToken())
      } else if !isHopeless, sweep.problem != nil {
        log(LogEntry(.info, "a sweep can go on", sweep: sweep.id))
        try await store.note(problem: nil, of: sweep.id, as: leaderToken())
      }
    }
    schedule.did(.census, at: time.now())
  }

  /// Whether something could run, nothing does, and nothing has ended of late.
  private func isStuck(_ sweep: SweepID) async throws -> Bool {
    let progress = try await store.progress(of: sweep, rateOver: Self.patience)
    let counts = progress.counts
    return counts[.running, default: 0] == 0 && progress.finishedRecently == 0
      && counts[.ready, default: 0] + counts[.queued, default: 0] > 0
  }

  private static func words(_ complaints: [(worker: WorkerRegistration, reason: String)]) -> String {
    let said = complaints.prefix(3).map { "\($0.worker.host)/\($0.worker.process): \($0.reason)" }
    let more = complaints.count - said.count
    return said.joined(separator: "; ") + (more > 0 ? "; and \(more) more" : "")
  }
}
