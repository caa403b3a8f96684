internal import ArgumentParser
internal import Diagnostics
internal import Foundation
internal import Kernels
internal import Processor
internal import Reporting
internal import SweepRecords

/// `bench`: the kernels against what this machine itself can do.
struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measures the kernels against this machine's own peak and bandwidth, as ratios.",
    discussion: """
      Every ratio is a median over pairs that were measured one right after the other, so that it means the same on a busy \
      machine. Above 1 is better than the peer.
      """)

  @OptionGroup var threads: ThreadOptions
  @Option(help: "How long each row is measured, in seconds.") var seconds = 1.0
  @Option(help: "Leaves out matrices of weights that are larger, in MB.") var megabytes = 640
  @Option(help: "table, json or csv.") var format = OutputFormat.table

  func run() async throws {
    guard seconds.isFinite, (0...3600).contains(seconds) else {
      throw InputError("--seconds", expected: "a number from 0 to 3600", found: "\(seconds)")
    }
    let pool = try threads.pool()
    var bench = KernelBench(seconds: seconds, largest: megabytes, pool: pool)
    let rows = bench.run { Terminal.say($0) }
    switch format {
    case .json: try JSONOutput.print(Report(machine: .here(pool), comparisons: rows))
    case .table, .csv:
      let cells = rows.map { row -> [Cell] in
        let target = row.target.value.isFinite ? Cell.real(row.target.value) : .null
        return [.text(row.name), .real(row.ours), .text(row.unit), .real(row.ratio), .text(row.peerName), target]
      }
      Terminal.result(
        TerminalTable(columns: ["what", "ours", "unit", "ratio", "peer", "target"], rows: cells).render(as: format))
    }
  }

  private struct Report: Encodable {
    var machine: Machine
    var comparisons: [KernelBench.Row]
  }

  private struct Machine: Encodable {
    var cpu: String
    var level: String
    var threads: Int

    static func here(_ pool: ThreadPool) -> Machine {
      let lines = ((try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? "").split(separator: "\n")
      let model = lines.first { $0.hasPrefix("model name") }?.split(separator: ":").last
      return Machine(
        cpu: model.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown", level: CPUFeatures.level,
        threads: pool.threads)
    }
  }
}
