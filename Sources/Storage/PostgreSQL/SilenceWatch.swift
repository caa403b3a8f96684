internal import Foundation
internal import Synchronization

/// Ends the waiting for a server that says nothing any more while the network finds nothing wrong: a proxy or load
/// balancer in between acknowledges every packet of a connection whose other half is gone, and libpq would wait for ever.
final class SilenceWatch: Sendable {
  static let shared = SilenceWatch()

  private struct Wait {
    var socket: Int32
    var until: ContinuousClock.Instant
  }
  private struct State {
    var waits: [UInt64: Wait] = [:]
    var next: UInt64 = 0
    var isWatching = false
  }
  private let state = Mutex(State())

  /// Does what blocks on a socket; when it takes longer than `limit`, the socket is shut, and whoever blocks on it is
  /// told that the connection is lost. Nil for no limit.
  func wait<Result>(on socket: Int32, atMost limit: Duration?, _ body: () throws -> Result) rethrows -> Result {
    guard let limit, socket >= 0 else { return try body() }
    let (number, isFirst) = state.withLock { state in
      state.next += 1
      state.waits[state.next] = Wait(socket: socket, until: .now + limit)
      defer { state.isWatching = true }
      return (state.next, !state.isWatching)
    }
    if isFirst { Thread.detachNewThread { [self] in watch() } }
    defer { state.withLock { _ = $0.waits.removeValue(forKey: number) } }
    return try body()
  }

  /// Looks twice a second; ends when nobody has waited for a while.
  private func watch() {
    var idle = 0
    while idle < 20 {
      Thread.sleep(forTimeInterval: 0.5)
      let now = ContinuousClock.now
      let isIdle = state.withLock { state in
        for (number, wait) in state.waits where wait.until <= now {
          // Under the lock: the waiting thread can't have gone on and closed the socket.
          shutdown(wait.socket, Int32(SHUT_RDWR))
          state.waits[number] = nil
        }
        return state.waits.isEmpty
      }
      idle = isIdle ? idle + 1 : 0
      if idle >= 20 {
        let goesOn = state.withLock { state in
          state.isWatching = !state.waits.isEmpty
          return state.isWatching
        }
        if goesOn { idle = 0 }
      }
    }
  }
}
