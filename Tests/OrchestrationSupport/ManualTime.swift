package import Orchestration
internal import Synchronization

/// Time that passes only when it is told to, for loops and database alike; who sleeps makes it pass.
package final class ManualTime: Sendable {
  private let elapsed = Mutex(Duration.zero)

  package init() {}

  /// Lets time pass.
  package func advance(_ duration: Duration) { elapsed.withLock { $0 += duration } }

  /// The database's clock.
  package var clock: @Sendable () -> Double {
    {
      let parts = self.elapsed.withLock { $0 }.components
      return 1_800_000_000 + Double(parts.seconds) + Double(parts.attoseconds) * 1e-18
    }
  }

  package var timekeeper: Timekeeper {
    Timekeeper(
      now: { self.elapsed.withLock { $0 } },
      sleep: { duration in
        try Task.checkCancellation()
        self.advance(duration)
        await Task.yield()
      }, jitter: { 0.5 })
  }
}

/// A reproducible sequence of random numbers (SplitMix64).
package struct SeededGenerator: RandomNumberGenerator {
  package var state: UInt64
  package init(seed: UInt64) { state = seed }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
