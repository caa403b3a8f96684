internal import Telemetry

/// What takes time at the store.
enum StoreMetrics {
  static func transactions(_ metrics: Metrics) -> Labelled<Histogram> {
    metrics.histogram(
      "steerscope_transaction_seconds", "Seconds that calls to the store took, tries included, by what they did.",
      buckets: Histogram.requestSeconds, labels: ["operation"])
  }
}
