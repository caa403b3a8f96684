import Foundation
import TestServers

/// The processes of a cluster: which should run, started anew when they end by themselves, as a container engine would.
actor Cluster {
  /// A process that should run.
  struct Member: Sendable {
    var name: String
    var arguments: [String]
    var environment: [String: String]
    /// What it runs under: a command that ends with the program and its arguments; for another host's network.
    var prefix: [String] = []
  }

  private struct Running {
    var member: Member
    var process: ChildProcess
    /// Somebody meant it to end: not to be noted, nor started anew by itself.
    var isExpected = false
  }

  let program: String
  let folder: URL
  private var running: [String: Running] = [:]
  /// How members ended that nobody meant to.
  private(set) var surprises: [String] = []
  /// Members that a fault of the program ended.
  private(set) var crashes: [String] = []
  private var isClosed = false

  /// - Parameter folder: where the processes' logs go.
  init(program: String, folder: URL) {
    self.program = program
    self.folder = folder
  }

  func start(_ member: Member) throws {
    guard !isClosed else { return }
    let command = member.prefix + [program] + member.arguments
    let log = logPath(member.name)
    let process = try ChildProcess(
      command[0], Array(command.dropFirst()), environment: member.environment, output: log, error: log)
    running[member.name] = Running(member: member, process: process)
    Task { await watch(member, process) }
  }

  nonisolated func logPath(_ name: String) -> String { folder.appending(path: "\(name).log").path }

  private func watch(_ member: Member, _ process: ChildProcess) async {
    let status = await process.end()
    guard !isClosed, let entry = running[member.name], entry.process === process, !entry.isExpected else { return }
    surprises.append("\(member.name) ended with \(status)")
    if [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGABRT, SIGFPE].contains(-status) { crashes.append(member.name) }
    try? await Task.sleep(for: .milliseconds(500))
    guard !isClosed, running[member.name]?.process === process else { return }
    try? start(member)
  }

  /// Sends a signal to a member that stays.
  func signal(_ name: String, _ number: Int32) { running[name]?.process.signal(number) }

  /// Ends a member and waits for its end.
  ///
  /// - Parameter seconds: after SIGTERM, how long it may take before it is killed.
  /// - Returns: its status; nil when it had not been there.
  @discardableResult
  func end(_ name: String, _ number: Int32, within seconds: Double = 15) async -> ChildProcess.Status? {
    guard let process = running[name]?.process else { return nil }
    running[name]?.isExpected = true
    process.signal(number)
    // A stopped process hears of it only when it goes on.
    process.signal(SIGCONT)
    let impatience = Task {
      try await Task.sleep(for: .seconds(seconds))
      process.signal(SIGKILL)
    }
    let status = await process.end()
    impatience.cancel()
    if status == -SIGKILL && number != SIGKILL { surprises.append("\(name) had to be killed") }
    return status
  }

  /// Ends a member and starts it anew after a while.
  func restart(_ name: String, _ number: Int32, after seconds: Double) async throws {
    guard let member = running[name]?.member else { return }
    await end(name, number)
    try await Task.sleep(for: .seconds(seconds))
    try start(member)
  }

  /// A member that nobody wants any more.
  func dismiss(_ name: String, _ number: Int32) async {
    await end(name, number)
    running[name] = nil
  }

  func isRunning(_ name: String) -> Bool { running[name]?.process.status == nil && running[name] != nil }

  /// Ends everything in an orderly way; statuses other than 0 are surprises.
  func close() async {
    for name in running.keys.sorted() {
      running[name]?.isExpected = true
      if let status = await end(name, SIGTERM, within: 30), status != 0 {
        surprises.append("\(name) ended with \(status) on SIGTERM")
      }
    }
    isClosed = true
  }
}
