import ArgumentParser
import Foundation
import Messaging
import Orchestration

/// What a task costs beside its computing, next to what the libraries themselves cost on the same machine.
@main
struct ClusterBenchmark: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cluster-benchmark",
    abstract: "Measures a cluster of RabbitMQ, PostgreSQL (fsync on), a coordinator and two workers on this machine.",
    discussion: "Figures mean something on a machine that does nothing else; each stands beside its bare library's.")

  @Option(help: "Where the servers' files go: a new folder on the disk to be measured.") var folder: String?
  @Option(help: "No-op tasks of each throughput measurement.") var tasks = 4000
  @Option(help: "Tasks planned for the memory curve; 10000000 takes half an hour and 10 GB.") var planned = 200_000
  @Option(help: "Also write the figures to this file, as JSON.") var json: String?
  @Option(parsing: .upToNextOption, help: "Only these: bare, throughput, speedup, rows, memory.")
  var only: [String] = []

  private func wants(_ part: String) -> Bool { only.isEmpty || only.contains(part) }

  func run() async throws {
    signal(SIGPIPE, SIG_IGN)
    let place = folder ?? "/tmp/steerscope-\(UUID().uuidString.prefix(8))-bench"
    let servers = try await BenchmarkServers(folder: place)
    var figures = Figures()
    if wants("bare") || wants("throughput") { try await bare(servers, &figures) }
    if wants("throughput") { try await throughput(servers, &figures) }
    if wants("speedup") { try await speedup(servers, &figures) }
    if wants("rows") {
      let rate = try await StoredRows(tasks: 100).run(on: servers)
      figures.add("rows stored, 1,000 a task", rate, "rows/s")
    }
    if wants("memory") { try await memory(servers, &figures) }
    try await servers.remove()
    print(figures.table)
    if let json { try figures.json().write(to: URL(fileURLWithPath: json)) }
  }

  private func bare(_ servers: BenchmarkServers, _ figures: inout Figures) async throws {
    let uri = try await servers.database(migrated: false)
    let one = try await BareLibraries.commits(uri: uri, tasks: tasks, threads: 1)
    let two = try await BareLibraries.commits(uri: uri, tasks: tasks, threads: 2)
    figures.add("bare libpq, two commits a task, one connection", one, "tasks/s")
    figures.add("bare libpq, two commits a task, two connections", two, "tasks/s")
    let messages = try await BareLibraries.messages(try await servers.broker(), count: tasks)
    figures.add("bare librabbitmq, publish, confirm, consume, ack", messages, "messages/s")
    figures.floor = 1 / (1 / two + 1 / messages)
    figures.add("both, one after the other", figures.floor, "tasks/s")
  }

  private func throughput(_ servers: BenchmarkServers, _ figures: inout Figures) async throws {
    // One by one, a worker waits for two commits and the broker's next delivery; several wait side by side.
    for workers in [2, 4] {
      let single = try await EndToEnd(tasks: tasks, workers: workers, batch: BatchSize(target: 0, limit: 1))
        .run(on: servers)
      figures.add(
        "no-op tasks one by one, \(workers) workers", single.tasksPerSecond, "tasks/s", target: 400, isRatio: true)
      figures.add("orchestration, processor time, one by one", single.processorSeconds * 1000, "ms/task")
    }
    let grouped = try await EndToEnd(tasks: 2 * tasks, workers: 2, batch: BatchSize()).run(on: servers)
    figures.add("no-op tasks in groups, 2 workers", grouped.tasksPerSecond, "tasks/s", target: 1000, isRatio: true)
    figures.add("orchestration, processor time, in groups", grouped.processorSeconds * 1000, "ms/task")
  }

  private func speedup(_ servers: BenchmarkServers, _ figures: inout Figures) async throws {
    let executor = SyntheticExecutor(steps: SyntheticExecutor.steps(taking: 0.5))
    let count = 64
    let one = try await EndToEnd(tasks: count, workers: 1, batch: BatchSize(), executor: executor).run(on: servers)
    let two = try await EndToEnd(tasks: count, workers: 2, batch: BatchSize(), executor: executor).run(on: servers)
    figures.add("computing for 0.5 s a task, 1 worker", one.tasksPerSecond, "tasks/s")
    figures.add("computing for 0.5 s a task, 2 workers", two.tasksPerSecond, "tasks/s")
    figures.add("speed-up from 1 worker to 2", one.seconds / two.seconds, "times", target: 1.9)
  }

  private func memory(_ servers: BenchmarkServers, _ figures: inout Figures) async throws {
    let outcome = try await PlannedTasks(tasks: planned).run(on: servers) { done, memory in
      FileHandle.standardError.write(Data(String(format: "planned %10d  resident %7.1f MiB\n", done, memory).utf8))
    }
    figures.add("planning a sweep of \(planned)", outcome.tasksPerSecond, "tasks/s")
    figures.add("resident memory with a tenth planned", outcome.first, "MiB")
    figures.add("the most resident memory, all planned", outcome.largest, "MiB")
  }
}

/// Figures with their units, targets, and ratios to the bare libraries.
struct Figures {
  struct Figure: Encodable {
    var name: String
    var value: Double
    var unit: String
    var target: Double?
    var ratioToBare: Double?

    enum CodingKeys: String, CodingKey {
      case name, value, unit, target
      case ratioToBare = "ratio_to_bare"
    }
  }
  private var figures: [Figure] = []
  /// Tasks per second of the bare libraries; 0 when they were not measured.
  var floor = 0.0

  mutating func add(_ name: String, _ value: Double, _ unit: String, target: Double? = nil, isRatio: Bool = false) {
    figures.append(
      Figure(
        name: name, value: value, unit: unit, target: target, ratioToBare: isRatio && floor > 0 ? value / floor : nil))
    print(line(figures[figures.count - 1]))
  }

  private func line(_ figure: Figure) -> String {
    var line = figure.name.padding(toLength: 52, withPad: " ", startingAt: 0)
    line += String(format: "%12.2f ", figure.value) + figure.unit.padding(toLength: 11, withPad: " ", startingAt: 0)
    if let target = figure.target { line += String(format: "target %.1f", target) }
    if let ratio = figure.ratioToBare { line += String(format: ", %.2f of bare", ratio) }
    return line
  }

  var table: String { "\n" + figures.map(line).joined(separator: "\n") }

  func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    return try encoder.encode(["figures": figures])
  }
}
