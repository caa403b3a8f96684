internal import Foundation

/// What the system says about this process, under the names that Prometheus' own libraries use.
package enum ProcessMetrics {
  /// Adds them to a registry; they are looked up whenever it is read.
  package static func add(to metrics: Metrics) {
    let memory = metrics.gauge("process_resident_memory_bytes", "Resident memory, shared pages included.")
    let seconds = metrics.counter("process_cpu_seconds_total", "Time on processors since the start, user and system.")
    let files = metrics.gauge("process_open_fds", "Open file descriptors.")
    let start = metrics.gauge("process_start_time_seconds", "When the process started, in seconds since 1970.")
    start.set(Date().timeIntervalSince1970.rounded())
    metrics.beforeReading {
      if let bytes = residentBytes() { memory.set(bytes) }
      if let used = processorSeconds() { seconds.advance(to: used) }
      if let open = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count { files.set(open) }
    }
  }

  /// Resident memory in bytes; nil where the system does not tell.
  package static func residentBytes() -> Int? {
    // Pages: total, resident, shared ...
    guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return nil }
    let fields = text.split(separator: " ")
    guard fields.count > 1, let pages = Int(fields[1]) else { return nil }
    return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
  }

  private static func processorSeconds() -> Double? {
    var time = timespec()
    guard clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 else { return nil }
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}
