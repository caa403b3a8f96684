internal import SweepRecords
package import Telemetry

/// What every process of a cluster tells of itself.
package enum ProgramMetrics {
  /// - Parameters:
  ///   - version: the program's.
  ///   - cpu: the CPU level that it uses.
  package static func add(to metrics: Metrics, version: String, cpu: String) {
    metrics.gauge(
      "steerscope_build_info", "1; what runs is in the labels: version, numerics version, CPU level.",
      labels: ["version", "numerics", "cpu"])(version, "\(numericsVersion)", cpu).set(1)
    let memory = metrics.gauge(
      "steerscope_memory_bytes", "Memory of the process's own, without the pages of mapped files.")
    metrics.gauge("steerscope_memory_limit_bytes", "Memory that the process may use before the system ends it.")
      .set(ProcessMemory.available)
    metrics.beforeReading {
      if let bytes = ProcessMemory.inUse { memory.set(bytes) }
    }
    ProcessMetrics.add(to: metrics)
  }
}
