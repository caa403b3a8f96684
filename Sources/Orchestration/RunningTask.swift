internal import SweepRecords
internal import Synchronization

/// Between a task's thread and its worker: how far it is, and whether anyone still wants it.
final class RunningTask: TaskMonitor {
  private let stopping = Atomic(false)
  private let report: @Sendable (Double) -> Void

  /// - Parameter report: called from the task's thread, as often as the task likes.
  init(report: @escaping @Sendable (Double) -> Void) { self.report = report }

  func advanced(to fraction: Double) { report(fraction.isFinite ? min(max(fraction, 0), 1) : 0) }

  var shouldStop: Bool { stopping.load(ordering: .relaxed) }

  func stop() { stopping.store(true, ordering: .relaxed) }
}
