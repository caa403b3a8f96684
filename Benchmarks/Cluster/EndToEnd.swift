import Foundation
import Messaging
import Orchestration
import Storage
import SweepRecords
import TestServers

/// Servers of a benchmark, and fresh places on them.
struct BenchmarkServers: Sendable {
  private let script: ServerScript
  private let printed: ServerAddresses

  /// - Parameter folder: a new one, on the disk whose commits are measured.
  init(folder: String) async throws {
    script = ServerScript(folder: folder)
    try script.guardThisProcess()
    printed = ServerAddresses(try await script.call("start", environment: ["DURABLE": "1"]))
  }

  /// The URI of a new database; with the schema of Steerscope, unless it is for a bare library.
  func database(migrated: Bool = true) async throws -> String {
    let name = "bench_\(UUID().uuidString.lowercased().replacingOccurrences(of: "-", with: "_"))"
    try await script.call("psql", "-d", "postgres", "-c", "CREATE DATABASE \(name)")
    let uri =
      "postgresql://postgres:\(try printed("POSTGRESQL_PASSWORD"))@127.0.0.1:\(try printed("POSTGRESQL_PORT"))/\(name)"
    if migrated { _ = try await StoreLocator(parsing: uri).migrate() }
    return uri
  }

  /// Settings for a new virtual host.
  func broker() async throws -> AMQPSettings {
    let name = "bench-\(UUID().uuidString)"
    try await script.run(["rabbitmqctl", "add_vhost", name])
    try await script.run(["rabbitmqctl", "set_permissions", "-p", name, try printed("RABBITMQ_USER"), ".*", ".*", ".*"])
    return try AMQPSettings(
      parsing: "amqp://\(try printed("RABBITMQ_USER")):\(try printed("RABBITMQ_PASSWORD"))@127.0.0.1:"
        + "\(try printed("RABBITMQ_PORT"))/\(name)")
  }

  func remove() async throws { try await script.call("remove") }
}

/// A sweep from submission to its end, over RabbitMQ and PostgreSQL: one coordinator and workers in this process, each
/// with connections of its own.
struct EndToEnd {
  struct Outcome {
    /// From the first claim to the end of the last task.
    var seconds: Double
    var tasksPerSecond: Double
    /// Processor seconds of this process a task: coordinator, workers, both libraries.
    var processorSeconds: Double
  }

  var tasks: Int
  var workers: Int
  var batch: BatchSize
  var executor = SyntheticExecutor()

  func run(on servers: BenchmarkServers) async throws -> Outcome {
    let uri = try await servers.database()
    let broker = try await servers.broker()
    let store = try PostgreSQLStore(uri: uri)
    try await store.connect()
    let sweep = try await store.submit(try SyntheticSweep(name: "bench \(UUID())", tasks: tasks).submission()).id

    let publishing = AMQPQueue(broker)
    try await publishing.declareTopology()
    var settings = Coordinator.Settings()
    settings.chunk = 2000
    let coordinator = Coordinator(
      settings: settings, store: store, queue: publishing,
      declareQueues: { () async throws(QueueError) in try await publishing.declareTopology() },
      expander: SyntheticExpander(), holder: "bench")
    var crew: [(worker: Worker, queue: AMQPQueue)] = []
    for number in 0..<workers {
      var settings = Worker.Settings()
      settings.batch = batch
      let queue = AMQPQueue(broker)
      let worker = Worker(
        WorkerRegistration(
          id: WorkerID("bench-\(number)"), host: "here", process: number, version: "bench",
          numericsVersion: numericsVersion, cpu: "any", threads: 1),
        settings: settings, store: try PostgreSQLStore(uri: uri), queue: queue, executor: executor, files: NoFiles())
      crew.append((worker, queue))
    }
    let before = processorSeconds()
    let leading = Task { try await coordinator.run() }
    let working = crew.map { member in Task { _ = try await member.worker.run() } }
    while try await store.findSweep(sweep.text)?.state != .done { try await Task.sleep(for: .milliseconds(100)) }
    let after = processorSeconds()
    for member in crew { await member.worker.drain(within: .seconds(5)) }
    await coordinator.stop()
    for task in working { try await task.value }
    try await leading.value
    for member in crew { await member.queue.close() }
    await publishing.close()

    let times = try await store.query(
      "SELECT extract(epoch FROM max(ended_at) - min(started_at))::float8 AS s FROM task_attempt", limits: QueryLimits()
    )
    guard case .real(let seconds)? = times.rows.first?.first, seconds > 0 else {
      throw BareLibraries.Failure(description: "no times")
    }
    return Outcome(
      seconds: seconds, tasksPerSecond: Double(tasks) / seconds, processorSeconds: (after - before) / Double(tasks))
  }
}

/// Processor time of this process so far.
func processorSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// Resident memory of this process in mebibytes.
func residentMebibytes() -> Double {
  let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
  let pages = text.split(separator: " ").dropFirst().first.flatMap { Double($0) } ?? 0
  return pages * Double(sysconf(Int32(_SC_PAGESIZE))) / 1_048_576
}
