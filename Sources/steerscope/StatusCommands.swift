internal import ArgumentParser
internal import Diagnostics
internal import Foundation
internal import Reporting
internal import Storage
internal import SweepRecords

/// `status`: how far a sweep is.
struct StatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Shows a sweep's stages, rate, workers and parked tasks.")

  @Argument(help: "A sweep's name or id; the newest unless said.") var sweep: String?
  @Option(help: "table, json or csv.") var format = OutputFormat.table

  func run() async throws {
    let store = try await OpenStore.open()
    let summary = try await OpenStore.sweep(sweep, in: store)
    let status = try await SweepStatus(reading: store, sweep: summary)
    Terminal.result(status.render(as: format, width: Terminal.isResultTerminal ? Terminal.width : nil))
  }
}

/// `watch`: the same, until the sweep ends.
struct WatchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "watch", abstract: "Shows a sweep's progress until it ends.")

  @Argument(help: "A sweep's name or id.") var sweep: String
  @Option(parsing: .unconditional, help: "Seconds between looks.") var interval = 1.0

  func run() async throws {
    guard (0.1...86_400).contains(interval) else {
      throw InputError("--interval", expected: "seconds from 0.1 to 86400", found: "\(interval)")
    }
    let store = try await OpenStore.open()
    var drawn = 0
    while true {
      let summary = try await OpenStore.sweep(sweep, in: store)
      let text = try await SweepStatus(reading: store, sweep: summary).render(as: .table, width: Terminal.width)
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
      if Terminal.isResultTerminal {
        Terminal.result(ProgressBar.redraw(lines, over: drawn))
        drawn = lines.count
      } else {
        Terminal.result(text)
      }
      if [.done, .doneWithParked, .cancelled].contains(summary.state) {
        if Terminal.isResultTerminal { Terminal.result("\n") }
        if summary.state == .doneWithParked { throw ExitCode.doneWithParkedTasks }
        return
      }
      try await Task.sleep(for: .seconds(interval))
    }
  }
}
