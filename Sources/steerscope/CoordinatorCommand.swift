internal import ArgumentParser
internal import Diagnostics
internal import Foundation
internal import Messaging
internal import Orchestration
internal import Storage
internal import SweepPlanning
internal import Synchronization
internal import Telemetry

/// `coordinator`: plans and dispatches the sweeps of a cluster.
struct CoordinatorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "coordinator",
    abstract: "Plans and dispatches the sweeps of a cluster; several may run, one leads.",
    discussion: """
      STEERSCOPE_DATABASE names the PostgreSQL server, STEERSCOPE_BROKER the RabbitMQ server; each may be given as a file \
      with ..._FILE. SIGTERM gives the lead up and ends.
      """)

  @OptionGroup var service: ServiceOptions
  @Option(
    parsing: .unconditional, help: "Seconds after which a task whose message nobody answered is dispatched again.")
  var redispatchSeconds = 60.0
  @Option(parsing: .unconditional, help: "Seconds for which the lead is held without being renewed.")
  var leadershipSeconds = 8.0
  @Option(parsing: .unconditional, help: "Seconds for which workers lease tasks, as they are told with the same flag.")
  var leaseSeconds = 45.0

  func run() async throws {
    _ = try service.address()
    var settings = Coordinator.Settings()
    settings.redispatchAfter = try Amounts.seconds(redispatchSeconds, in: 1...86_400, flag: "--redispatch-seconds")
    settings.leadership = try Amounts.seconds(leadershipSeconds, in: 2...3600, flag: "--leadership-seconds")
    settings.reap.lease = try Amounts.seconds(leaseSeconds, in: 1...3600, flag: "--lease-seconds")
    let servers = try Servers(for: "coordinator")

    let id = ServiceIdentity()
    let log = service.log.about("coordinator", id.text)
    log(LogEntry(.info, "a coordinator starts", details: ["host": id.host, "process": "\(id.process)"]))
    let health = try ServiceHealth(service, log: log)
    let metrics = CoordinatorMetrics(health.metrics)
    let broker = BrokerMetrics(health.metrics)
    let signals = StopSignals()
    let store = try await signals.interrupting {
      try await servers.store(log: log, name: "steerscope coordinator/\(id.text)")
    }
    guard let store else { return }
    let queue = servers.queue(log: log, name: "coordinator/\(id.text)") { broker.note($0) }
    try await requireAcceptance(queue, log)
    let coordinator = Coordinator(
      settings: settings, store: store, queue: queue,
      declareQueues: { () async throws(QueueError) in try await queue.declareTopology() },
      expander: SweepPlanExpander(), holder: id.text, log: log,
      events: { metrics.note($0) })
    health.check { await coordinator.hindrances }
    let counting = Task { await metrics.watch(store) { await coordinator.isLeading } }
    defer { counting.cancel() }
    signals.handle { count in
      guard count == 1 else { Foundation.exit(ExitCode.interrupted.rawValue) }
      log(LogEntry(.info, "stops; once more to stop at once"))
      Task { await coordinator.stop() }
    }
    try await coordinator.run()
    await queue.close()
    log(LogEntry(.info, "a coordinator stopped"))
  }

  /// A broker that is down is waited for, meanwhile all else is done; one that refuses us is a person's to mend.
  private func requireAcceptance(_ queue: AMQPQueue, _ log: LogSink) async throws {
    do { try await queue.declareTopology() } catch {
      guard error.code == .refused else {
        return log(LogEntry(.warning, "waits for the broker", details: ["error": error.description]))
      }
      throw Servers.refusal(error)
    }
  }
}

/// Who a long-running process is: new with every start, as host names come again.
struct ServiceIdentity: Sendable {
  let text = UUID().uuidString.lowercased()
  let process = Int(ProcessInfo.processInfo.processIdentifier)

  /// The machine's name, without asking the network for it.
  let host: String = {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "unknown" }
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }()
}

extension StopSignals {
  /// The body's result; nil when a signal came before it had one.
  func interrupting<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result? {
    let task = Task { try await body() }
    handle { _ in task.cancel() }
    do {
      let result = try await task.value
      return count == 0 ? result : nil
    } catch  where count > 0 {
      return nil
    }
  }
}
