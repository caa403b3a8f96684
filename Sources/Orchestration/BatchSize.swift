/// How many tasks a worker claims at once: one when they take seconds, several when they are so short that transactions
/// would cost more than the work (protocol.md 13).
package struct BatchSize: Sendable {
  /// Seconds of work that a batch should hold.
  package var target: Double
  package var limit: Int
  private var average: Double?

  package init(target: Double = 0.5, limit: Int = 64) {
    self.target = target
    self.limit = max(1, limit)
  }

  /// The present size: a power of two, 1 until something is known.
  package private(set) var size = 1

  /// How many messages to hold: one where tasks take seconds, so that none waits here while others have time; where they
  /// are short the next batch too, so that it is there when this one is done. Few different numbers, as each change
  /// means a new consumer.
  package var prefetch: Int {
    switch size {
    case 1: 1
    case 2...4: 8
    case 5...16: 32
    default: max(128, 2 * size)
    }
  }

  /// Learns from a task that took so many seconds. One long task is enough to make batches small.
  package mutating func took(_ seconds: Double) {
    let seconds = max(seconds, 1e-6)
    average = max(seconds, average.map { 0.75 * $0 + 0.25 * seconds } ?? seconds)
    let wanted = min(Double(limit), target / (average ?? seconds))
    var power = 1
    while Double(power * 2) <= wanted { power *= 2 }
    // Growing one step at a time keeps a few lucky tasks from filling a batch with long ones.
    size = min(power, size * 2)
  }
}
