internal import Foundation
internal import Synchronization

/// Holds up a task's thread until a test lets it go on, and tells the test that it has come.
package final class Gate: Sendable {
  package init() {}

  private let lock = DispatchSemaphore(value: 0)
  private let arrivals = AsyncStream<Void>.makeStream()

  /// From the task's thread.
  package func block() {
    arrivals.continuation.yield()
    lock.wait()
  }

  package func open() { lock.signal() }

  /// Waits until a thread is blocked.
  package func arrival() async {
    for await _ in arrivals.stream { return }
  }
}

/// What was said, in order.
package final class Collected<Element: Sendable>: Sendable {
  private let elements = Mutex<[Element]>([])

  package init() {}

  package func add(_ element: Element) { elements.withLock { $0.append(element) } }
  package var all: [Element] { elements.withLock { $0 } }
}
