/// How long to wait before the next attempt to connect: doubling, with jitter, from the start again after a while of
/// health.
struct ReconnectPolicy: Sendable, Equatable {
  var first: Duration = .milliseconds(200)
  var longest: Duration = .seconds(30)
  /// How long a connection must have held for the next wait to be the first again.
  var health: Duration = .seconds(60)
  /// Failures in a row.
  private(set) var failures = 0

  /// The wait after a failure.
  ///
  /// - Parameters:
  ///   - held: how long the connection had been ready; zero for one that never was.
  ///   - jitter: 0..<1; waits are spread over the upper half.
  mutating func failed(afterHolding held: Duration, jitter: Double) -> Duration {
    if held >= health { failures = 0 }
    var wait = first
    for _ in 0..<min(failures, 30) where wait < longest { wait = wait * 2 }
    failures += 1
    let spread = jitter.isFinite ? 0.5 + 0.5 * min(max(jitter, 0), 1) : 1
    return min(wait, longest) * spread
  }
}
