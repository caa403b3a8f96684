internal import Reporting
internal import ArgumentParser
internal import Foundation
internal import Storage
internal import SweepPlanning
internal import SweepRecords

/// `plan`: what would run.
struct PlanCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan", abstract: "Shows what a sweep would run, and everything that is wrong with its files.")

  @Argument(help: "The sweep file (YAML).") var file: String
  @OptionGroup var threads: ThreadOptions
  @Option(help: "table or json.") var format = OutputFormat.table

  private struct Stage: Encodable {
    var kind: String
    var tasks = 0
    var done = 0
    var seconds = 0.0
  }

  private struct Output: Encodable {
    var sweep: String
    var tasks: Int
    var done: Int
    var stages: [Stage]
    /// Estimated wall-clock seconds of what is new, with the threads given.
    var seconds: Double
  }

  func run() async throws {
    let sweep = try SweepFiles(path: file).resolution.sweep
    let plan = try SweepPlan(sweep)
    let path = try OpenStore.path()
    let store = FileManager.default.fileExists(atPath: path) ? try OpenStore.open() : nil
    var stages: [TaskKind: Stage] = [:]
    for unit in 0..<plan.unitCount {
      let tasks = try plan.tasks(inUnit: unit)
      let known = try await store?.tasks(withKeys: tasks.map(\.key)) ?? []
      let done = Set(known.filter { $0.state == .done }.map(\.key))
      for task in tasks {
        var stage = stages[task.kind] ?? Stage(kind: task.kind.rawValue)
        stage.tasks += 1
        if done.contains(task.key) { stage.done += 1 } else { stage.seconds += task.estimate }
        stages[task.kind] = stage
      }
    }
    let ordered = TaskKind.allCases.compactMap { stages[$0] }
    let width = Double(try threads.pool().threads)
    let output = Output(
      sweep: sweep.name, tasks: ordered.reduce(0) { $0 + $1.tasks }, done: ordered.reduce(0) { $0 + $1.done },
      stages: ordered, seconds: ordered.reduce(0) { $0 + $1.seconds } / width)
    guard format == .table else { return try JSONOutput.print(output) }
    for stage in ordered {
      Terminal.result("\(stage.kind): \(stage.tasks) tasks, \(stage.done) done, about \(Int(stage.seconds / width)) s to go\n")
    }
    Terminal.result("all: \(output.tasks) tasks, \(output.done) done, about \(Int(output.seconds)) s to go\n")
  }
}
