internal import Foundation
internal import Synchronization

/// A computation on a thread of its own, so that minutes of it hold up nobody else; it can be left behind.
final class ComputeJob<Result: Sendable>: Sendable {
  private enum State: Sendable {
    case running
    case awaited(CheckedContinuation<Result?, Never>)
    case ended(Result)
    case abandoned
  }
  private let state = Mutex(State.running)

  /// Starts the body on a new thread with a stack as large as the main thread's usually is.
  init(name: String, _ body: @escaping @Sendable () -> Result) {
    let thread = Thread { [self] in end(with: body()) }
    thread.name = name
    thread.stackSize = 8 << 20
    thread.start()
  }

  /// What the body returned; nil when the job was abandoned. Called once.
  var result: Result? {
    get async {
      await withCheckedContinuation { continuation in
        let known: Result?? = state.withLock { state in
          switch state {
          case .running, .awaited:
            state = .awaited(continuation)
            return nil
          case .ended(let result): return .some(result)
          case .abandoned: return .some(nil)
          }
        }
        if let known { continuation.resume(returning: known) }
      }
    }
  }

  /// Lets go of a body that would not stop: its result is dropped whenever it comes.
  func abandon() { settle(.abandoned, nil) }

  private func end(with result: Result) { settle(.ended(result), result) }

  private func settle(_ end: State, _ result: Result?) {
    let waiter: CheckedContinuation<Result?, Never>? = state.withLock { state in
      switch state {
      case .running: state = end
      case .awaited(let continuation):
        state = end
        return continuation
      case .ended, .abandoned: break
      }
      return nil
    }
    waiter?.resume(returning: result)
  }
}
