/// The time that loops live by: their own clock, monotonic, never compared with another machine's.
package struct Timekeeper: Sendable {
  /// The time since some moment before.
  package var now: @Sendable () -> Duration
  /// Waits; throws `CancellationError` when the task is cancelled meanwhile.
  package var sleep: @Sendable (Duration) async throws -> Void
  /// A draw from 0..<1, to spread retries.
  package var jitter: @Sendable () -> Double

  package init(
    now: @escaping @Sendable () -> Duration, sleep: @escaping @Sendable (Duration) async throws -> Void,
    jitter: @escaping @Sendable () -> Double
  ) {
    self.now = now
    self.sleep = sleep
    self.jitter = jitter
  }

  /// This machine's clock, from now.
  package static func continuous() -> Timekeeper {
    let clock = ContinuousClock()
    let start = clock.now
    return Timekeeper(
      now: { start.duration(to: clock.now) }, sleep: { try await clock.sleep(for: $0) },
      jitter: { Double.random(in: 0..<1) })
  }
}

/// Waits that grow after each failure in a row, up to a longest, less up to half by jitter.
struct Backoff: Sendable {
  var first: Duration = .milliseconds(200)
  var longest: Duration = .seconds(30)
  private(set) var failures = 0

  init(first: Duration = .milliseconds(200), longest: Duration = .seconds(30)) {
    self.first = first
    self.longest = longest
  }

  /// Counts a failure and says how long to wait.
  mutating func failed(jitter: Double) -> Duration {
    failures += 1
    var wait = first
    for _ in 1..<max(1, min(failures, 32)) where wait < longest { wait *= 2 }
    return min(wait, longest) * (0.5 + 0.5 * min(max(jitter, 0), 1))
  }

  mutating func succeeded() { failures = 0 }
}

extension Duration {
  /// As seconds.
  var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
