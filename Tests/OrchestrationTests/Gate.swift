import Foundation
import Synchronization

/// Holds up a task's thread until a test lets it go on, and tells the test that it has come.
final class Gate: Sendable {
  private let lock = DispatchSemaphore(value: 0)
  private let arrivals = AsyncStream<Void>.makeStream()

  /// From the task's thread.
  func block() {
    arrivals.continuation.yield()
    lock.wait()
  }

  func open() { lock.signal() }

  /// Waits until a thread is blocked.
  func arrival() async {
    for await _ in arrivals.stream { return }
  }
}

/// What was said, in order.
final class Collected<Element: Sendable>: Sendable {
  private let elements = Mutex<[Element]>([])

  func add(_ element: Element) { elements.withLock { $0.append(element) } }
  var all: [Element] { elements.withLock { $0 } }
}
