internal import ArgumentParser
internal import Diagnostics
internal import Experiments
internal import Foundation
internal import Kernels
internal import Messaging
internal import Orchestration
internal import Processor
internal import Storage
internal import SweepRecords
internal import Telemetry

/// `worker`: runs tasks of a cluster.
struct WorkerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "worker", abstract: "Runs tasks of a cluster's sweeps, one at a time.",
    discussion: """
      STEERSCOPE_DATABASE names the PostgreSQL server, STEERSCOPE_BROKER the RabbitMQ server, STEERSCOPE_FILES the folder \
      of models and SAEs; each may be given as a file with ..._FILE. SIGTERM finishes the running task within \
      --drain-seconds, or gives it back; a second one gives it back at once.
      """)

  @OptionGroup var threads: ThreadOptions
  @OptionGroup var service: ServiceOptions
  @Option(parsing: .unconditional, help: "Seconds that a running task may go on after SIGTERM.")
  var drainSeconds = 60.0
  @Option(parsing: .unconditional, help: "Seconds that a task may compute; 0 for no limit.")
  var taskSeconds = 3600.0
  @Option(
    help:
      "Memory that the process may use while a task runs, as in 8G; 9 tenths of what there is unless said, 0 for no limit."
  )
  var memoryLimit: String?
  @Option(help: "The folder that keeps artifacts between tasks; one of the user's cache unless said.")
  var cache: String?
  @Option(help: "How large that folder may grow; 0 for none.")
  var cacheSize = "4G"
  @Option(parsing: .unconditional, help: "Seconds for which a task is leased; renewed every third.")
  var leaseSeconds = 45.0

  func run() async throws {
    _ = try service.address()
    let pool = try threads.pool()
    let settings = try settings()
    let drain = try Amounts.seconds(drainSeconds, in: 0...86_400, flag: "--drain-seconds")
    let cacheBytes = try Amounts.bytes(cacheSize, flag: "--cache-size")
    let servers = try Servers(for: "worker")
    let artifacts = try artifactFolder(cacheBytes)
    let files = LocalFiles(folder: try Settings.filesFolder(), digests: Settings.digestMemory)

    let id = ServiceIdentity()
    let log = service.log.about("worker", id.text)
    let health = try ServiceHealth(service, log: log)
    let metrics = WorkerMetrics(health.metrics)
    let broker = BrokerMetrics(health.metrics)
    let signals = StopSignals()
    let store = try await signals.interrupting {
      try await servers.store(log: log, name: "steerscope worker/\(id.text)", patience: 60)
    }
    guard let store else { return }
    let queue = servers.queue(log: log, name: "worker/\(id.text)") { broker.note($0) }
    let worker = Worker(
      WorkerRegistration(
        id: WorkerID(id.text), host: id.host, process: id.process, version: Version.number,
        numericsVersion: numericsVersion, cpu: CPUFeatures.level, threads: pool.threads),
      settings: settings, store: store, queue: queue, executor: ExperimentExecutor(pool: pool), files: files,
      artifacts: artifacts, log: log, events: { metrics.note($0) })
    health.check { await worker.hindrances }
    signals.handle { count in
      Task {
        switch count {
        case 1: await worker.drain(within: .seconds(drain))
        case 2: await worker.stopAtOnce()
        default: Foundation.exit(ExitCode.interrupted.rawValue)
        }
      }
    }
    let end: Worker.End
    do { end = try await worker.run() } catch let error as QueueError where error.code == .refused {
      throw Servers.refusal(error)
    }
    await queue.close()
    if case .mustRestart(let reason) = end, signals.count == 0 {
      log(LogEntry(.warning, "starts anew", details: ["reason": reason]))
      signals.cancel()
      throw ProcessRestart.now()
    }
    if signals.count > 1 { throw ExitCode.interrupted }
  }

  private func settings() throws(InputError) -> Worker.Settings {
    var settings = Worker.Settings()
    settings.lease = try Amounts.seconds(leaseSeconds, in: 1...3600, flag: "--lease-seconds")
    let limit = try Amounts.seconds(taskSeconds, in: 0...604_800, flag: "--task-seconds")
    settings.taskSeconds = limit > 0 ? limit : nil
    let memory = try memoryLimit.map { text throws(InputError) in try Amounts.bytes(text, flag: "--memory-limit") }
    let bytes = memory ?? ProcessMemory.available / 10 * 9
    settings.memoryLimit = bytes > 0 ? bytes : nil
    return settings
  }

  private func artifactFolder(_ size: Int) throws(InputError) -> ArtifactFolder? {
    guard size > 0, let path = cache ?? Settings.cacheFolder.map({ $0 + "/artifacts" }) else { return nil }
    return try ArtifactFolder(path: path, capacity: size)
  }
}

/// Starting this program anew in its own process: under whatever started it, with all memory given back.
enum ProcessRestart {
  /// Does not return unless it fails: then the error to end with.
  static func now() -> StoreError {
    // What is open is nothing to the new program.
    for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? [] {
      if let descriptor = Int32(name), descriptor > 2 { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    }
    var arguments: [UnsafeMutablePointer<CChar>?] = CommandLine.arguments.map { strdup($0) } + [nil]
    execv("/proc/self/exe", &arguments)
    return StoreError(.internal, "could not start anew: \(String(cString: strerror(errno)))")
  }
}
