internal import Synchronization

/// A metric with all its series.
protocol MetricFamily: Sendable {
  var description: Metrics.Description { get }
  /// The series, each with its label values, in their order.
  var series: [(values: [String], samples: [MetricSample])] { get }
}

/// Instruments of one name, one for each combination of label values. How many there can be is bounded: a process that
/// runs for months must not grow with what it meets.
package final class Labelled<Instrument: MetricInstrument>: MetricFamily {
  let description: Metrics.Description
  private let limit: Int
  private let make: @Sendable () -> Instrument
  private let instruments = Mutex<[[String]: Instrument]>([:])

  init(_ description: Metrics.Description, limit: Int, make: @escaping @Sendable () -> Instrument) {
    self.description = description
    self.limit = max(1, limit)
    self.make = make
    // What has no labels reads 0 from the start.
    if description.labels.isEmpty { _ = self() }
  }

  /// The instrument of these label values, given in the order of the labels; beyond the limit, that of `other`.
  package func callAsFunction(_ values: String...) -> Instrument { instrument(values) }

  /// Makes the instruments of the values there will be, so that they read 0 before anything happens. For one label.
  package func prepare(_ values: some Sequence<String>) {
    for value in values { _ = instrument([value]) }
  }

  /// Forgets every series: what is no longer known should not be told.
  package func removeAll() { instruments.withLock { $0.removeAll() } }

  private func instrument(_ values: [String]) -> Instrument {
    precondition(values.count == description.labels.count, "\(description.name) has labels \(description.labels)")
    return instruments.withLock { instruments in
      if let known = instruments[values] { return known }
      let other = values.map { _ in "other" }
      // One place is kept for the rest.
      let key = instruments.count < limit - (instruments[other] == nil ? 1 : 0) || values.isEmpty ? values : other
      if let known = instruments[key] { return known }
      let made = make()
      instruments[key] = made
      return made
    }
  }

  var series: [(values: [String], samples: [MetricSample])] {
    let all = instruments.withLock { $0.sorted { $0.key.lexicographicallyPrecedes($1.key) } }
    return all.map { ($0.key, $0.value.samples) }
  }
}
