internal import Synchronization

/// The numbers of a process that others may watch, as Prometheus reads them.
///
/// Instruments are asked for once and kept; using one costs an atomic operation or an uncontended lock. Asking again for
/// the same name gives the same instrument; asking for it as something else is a fault in the program and ends it.
package final class Metrics: Sendable {
  /// What a metric is, in Prometheus' words.
  package enum Kind: String, Sendable, CaseIterable {
    case counter, gauge, histogram
  }

  /// What a metric says about itself.
  package struct Description: Sendable, Equatable {
    package let name: String
    package let kind: Kind
    package let help: String
    /// The names of its labels, in order.
    package let labels: [String]
  }

  private struct State: Sendable {
    var families: [String: any MetricFamily] = [:]
    var refreshers: [@Sendable () -> Void] = []
  }
  private let state = Mutex(State())

  package init() {}

  // MARK: Instruments

  /// A number that only grows. Its name ends in `_total`.
  package func counter(_ name: String, _ help: String) -> Counter { counter(name, help, labels: [])() }

  /// Numbers that only grow, one for each combination of label values.
  ///
  /// - Parameter limit: how many combinations are kept apart; later ones are counted together as `other`.
  package func counter(_ name: String, _ help: String, labels: [String], limit: Int = 64) -> Labelled<Counter> {
    precondition(name.hasSuffix("_total"), "the name of a counter ends in _total: \(name)")
    return family(name, .counter, help, labels, limit) { Counter() }
  }

  /// A number that goes up and down.
  package func gauge(_ name: String, _ help: String) -> Gauge { gauge(name, help, labels: [])() }

  /// Numbers that go up and down, one for each combination of label values.
  /// Without labels it is one number that can be forgotten.
  package func gauge(_ name: String, _ help: String, labels: [String], limit: Int = 64) -> Labelled<Gauge> {
    family(name, .gauge, help, labels, limit) { Gauge() }
  }

  /// A distribution.
  ///
  /// - Parameter buckets: upper borders, rising and finite; the one that takes all is added.
  package func histogram(_ name: String, _ help: String, buckets: [Double]) -> Histogram {
    histogram(name, help, buckets: buckets, labels: [])()
  }

  /// Distributions, one for each combination of label values.
  package func histogram(
    _ name: String, _ help: String, buckets: [Double], labels: [String], limit: Int = 64
  ) -> Labelled<Histogram> {
    precondition(!labels.contains("le"), "the label le is the histogram's own: \(name)")
    return family(name, .histogram, help, labels, limit) { Histogram(buckets: buckets) }
  }

  private func family<Instrument: MetricInstrument>(
    _ name: String, _ kind: Kind, _ help: String, _ labels: [String], _ limit: Int,
    make: @escaping @Sendable () -> Instrument
  ) -> Labelled<Instrument> {
    precondition(MetricNames.isMetricName(name), "not the name of a metric: \(name)")
    precondition(labels.allSatisfy(MetricNames.isLabelName), "not the names of labels: \(labels)")
    let description = Description(name: name, kind: kind, help: help, labels: labels)
    return state.withLock { state in
      if let known = state.families[name] {
        guard let same = known as? Labelled<Instrument>, same.description == description else {
          preconditionFailure("the metric \(name) exists and is something else")
        }
        return same
      }
      let made = Labelled(description, limit: limit, make: make)
      state.families[name] = made
      return made
    }
  }

  // MARK: Reading

  /// Has a closure called before every reading, for numbers that are looked up, not counted. It must be quick.
  package func beforeReading(_ refresh: @escaping @Sendable () -> Void) {
    state.withLock { $0.refreshers.append(refresh) }
  }

  /// All metrics, by name.
  package var descriptions: [Description] { families.map(\.description) }

  /// Everything in Prometheus' text format 0.0.4, metrics by name, series by their label values.
  package func text() -> String {
    for refresh in state.withLock({ $0.refreshers }) { refresh() }
    var text = PrometheusText()
    for family in families { text.append(family) }
    return text.text
  }

  private var families: [any MetricFamily] {
    state.withLock { $0.families.values.sorted { $0.description.name < $1.description.name } }
  }
}

/// What may be called what (Prometheus' data model).
enum MetricNames {
  static func isMetricName(_ name: String) -> Bool { isName(name, extra: [UInt8(ascii: "_"), UInt8(ascii: ":")]) }

  static func isLabelName(_ name: String) -> Bool { isName(name, extra: [UInt8(ascii: "_")]) && !name.hasPrefix("__") }

  private static func isName(_ name: String, extra: [UInt8]) -> Bool {
    let isStart = { (byte: UInt8) in
      (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || extra.contains(byte)
    }
    let isDigit = { (byte: UInt8) in (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
    guard let first = name.utf8.first, isStart(first) else { return false }
    return name.utf8.allSatisfy { isStart($0) || isDigit($0) }
  }
}
