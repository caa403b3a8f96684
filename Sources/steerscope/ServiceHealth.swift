internal import Diagnostics
internal import Foundation
internal import Orchestration
internal import Processor
internal import Synchronization
internal import Telemetry

/// What a long-running process tells whoever watches it, from its start to its end.
final class ServiceHealth: Sendable {
  let metrics = Metrics()
  private let server: HealthServer?
  private let check: Check

  /// Answers for what there is to ask yet.
  private final class Check: Sendable {
    let current = Mutex<HealthServer.Check>({ ["it waits for the database"] })
    func callAsFunction() async -> [String] { await current.withLock { $0 }() }
  }

  /// Listens at once, so that a port that is taken is an error before anything is done.
  init(_ options: ServiceOptions, log: LogSink) throws(InputError) {
    let check = Check()
    self.check = check
    ProgramMetrics.add(to: metrics, version: Version.number, cpu: CPUFeatures.level)
    guard let address = try options.address() else {
      server = nil
      return
    }
    let server = try HealthServer(
      at: address, subject: "--metrics-port", metrics: metrics, readiness: { await check() })
    self.server = server
    log(LogEntry(.info, "serves metrics and health", details: ["address": server.address.description]))
    Task { await server.run() }
  }

  /// From now on this says why the process can't do its work.
  func check(_ body: @escaping HealthServer.Check) { check.current.withLock { $0 = body } }
}
