import Foundation
import TestServers

/// A second host: a network namespace, joined to ours by a cable that can be pulled. Needs root and iproute2, and that we
/// are in a namespace of our own (ops/chaos sees to it), so that the machine's network is left alone.
final class RemoteHost: Sendable {
  /// Our address, as the host sees it.
  static let address = "10.77.0.1"
  /// Holds the namespace open.
  private let holder: ChildProcess

  /// Nil with a reason where there can be none.
  static func make() async throws -> (host: RemoteHost?, reason: String) {
    guard getuid() == 0 else { return (nil, "needs root") }
    guard ProcessInfo.processInfo.environment["CHAOS_NETWORK"] == "own" else {
      return (nil, "no network namespace of our own (ops/chaos makes one, as root with util-linux)")
    }
    guard FileManager.default.isExecutableFile(atPath: ip) else { return (nil, "needs iproute2") }
    let holder = try ChildProcess("/usr/bin/unshare", ["--net", "/bin/sleep", "infinity"])
    // The namespace is there when its network differs from ours.
    for _ in 0..<100 where try link("self") == (try? link("\(holder.identifier)")) {
      try await Task.sleep(for: .milliseconds(20))
    }
    let host = RemoteHost(holder: holder)
    do {
      // A bridge in between: with the cable pulled, it loses our packets without a word.
      try await run("link", "add", "bridge", "type", "bridge")
      try await run("addr", "add", "\(address)/24", "dev", "bridge")
      try await run("link", "set", "bridge", "up")
      try await run("link", "add", "cable", "type", "veth", "peer", "name", "far-end")
      try await run("link", "set", "far-end", "netns", "\(holder.identifier)")
      try await run("link", "set", "cable", "master", "bridge", "up")
      try await host.inside("addr", "add", "10.77.0.2/24", "dev", "far-end")
      try await host.inside("link", "set", "far-end", "up")
      try await host.inside("link", "set", "lo", "up")
      return (host, "")
    } catch let error as ChaosError {
      holder.signal(SIGKILL)
      return (nil, error.description)
    }
  }

  private static let ip =
    ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"].first {
      FileManager.default.isExecutableFile(atPath: $0)
    } ?? "ip"

  private init(holder: ChildProcess) { self.holder = holder }

  private static func link(_ process: String) throws -> String {
    try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/ns/net")
  }

  /// What a program of that host runs under.
  var prefix: [String] { ["/usr/bin/nsenter", "--net=/proc/\(holder.identifier)/ns/net"] }

  /// Pulls the cable: packets are lost, nobody is told.
  func cut() async throws { try await Self.run("link", "set", "cable", "down") }
  func join() async throws { try await Self.run("link", "set", "cable", "up") }
  func close() { holder.signal(SIGKILL) }

  private static func run(_ arguments: String...) async throws { try await call([ip] + arguments) }
  private func inside(_ arguments: String...) async throws { try await Self.call(prefix + [Self.ip] + arguments) }

  private static func call(_ command: [String]) async throws {
    let status = try await ChildProcess(command[0], Array(command.dropFirst())).end()
    guard status == 0 else { throw ChaosError("\(command.joined(separator: " ")): status \(status)") }
  }
}
