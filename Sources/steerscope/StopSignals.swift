internal import Dispatch
internal import Foundation
internal import Synchronization

/// Ctrl-C and SIGTERM as calls: the handler hears which one of them it is, from 1.
final class StopSignals: Sendable {
  /// Called with 1 for the first signal, 2 for the second.
  typealias Handler = @Sendable (Int) -> Void

  private struct State: Sendable {
    var count = 0
    var handler: Handler
  }
  private let state: Mutex<State>
  private let sources = Mutex<[any DispatchSourceSignal]>([])

  init(_ handler: @escaping Handler = { _ in }) {
    state = Mutex(State(handler: handler))
    let sources = [SIGINT, SIGTERM].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { [weak self] in self?.arrived() }
      source.resume()
      return source
    }
    self.sources.withLock { $0 = sources }
  }

  /// How often a signal came.
  var count: Int { state.withLock { $0.count } }

  /// From now on these are called; at once for signals that came before.
  func handle(_ handler: @escaping Handler) {
    let count = state.withLock { state in
      state.handler = handler
      return state.count
    }
    if count > 0 { handler(count) }
  }

  /// Signals end the process again, as they do by themselves.
  func cancel() {
    for source in sources.withLock({ $0 }) { source.cancel() }
    for number in [SIGINT, SIGTERM] { signal(number, SIG_DFL) }
  }

  private func arrived() {
    let (count, handler) = state.withLock { state in
      state.count += 1
      return (state.count, state.handler)
    }
    handler(count)
  }
}
