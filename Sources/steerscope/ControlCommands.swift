internal import ArgumentParser
internal import Storage
internal import SweepRecords

/// What pause, resume, cancel and retry share: a sweep, and a change of its state.
protocol ControlCommand: AsyncParsableCommand {
  var sweep: String { get }
  func change(_ id: SweepID, in store: any ResultStore) async throws -> SweepState
}

extension ControlCommand {
  func run() async throws {
    let store = try await OpenStore.open()
    let summary = try await OpenStore.sweep(sweep, in: store)
    let state = try await change(summary.id, in: store)
    Terminal.say("sweep \(summary.name) (\(summary.id)) is \(state.rawValue)")
  }
}

/// `pause`: running tasks finish, no others start.
struct PauseCommand: ControlCommand {
  static let configuration = CommandConfiguration(
    commandName: "pause", abstract: "Lets running tasks finish and starts no others.")
  @Argument(help: "A sweep's name or id.") var sweep: String
  func change(_ id: SweepID, in store: any ResultStore) async throws -> SweepState { try await store.pause(id) }
}

/// `resume`: undoes a pause.
struct ResumeCommand: ControlCommand {
  static let configuration = CommandConfiguration(commandName: "resume", abstract: "Goes on with a paused sweep.")
  @Argument(help: "A sweep's name or id.") var sweep: String
  func change(_ id: SweepID, in store: any ResultStore) async throws -> SweepState { try await store.resume(id) }
}

/// `cancel`: nothing more of a sweep is run.
struct CancelCommand: ControlCommand {
  static let configuration = CommandConfiguration(
    commandName: "cancel", abstract: "Stops a sweep; what it has made stays.")
  @Argument(help: "A sweep's name or id.") var sweep: String
  func change(_ id: SweepID, in store: any ResultStore) async throws -> SweepState { try await store.cancel(id) }
}

/// `retry`: parked and cancelled tasks become ready again.
struct RetryCommand: ControlCommand {
  static let configuration = CommandConfiguration(
    commandName: "retry", abstract: "Revives parked and cancelled tasks; `run` then takes them up.")
  @Argument(help: "A sweep's name or id.") var sweep: String
  func change(_ id: SweepID, in store: any ResultStore) async throws -> SweepState { try await store.retry(id) }
}

/// `delete`: a sweep and what only it used.
struct DeleteCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "delete", abstract: "Removes a sweep and what only it used.")
  @Argument(help: "A sweep's name or id.") var sweep: String

  func run() async throws {
    let store = try await OpenStore.open()
    let summary = try await OpenStore.sweep(sweep, in: store)
    _ = try await store.delete(summary.id)
    Terminal.say("deleted sweep \(summary.name) (\(summary.id))")
  }
}
