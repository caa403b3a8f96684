internal import Orchestration
internal import Storage
package import SweepRecords

/// A process dies at a moment at which that could matter; others carry on, and nothing is lost or done twice. On any
/// ground: SQLite and memory, or real servers.
package struct KillPoint: Sendable, CustomStringConvertible {
  /// Where the process dies.
  package var moment: Mortality.Moment
  /// At which of several such moments, from 1.
  package var count: Int
  /// Whether tasks are claimed and finished in groups.
  package var inBatches: Bool

  package init(_ moment: Mortality.Moment, count: Int, inBatches: Bool = false) {
    self.moment = moment
    self.count = count
    self.inBatches = inBatches
  }

  package var description: String { "\(moment) \(count)\(inBatches ? " in batches" : "")" }

  /// Every moment, early, in the midst and late.
  package static let all = Mortality.Moment.allCases.flatMap { moment in
    (moment.isTheCoordinators ? [1, 2, 4] : [1, 9, 20]).map { KillPoint(moment, count: $0) }
      + [KillPoint(moment, count: 2, inBatches: true)]
  }

  /// Every moment once: for grounds on which it takes a while.
  package static let each = Mortality.Moment.allCases.map { KillPoint($0, count: 2) }

  /// What came of it.
  package struct Outcome: Sendable {
    /// Whether the process died at all.
    package var died: Bool
    package var state: SweepState
    /// What is not as in an undisturbed run; nil when nothing is.
    package var difference: String?
    /// How many tasks were computed more than once.
    package var computedTwice: Int
    /// How many attempts ended in each way.
    package var attempts: [String]
  }

  /// How many tasks may have been computed twice: what had been computed and not stored.
  package var mayComputeTwice: ClosedRange<Int> {
    switch moment {
    case .midCompute, .beforeFinish: inBatches ? 1...16 : 1...1
    default: inBatches ? 0...16 : 0...0
    }
  }

  /// Lets a process run the standard sweep until it dies, then another to the end.
  package func run(in world: SweepWorld) async throws -> Outcome {
    let sweep = try await world.submit()
    let mortality = Mortality(moment, count: count)
    let doomed = PretendExecutor { _, _, _ throws(TaskFault) in
      // What happens to the result of a dead process's thread is nobody's business: it can't be stored.
      try? mortality.reach(.midCompute)
    }
    let size = inBatches ? BatchSize(target: 10, limit: 16) : BatchSize(target: 0, limit: 1)
    let queue = try await world.openQueue()
    var died = false
    do {
      let worker = try await world.worker("doomed", executor: doomed, mortality: mortality, queue: queue) {
        $0.batch = size
      }
      let coordinator = world.coordinator("doomed", mortality: mortality, queue: queue)
      _ = try await world.run(sweep, [coordinator], [worker])
    } catch is Mortality.Killed {
      died = true
    }
    // The broker notices that the connection is gone; a lease later everyone else does.
    await world.bury(queue)

    let executor = PretendExecutor()
    let survivor = try await world.worker("survivor", executor: executor) { $0.batch = size }
    let state = try await world.run(sweep, [world.coordinator("survivor")], [survivor])
    let computed = doomed.executions.merging(executor.executions, uniquingKeysWith: +)
    return Outcome(
      died: died, state: state, difference: try await world.difference(),
      computedTwice: computed.values.reduce(0) { $0 + $1 - 1 },
      attempts: try await world.rows(
        "SELECT outcome, count(*) AS n FROM task_attempt GROUP BY outcome ORDER BY outcome"))
  }
}

extension Mortality.Moment {
  /// Whether it is a coordinator that such a moment comes to.
  package var isTheCoordinators: Bool { self == .beforePublish || self == .afterPublish || self == .afterExpand }
}
