internal import Foundation
internal import Orchestration
internal import Reporting
internal import Storage
internal import SweepRecords
internal import Synchronization

/// Shows how far a run is: two lines redrawn on a terminal, a plain line every few seconds elsewhere.
final class RunDisplay: Sendable {
  private let state = Mutex(State())

  private struct State: ~Copyable {
    var drawn: [String] = []
    var lastPlain = -Double.infinity
    var lastDone = -1
  }

  private let start = Date()

  func show(_ progress: RunProgress) {
    let elapsed = Date().timeIntervalSince(start)
    let shown = ProgressState(
      stages: progress.stages.map { .init(name: $0.kind.rawValue, done: $0.done, total: $0.total) },
      parked: progress.parked, elapsed: elapsed, tasksPerMinute: progress.rate * 60, secondsLeft: progress.secondsLeft,
      running: progress.current.map { .init(title: $0.title, fraction: $0.fraction) })
    state.withLock { state in
      if Terminal.isInteractive {
        let lines = ProgressBar.lines(shown, width: Terminal.width, color: Terminal.hasColour)
        FileHandle.standardError.write(Data(ProgressBar.redraw(lines, over: state.drawn.count).utf8))
        state.drawn = lines
      } else if elapsed - state.lastPlain >= 10 || (progress.done != state.lastDone && progress.done == progress.total)
      {
        Terminal.say(ProgressBar.plainLine(shown))
        state.lastPlain = elapsed
        state.lastDone = progress.done
      }
    }
  }

  /// Leaves the last lines standing.
  func finish() {
    if Terminal.isInteractive { Terminal.say("") }
  }
}
