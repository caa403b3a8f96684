import Foundation

/// `ops/servers` for one folder.
package struct ServerScript: Sendable {
  package let folder: String

  private static let path = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("ops/servers").path

  package init(folder: String) { self.folder = folder }

  /// Starts the watchdog that removes servers and folder when this process is gone.
  package func guardThisProcess() throws {
    _ = try ChildProcess(
      Self.path, [folder, "guard", String(ProcessInfo.processInfo.processIdentifier)], ownSession: true)
  }

  /// Runs a command of the script to its end.
  ///
  /// - Parameter environment: what is set in addition: LISTEN, DURABLE.
  /// - Returns: its standard output.
  /// - Throws: `ServerError` with what it said when it failed.
  @discardableResult
  package func call(
    _ command: String, _ arguments: String..., environment: [String: String] = [:]
  ) async throws -> String {
    try await run([command] + arguments, environment: environment)
  }

  /// The same, for arguments in a list.
  @discardableResult
  package func run(_ arguments: [String], environment: [String: String] = [:]) async throws -> String {
    let name = FileManager.default.temporaryDirectory.appendingPathComponent("servers-\(UUID().uuidString)").path
    defer { for end in ["out", "err"] { try? FileManager.default.removeItem(atPath: "\(name).\(end)") } }
    let process = try ChildProcess(
      Self.path, [folder] + arguments,
      environment: ProcessInfo.processInfo.environment.merging(environment) { $1 }, output: "\(name).out",
      error: "\(name).err")
    let status = await process.end()
    let output = try String(contentsOfFile: "\(name).out", encoding: .utf8)
    guard status == 0 else {
      let words = try String(contentsOfFile: "\(name).err", encoding: .utf8)
      throw ServerError(
        description: "ops/servers \(folder) \(arguments.joined(separator: " ")): status \(status): \(words)")
    }
    return output
  }
}
