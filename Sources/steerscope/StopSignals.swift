internal import Dispatch
internal import Foundation
internal import Synchronization

/// Ctrl-C and SIGTERM as calls: the handler hears which one of them it is, from 1.
final class StopSignals {
  /// Called with 1 for the first signal, 2 for the second.
  typealias Handler = @Sendable (Int) -> Void

  private final class Arrivals: Sendable {
    private struct State: Sendable {
      var count = 0
      var handler: Handler
    }
    private let state: Mutex<State>

    init(_ handler: @escaping Handler) { state = Mutex(State(handler: handler)) }

    var count: Int { state.withLock { $0.count } }

    func note() {
      let (count, handler) = state.withLock { state in
        state.count += 1
        return (state.count, state.handler)
      }
      handler(count)
    }

    func handle(_ handler: @escaping Handler) {
      let count = state.withLock { state in
        state.handler = handler
        return state.count
      }
      if count > 0 { handler(count) }
    }
  }

  private let arrivals: Arrivals
  private let sources: [any DispatchSourceSignal]

  init(_ handler: @escaping Handler = { _ in }) {
    let arrivals = Arrivals(handler)
    self.arrivals = arrivals
    sources = [SIGINT, SIGTERM].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { arrivals.note() }
      source.resume()
      return source
    }
  }

  /// How often a signal came.
  var count: Int { arrivals.count }

  /// From now on this is called; at once for signals that came before.
  func handle(_ handler: @escaping Handler) { arrivals.handle(handler) }

  /// Signals end the process again, as they do by themselves.
  func cancel() {
    for source in sources { source.cancel() }
    for number in [SIGINT, SIGTERM] { signal(number, SIG_DFL) }
  }
}
