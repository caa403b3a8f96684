import Foundation
import Orchestration
import Storage
import SweepRecords

/// A made-up sweep of any size, whose tasks wait for nobody and read nothing.
struct SyntheticSweep: Codable, Sendable {
  var name: String
  var tasks: Int

  func submission() throws -> SweepSubmission {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let resolved = String(decoding: try encoder.encode(self), as: UTF8.self)
    return SweepSubmission(
      digest: Digest(of: resolved), name: name, document: "name: \(name)", resolved: resolved, priority: .normal,
      inputs: [])
  }
}

/// Makes its tasks a chunk a time, whatever their number.
struct SyntheticExpander: SweepExpander {
  func chunk(of resolved: String, from cursor: Int, limit: Int) throws -> (tasks: [TaskDefinition], next: Int?) {
    let sweep = try JSONDecoder().decode(SyntheticSweep.self, from: Data(resolved.utf8))
    let end = min(cursor + limit, sweep.tasks)
    let salt = Int(Digest(of: sweep.name).hex.prefix(7), radix: 16) ?? 0
    let tasks = try (cursor..<end).map { index in
      let work = TaskWork.statistics(StatisticsWork(layers: [salt, index], slices: []))
      let json = try work.canonicalJSON()
      return TaskDefinition(
        key: TaskWork.key(ofCanonicalJSON: json), kind: work.kind, work: json, dependencies: [], files: [], layer: nil,
        title: "task \(index)", estimate: 0.001)
    }
    return (tasks, end < sweep.tasks ? end : nil)
  }
}

/// Does nothing, or computes for a while, and leaves nothing, or rows.
struct SyntheticExecutor: TaskExecutor {
  /// Steps of a loop that no compiler can shorten.
  var steps = 0

  func execute(_ work: TaskWork, inputs: TaskInputs, monitor: any TaskMonitor) throws(TaskFault) -> TaskResult {
    if steps > 0 { Self.keep(Self.compute(steps)) }
    return TaskResult()
  }

  static func compute(_ steps: Int) -> UInt64 {
    var state: UInt64 = 1
    for _ in 0..<steps { state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407 }
    return state
  }

  @inline(never) private static func keep(_ value: UInt64) { if value == 0 { print(value) } }

  /// Steps that take about so many seconds here.
  static func steps(taking seconds: Double) -> Int {
    let clock = ContinuousClock()
    let trial = 20_000_000
    // The fastest of a few: what else the machine does only makes it slower.
    let time = (0..<5).map { _ in clock.measure { keep(compute(trial)) } / .seconds(1) }.min() ?? 1
    return max(1, Int(seconds / time * Double(trial)))
  }
}

/// No task of these names a file.
struct NoFiles: FileResolver {
  func path(of file: FileReference) async throws(TaskFault) -> String {
    throw TaskFault(.task, "there are no files")
  }
}
