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
