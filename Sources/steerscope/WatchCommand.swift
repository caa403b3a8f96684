internal import ArgumentParser
internal import Diagnostics
internal import Foundation
internal import Reporting
internal import Storage
internal import SweepRecords

/// `watch`: how far a sweep is, until it ends.
struct WatchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "watch", abstract: "Shows a sweep's progress until it ends.",
    discussion: "On a terminal the view is drawn over itself; elsewhere there is a line for every change.")

  @Argument(help: "A sweep's name or id.") var sweep: String
  @Option(parsing: .unconditional, help: "Seconds between looks.") var interval = 1.0

  func run() async throws {
    guard (0.1...86_400).contains(interval) else {
      throw InputError("--interval", expected: "seconds from 0.1 to 86400", found: "\(interval)")
    }
    let store = try await OpenStore.open()
    // A newer sweep of the same name is not the one that was asked for.
    let id = try await OpenStore.sweep(sweep, in: store).id
    let signals = StopSignals()
    let state = try await signals.interrupting { try await watch(id, in: store) }
    if Terminal.isResultTerminal { Terminal.result("\n") }
    switch state {
    case nil: throw ExitCode.interrupted
    case .doneWithParked: throw ExitCode.doneWithParkedTasks
    case .cancelled: throw ExitCode.failure
    default: return
    }
  }

  /// Shows the sweep until it ends; returns how.
  private func watch(_ id: SweepID, in store: any ResultStore) async throws -> SweepState {
    var view = LiveView()
    while true {
      do {
        let summary = try await OpenStore.sweep(id.text, in: store)
        view.show(try await SweepStatus(reading: store, sweep: summary))
        if [.done, .doneWithParked, .cancelled].contains(summary.state) { return summary.state }
      } catch let error as StoreError where error.isTransient {
        view.show(trouble: "the database does not answer: \(error)")
      }
      try await Task.sleep(for: .seconds(interval))
    }
  }
}

/// What `watch` has drawn: a few lines that are drawn anew in their place, or one line a change.
private struct LiveView {
  private var drawn = 0
  private var lastLine = ""
  private var lastLines: [String] = []

  mutating func show(_ status: SweepStatus) {
    guard Terminal.isResultTerminal else { return say(status.line, unlessSameAs: status.change) }
    let text = status.render(as: .table, width: Terminal.width)
    lastLines = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    draw(lastLines)
  }

  mutating func show(trouble: String) {
    guard Terminal.isResultTerminal else { return say(trouble, unlessSameAs: trouble) }
    draw(lastLines + ["", trouble])
  }

  /// Draws as much as fits the screen: what has scrolled off it could not be drawn over.
  private mutating func draw(_ lines: [String]) {
    let room = max(Terminal.height - 1, 2)
    let width = Terminal.width
    var shown = lines.count > room ? lines.prefix(room - 1) + ["... \(lines.count - room + 1) more lines"] : lines[...]
    shown = shown.map { DisplayWidth.cut($0, to: width) }[...]
    Terminal.result(ProgressBar.redraw(Array(shown), over: drawn))
    drawn = shown.count
  }

  private mutating func say(_ line: String, unlessSameAs change: String) {
    guard change != lastLine else { return }
    lastLine = change
    Terminal.result(line + "\n")
  }
}
