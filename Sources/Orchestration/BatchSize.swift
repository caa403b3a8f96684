package import SweepRecords

/// How many tasks a worker claims at once: one when they take seconds, several when they are so short that transactions
/// would cost more than the work (protocol.md 13).
package struct BatchSize: Sendable {
  /// Seconds of work that a batch should hold.
  package var target: Double
  package var limit: Int
  private var average: Double?
  /// Seconds that tasks of a kind take here.
  private var kinds: [TaskKind: Double] = [:]

  package init(target: Double = 0.5, limit: Int = 64) {
    self.target = target
    self.limit = max(1, limit)
  }

  /// The present size: a power of two, 1 until something is known.
  package private(set) var size = 1

  /// How many messages to hold: one where tasks take seconds, so that none waits here while others have time; where they
  /// are short the next batch too, so that it is there when this one is done. Few different numbers, as each change
  /// takes the broker some round trips.
  package var prefetch: Int {
    switch size {
    case 1: 1
    case 2...4: 8
    case 5...16: 32
    default: max(128, 2 * size)
    }
  }

  /// The seconds that a task of a kind is expected to take; those of a whole batch where nothing is known.
  package func expected(_ kind: TaskKind) -> Double { kinds[kind] ?? target }

  /// How many of the tasks, of these kinds in this order, are one batch: one, and more while they take twice the target
  /// at most. What is left others can do meanwhile.
  package func fitting(_ kinds: [TaskKind]) -> Int {
    var seconds = 0.0
    let fitting = kinds.prefix { kind in
      seconds += expected(kind)
      return seconds <= 2 * target
    }.count
    return min(kinds.count, max(1, fitting))
  }

  /// Learns from a task that took so many seconds. One long task is enough to make batches small.
  package mutating func took(_ seconds: Double, _ kind: TaskKind) {
    let seconds = max(seconds, 1e-6)
    kinds[kind] = kinds[kind].map { 0.75 * $0 + 0.25 * seconds } ?? seconds
    average = max(seconds, average.map { 0.75 * $0 + 0.25 * seconds } ?? seconds)
    let wanted = min(Double(limit), target / (average ?? seconds))
    var power = 1
    while Double(power * 2) <= wanted { power *= 2 }
    // Growing one step at a time keeps a few lucky tasks from filling a batch with long ones.
    size = min(power, size * 2)
  }
}
