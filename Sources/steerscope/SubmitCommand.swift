internal import ArgumentParser
internal import Diagnostics
internal import Messaging
internal import Storage
internal import SweepPlanning
internal import SweepRecords

/// `submit`: hands a sweep in for a cluster to run.
struct SubmitCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "submit",
    abstract: "Registers a sweep for a cluster and prints its id; the same file is one sweep.")

  @Argument(help: "The sweep file (YAML).") var file: String
  @Option(help: "high, normal or low, instead of what the file says.") var priority: String?

  func run() async throws {
    let priority = try priority.map { try choice($0, flag: "--priority", SweepPriority.self) }
    let locator = try Settings.database()
    let broker = try Settings.broker()
    var submission = try SweepFiles(path: file).submission()
    if let priority { submission.priority = priority }
    let store = try await OpenStore.open(creating: true)
    let submitted = try await store.submit(submission)
    Terminal.result("\(submitted.id)\n")
    Terminal.say(
      submitted.isNew
        ? "sweep \(submission.name) (\(submitted.id)) is registered: `steerscope watch \(submitted.id)` shows how far it is"
        : "sweep \(submission.name) (\(submitted.id)) is there already: \(submitted.state.rawValue)")
    if case .sqlite(let path) = locator {
      Terminal.say("\(path) is a file of this machine: `steerscope run \(file)` runs the sweep")
    }
    if let broker { await declare(broker) }
  }

  /// A broker that is not there now is the coordinator's to deal with.
  private func declare(_ broker: AMQPSettings) async {
    let queue = AMQPQueue(broker)
    do { try await queue.declareTopology() } catch {
      Terminal.say("note: the queues could not be declared (\(error)); the coordinator will")
    }
    await queue.close()
  }
}
