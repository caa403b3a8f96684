internal import Synchronization

/// A few connections, lent one call at a time, first come first served.
final class PostgreSQLPool: Sendable {
  private struct State {
    var free: [PostgreSQLSession]
    var waiting: [CheckedContinuation<PostgreSQLSession, Never>] = []
  }
  private let sessions: [PostgreSQLSession]
  private let state: Mutex<State>

  init(_ sessions: [PostgreSQLSession]) {
    self.sessions = sessions
    state = Mutex(State(free: sessions))
  }

  /// Runs one transaction on a connection that nobody else uses meanwhile.
  func perform<T: Sendable>(_ body: @Sendable (PostgreSQLConnection) throws -> T) async throws -> T {
    let session = await borrow()
    defer { giveBack(session) }
    return try await session.perform(body)
  }

  /// Closes the connections; they open again when they are needed.
  func close() async { for session in sessions { await session.close() } }

  private func borrow() async -> PostgreSQLSession {
    await withCheckedContinuation { continuation in
      // The one used last has what it needs prepared.
      let session = state.withLock { state -> PostgreSQLSession? in
        if let free = state.free.popLast() { return free }
        state.waiting.append(continuation)
        return nil
      }
      if let session { continuation.resume(returning: session) }
    }
  }

  private func giveBack(_ session: PostgreSQLSession) {
    let next = state.withLock { state -> CheckedContinuation<PostgreSQLSession, Never>? in
      if state.waiting.isEmpty {
        state.free.append(session)
        return nil
      }
      return state.waiting.removeFirst()
    }
    next?.resume(returning: session)
  }
}
