internal import Synchronization

/// One time series, or a histogram's few.
package protocol MetricInstrument: AnyObject, Sendable {
  /// What it reads now.
  var samples: [MetricSample] { get }
}

/// One line of the text format, without the name and the labels of its metric.
package struct MetricSample: Sendable {
  /// What comes after the metric's name: nothing, `_bucket`, `_sum` or `_count`.
  var suffix = ""
  /// The border of a histogram's bucket.
  var border: Double?
  var value: Double
}

/// A number that only grows, from 0 at the process's start.
package final class Counter: MetricInstrument {
  private let number = AtomicDouble()

  init() {}

  /// Adds what was counted; what is negative or not a number is a fault in the program.
  package func increment(by amount: Double = 1) {
    precondition(amount >= 0, "a counter only grows")
    number.add(amount)
  }

  package func increment(by amount: Int) { increment(by: Double(amount)) }

  /// Brings it to what was counted elsewhere; less than it reads is ignored.
  package func advance(to total: Double) { number.raise(to: total) }

  package var value: Double { number.value }
  package var samples: [MetricSample] { [MetricSample(value: value)] }
}

/// A number that goes up and down.
package final class Gauge: MetricInstrument {
  private let number = AtomicDouble()

  init() {}

  package func set(_ value: Double) { number.set(value) }
  package func set(_ value: Int) { number.set(Double(value)) }
  package func add(_ amount: Double) { number.add(amount) }

  package var value: Double { number.value }
  package var samples: [MetricSample] { [MetricSample(value: value)] }
}

/// How often values fell into fixed ranges, how many there were and what they add up to.
package final class Histogram: MetricInstrument {
  private struct State: Sendable {
    /// Each bucket's own count, the last for what is above every border.
    var counts: [UInt64]
    var sum = 0.0
  }
  private let borders: [Double]
  private let state: Mutex<State>

  init(buckets: [Double]) {
    precondition(buckets.allSatisfy(\.isFinite), "borders of buckets are finite")
    precondition(zip(buckets, buckets.dropFirst()).allSatisfy { $0 < $1 }, "borders of buckets rise")
    borders = buckets
    state = Mutex(State(counts: Array(repeating: 0, count: buckets.count + 1)))
  }

  /// Counts a value into the first bucket whose border it does not exceed. Not a number is above all. O(buckets)
  package func observe(_ value: Double) {
    let bucket = borders.firstIndex { value <= $0 } ?? borders.count
    state.withLock { state in
      state.counts[bucket] += 1
      state.sum += value
    }
  }

  package var samples: [MetricSample] {
    let state = state.withLock { $0 }
    var below: UInt64 = 0
    var samples: [MetricSample] = []
    for (border, count) in zip(borders + [.infinity], state.counts) {
      below += count
      samples.append(MetricSample(suffix: "_bucket", border: border, value: Double(below)))
    }
    samples.append(MetricSample(suffix: "_sum", value: state.sum))
    samples.append(MetricSample(suffix: "_count", value: Double(below)))
    return samples
  }

  /// Borders from 1 ms to 10 s, for what a server answers.
  package static let requestSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
  /// Borders from 10 ms to 10 min, for tasks.
  package static let taskSeconds = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 20, 30, 60, 120, 300, 600]
}

/// A number that threads change without a lock.
private final class AtomicDouble: Sendable {
  private let bits = Atomic<UInt64>(0)

  var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }

  func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }

  func add(_ amount: Double) { update { $0 + amount } }

  func raise(to value: Double) { update { max($0, value) } }

  private func update(_ next: (Double) -> Double) {
    var seen = bits.load(ordering: .relaxed)
    while true {
      let wanted = next(Double(bitPattern: seen)).bitPattern
      let (exchanged, original) = bits.weakCompareExchange(expected: seen, desired: wanted, ordering: .relaxed)
      if exchanged { return }
      seen = original
    }
  }
}
