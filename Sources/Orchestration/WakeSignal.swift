internal import Synchronization

/// Wakes the one who waits: a ring before the wait counts too, several count as one.
final class WakeSignal: Sendable {
  private struct State: Sendable {
    var hasRung = false
    var waiter: CheckedContinuation<Void, Never>?
  }
  private let state = Mutex(State())

  /// Wakes whoever waits, or makes the next wait return at once.
  func ring() {
    let waiter = state.withLock { state in
      let waiter = state.waiter
      state.waiter = nil
      state.hasRung = waiter == nil
      return waiter
    }
    waiter?.resume()
  }

  /// Waits for a ring, at most so long, and not beyond the task's cancellation. One caller at a time.
  func wait(atMost limit: Duration, _ time: Timekeeper) async {
    guard limit > .zero else {
      state.withLock { $0.hasRung = false }
      return
    }
    await withTaskGroup { group in
      group.addTask { await self.waitForRing() }
      group.addTask { try? await time.sleep(limit) }
      await group.next()
      group.cancelAll()
    }
  }

  private func waitForRing() async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isOver = state.withLock { state in
          if state.hasRung || Task.isCancelled {
            state.hasRung = false
            return true
          }
          state.waiter = continuation
          return false
        }
        if isOver { continuation.resume() }
      }
    } onCancel: {
      let waiter = state.withLock { state in
        let waiter = state.waiter
        state.waiter = nil
        return waiter
      }
      waiter?.resume()
    }
  }
}
