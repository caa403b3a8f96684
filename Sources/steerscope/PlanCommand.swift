internal import ArgumentParser
internal import Diagnostics
internal import Foundation
internal import Kernels
internal import Reporting
internal import Storage
internal import SweepPlanning
internal import SweepRecords

/// `plan`: what would run.
struct PlanCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan", abstract: "Shows what a sweep would run, and everything that is wrong with its files.")

  @Argument(help: "The sweep file (YAML).") var file: String
  @OptionGroup var threads: ThreadOptions
  @Option(help: "table, json or csv.") var format = OutputFormat.table

  private struct Stage: Encodable {
    var kind: String
    var new: Int
    var done: Int
    var seconds: Double
  }

  private struct Output: Encodable {
    var sweep: String
    var tasks: Int
    var done: Int
    var stages: [Stage]
    var rows: [String: Int]
    var bytesRead: Int
    var bytesStored: Int
    var operations: Double
    /// Estimated wall-clock seconds of what is new, with the threads given.
    var seconds: Double
  }

  func run() async throws {
    let sweep = try SweepFiles(path: file).resolution.sweep
    let plan = SweepPlan(sweep)
    let done = try await doneKeys(plan)
    let estimate = try PlanEstimate(plan, isDone: done.contains, size: Self.size)
    let width = Double(try threads.pool().threads)
    let output = Output(
      sweep: sweep.name, tasks: estimate.stages.reduce(0) { $0 + $1.new + $1.done },
      done: estimate.stages.reduce(0) { $0 + $1.done },
      stages: estimate.stages.map {
        Stage(kind: $0.kind.rawValue, new: $0.new, done: $0.done, seconds: $0.seconds / width)
      },
      rows: Dictionary(uniqueKeysWithValues: estimate.rows.map { ($0.key.rawValue, $0.value) }),
      bytesRead: estimate.bytesRead, bytesStored: estimate.bytesStored, operations: estimate.operations,
      seconds: estimate.seconds / width)
    switch format {
    case .json: try JSONOutput.print(output)
    case .csv: Terminal.result(Self.table(output).render(as: .csv))
    case .table: show(output)
    }
  }

  private static func table(_ output: Output) -> TerminalTable {
    TerminalTable(
      columns: ["kind", "new", "done", "seconds"],
      rows: output.stages.map {
        [.text($0.kind), .integer($0.new), .integer($0.done), .real($0.seconds.rounded())]
      })
  }

  private func show(_ output: Output) {
    Terminal.result(Self.table(output).render(as: .table))
    let rows = output.rows.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
    Terminal.result("\nrows to store: \(rows.isEmpty ? "none" : rows)\n")
    Terminal.result(
      String(
        format: "reads %.1f MB, stores about %.1f MB, %.1f TFLOP, about %.0f s\n", Double(output.bytesRead) / 1e6,
        Double(output.bytesStored) / 1e6, output.operations / 1e12, output.seconds))
  }

  /// The keys of the plan's tasks that the database has done.
  private func doneKeys(_ plan: SweepPlan) async throws -> Set<Digest> {
    if case .sqlite = try Settings.database(), !FileManager.default.fileExists(atPath: try OpenStore.path()) {
      return []
    }
    let store = try await OpenStore.open()
    var done: Set<Digest> = []
    for unit in 0..<plan.unitCount {
      let known = try await store.tasks(withKeys: plan.tasks(inUnit: unit).map(\.key))
      done.formUnion(known.filter { $0.state == .done }.map(\.key))
    }
    return done
  }

  /// Bytes of a file, or of the files in a directory.
  private static func size(of file: FileReference) -> Int {
    let files = FileManager.default
    let place = (try? Settings.path(of: file.locator)) ?? file.locator
    let names = (try? files.contentsOfDirectory(atPath: place)).map { $0.map { place + "/" + $0 } }
    return (names ?? [place]).reduce(0) { sum, path in
      sum + ((try? files.attributesOfItem(atPath: path)[.size] as? Int) ?? 0)
    }
  }
}
