package import SweepRecords
internal import Synchronization

/// Makes the tasks of stored sweeps. Keeps the last sweep's plan, as its chunks are asked for one after the other.
package final class SweepPlanExpander: SweepExpander {
  private let last = Mutex<(resolved: String, plan: SweepPlan)?>(nil)

  package init() {}

  package func chunk(
    of resolved: String, from cursor: Int, limit: Int
  ) throws -> (tasks: [TaskDefinition], next: Int?) {
    let known = last.withLock { $0 }
    let plan: SweepPlan
    if let known, known.resolved == resolved {
      plan = known.plan
    } else {
      plan = SweepPlan(try ResolvedSweep(canonicalJSON: resolved))
      last.withLock { $0 = (resolved, plan) }
    }
    return try plan.chunk(from: cursor, limit: limit)
  }
}
