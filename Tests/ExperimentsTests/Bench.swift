import Experiments
import Kernels
import SweepRecords
import Synchronization
import Testing

/// What a task left, to be compared.
struct Outcome: Equatable {
  var rows: [TableRow]
  var artifacts: [String: [UInt8]]

  init(_ result: TaskResult) {
    rows = result.rows
    artifacts = Dictionary(uniqueKeysWithValues: result.artifacts.map { ($0.name, $0.bytes) })
  }

  func rows(of table: ResultTable) -> [TableRow] { rows.filter { $0.table == table } }
}

typealias Outcomes = [Digest: Outcome]

extension TinySweep {
  /// What a task's work reads, of what other tasks left.
  func inputs(of work: TaskWork, among outcomes: Outcomes) throws -> TaskInputs {
    var inputs = TaskInputs(paths: paths)
    for reference in work.inputs {
      switch reference {
      case .file: break
      case .artifact(let digest):
        inputs.artifacts[reference] = try input(digest)
      case .output(let task, let name):
        inputs.artifacts[reference] = try #require(outcomes[task]?.artifacts[name], "\(name) of \(task.short)")
      }
    }
    return inputs
  }

  /// One task, given what the ones before it left.
  func run(
    _ work: TaskWork, _ executor: ExperimentExecutor, among outcomes: Outcomes, monitor: any TaskMonitor = Onlooker()
  ) throws -> Outcome {
    Outcome(try executor.execute(work, inputs: try inputs(of: work, among: outcomes), monitor: monitor))
  }

  /// All tasks in an order, from nothing.
  func run(_ order: [TaskDefinition], threads: Int) throws -> Outcomes {
    let executor = ExperimentExecutor(pool: ThreadPool(threads: threads))
    var outcomes = Outcomes()
    for task in order { outcomes[task.key] = try run(try work(task), executor, among: outcomes) }
    return outcomes
  }

  /// Another order that the dependencies allow: whatever can run, the last of the plan first.
  var reversedOrder: [TaskDefinition] {
    var (order, done, waiting): ([TaskDefinition], Set<Digest>, [TaskDefinition]) = ([], [], tasks.reversed())
    while let next = waiting.firstIndex(where: { done.isSuperset(of: $0.dependencies) }) {
      let task = waiting.remove(at: next)
      done.insert(task.key)
      order.append(task)
    }
    return order
  }

  /// The sweep as the tests have it, and what its tasks leave when they run in order on one thread. Made once.
  static let standard = Result { () throws -> (sweep: TinySweep, outcomes: Outcomes) in
    let sweep = try TinySweep()
    return (sweep, try sweep.run(sweep.tasks, threads: 1))
  }
}

/// A monitor that lets a task go on and checks that what it reports rises to 1 at most.
final class Onlooker: TaskMonitor {
  private let last = Mutex(0.0)

  func advanced(to fraction: Double) {
    let before = last.withLock { last in
      defer { last = fraction }
      return last
    }
    #expect((before...1.000001).contains(fraction))
  }
  var shouldStop: Bool { false }
}

/// A monitor that asks to stop after so many reports.
final class Stopper: TaskMonitor {
  private let left: Mutex<Int>

  init(after reports: Int) { left = Mutex(reports) }

  func advanced(to fraction: Double) { left.withLock { $0 -= 1 } }
  var shouldStop: Bool { left.withLock { $0 <= 0 } }
}
