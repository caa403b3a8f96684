internal import Diagnostics
internal import Foundation
internal import SweepRecords
internal import TensorFiles

/// Runs a handful of tasks one after the other, without a store: what each makes lies in a folder under its key, so that an
/// interrupted run goes on where it stopped.
struct LocalTasks {
  let folder: String
  /// Small inputs by content.
  let inputs: [Digest: [UInt8]]
  /// Large files by content.
  let paths: [Digest: String]
  let executor: any TaskExecutor

  /// Runs the tasks in order, each once, and returns the key of the last.
  func run(_ tasks: [TaskDefinition]) throws -> Digest {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for task in tasks {
      if FileManager.default.fileExists(atPath: path(of: task.key)) {
        Terminal.say("\(task.title): done before")
        continue
      }
      let work = try TaskWork(canonicalJSON: task.work)
      let progress = LineProgress(task.title)
      let result = try executor.execute(
        work, inputs: try inputs(of: work), monitor: ProgressMonitor(progress: progress))
      progress.finish()
      for artifact in result.artifacts {
        try AtomicFile.write(artifact.bytes, to: path(of: task.key, artifact.name))
      }
      // Last, so that it stands only beside whole artifacts.
      try AtomicFile.write(Array(task.title.utf8), to: path(of: task.key))
      for row in result.rows where row.table == .sae { Terminal.say(row.summary) }
    }
    guard let last = tasks.last else { throw InputError("tasks", expected: "something to do", found: "nothing") }
    return last.key
  }

  /// What a task made.
  func artifact(_ name: String, of key: Digest) throws(InputError) -> [UInt8] { try Inputs.bytes(path(of: key, name)) }

  /// Removes the folder when all is done.
  func remove() throws { try FileManager.default.removeItem(atPath: folder) }

  private func inputs(of work: TaskWork) throws -> TaskInputs {
    var found = TaskInputs(paths: paths)
    for reference in work.inputs {
      switch reference {
      case .file: break
      case .artifact(let digest): found.artifacts[reference] = inputs[digest]
      case .output(let task, let name): found.artifacts[reference] = try artifact(name, of: task)
      }
    }
    return found
  }

  private func path(of key: Digest, _ name: String = "done") -> String { "\(folder)/\(key.short)-\(name)" }
}

/// Shows a task's progress; nothing stops it but the end of the process.
private struct ProgressMonitor: TaskMonitor {
  let progress: LineProgress
  func advanced(to fraction: Double) { progress.show(fraction) }
  var shouldStop: Bool { false }
}

extension TableRow {
  /// The row's cells as `name value`, for people.
  fileprivate var summary: String {
    cells.sorted { $0.key < $1.key }.compactMap { key, cell in
      switch cell {
      case .null: nil
      case .integer(let value): "\(key) \(value)"
      case .real(let value): "\(key) \(String(format: "%.4g", value))"
      case .text(let value): "\(key) \(value)"
      }
    }.joined(separator: ", ")
  }
}
