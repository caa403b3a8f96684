import ArgumentParser
import Foundation
import Synchronization

/// Lets a cluster run real sweeps while everything around it fails, and checks that nothing is lost and nothing is done
/// twice.
@main
struct ChaosCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "chaos",
    abstract: "Runs sweeps on a cluster while its processes, servers and network fail; exit 0 only if all held.")

  @Option(help: "For how long faults come.") var seconds = 60.0
  @Option(help: "From which their schedule follows.") var seed: UInt64 = 1
  @Option(help: "How many worker processes.") var workers = 4
  @Flag(help: "Keep logs and databases even when all held.") var keep = false

  func validate() throws {
    guard (5...86_400).contains(seconds) else { throw ValidationError("--seconds: from 5 to 86400") }
    guard (1...64).contains(workers) else { throw ValidationError("--workers: from 1 to 64") }
  }

  func run() async throws {
    // A broken pipe is an error of a call, not the end.
    signal(SIGPIPE, SIG_IGN)
    // Short, for a socket's path has room for a hundred characters.
    let folder = URL(fileURLWithPath: "/tmp/steerscope-chaos-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(
      at: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o711])
    let program = Bundle.main.executableURL?.deletingLastPathComponent().appending(path: "steerscope").path ?? ""
    let run = ChaosRun(
      seed: seed, seconds: seconds, workers: workers, folder: folder, program: program, keep: keep)
    let holds = try await run.run()
    if holds && !keep { try? FileManager.default.removeItem(at: folder) }
    if !holds { throw ExitCode(1) }
  }
}

/// A line for whoever watches, at once.
func say(_ line: String) { FileHandle.standardOutput.write(Data("\(line)\n".utf8)) }

/// Seconds since then, for a line.
func elapsed(_ start: ContinuousClock.Instant) -> String {
  String(format: "%6.1f s", start.duration(to: .now) / .seconds(1))
}

/// Something that happens once.
final class Happening: Sendable {
  private let value = Mutex(false)
  var isSet: Bool { value.withLock { $0 } }
  func set() { value.withLock { $0 = true } }
}
