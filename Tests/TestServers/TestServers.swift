import Foundation

/// Real servers for tests: PostgreSQL and RabbitMQ on loopback, started on first use by `ops/servers`, gone when the
/// test process is, however it ends.
package enum TestServers {
  /// A PostgreSQL server of this process; the same one for the same name.
  ///
  /// - Parameter name: a test that stops or breaks the server gives a name of its own, so that it has one to itself.
  /// - Throws: `ServerError` with the end of the log when it can't start.
  package static func postgreSQL(_ name: String = "shared") async throws -> TestPostgreSQL {
    let (script, addresses) = try await running.server("postgresql", name)
    return try TestPostgreSQL(script: script, addresses: addresses)
  }

  /// A RabbitMQ node of this process; the same one for the same name. The first start takes about ten seconds.
  package static func rabbitMQ(_ name: String = "shared") async throws -> TestRabbitMQ {
    let (script, addresses) = try await running.server("rabbitmq", name)
    return try TestRabbitMQ(script: script, addresses: addresses)
  }

  private static let running = RunningServers()
}

/// A server that could not be started, stopped or asked.
package struct ServerError: Error, CustomStringConvertible {
  package var description: String

  package init(description: String) { self.description = description }
}

/// What this process has started.
private actor RunningServers {
  private var starts: [String: Task<(ServerScript, ServerAddresses), any Error>] = [:]

  func server(_ kind: String, _ name: String) async throws -> (ServerScript, ServerAddresses) {
    let label = "\(kind)-\(name)"
    if let start = starts[label] { return try await start.value }
    let start = Task<(ServerScript, ServerAddresses), any Error> {
      // Short, for a socket's path has room for a hundred characters.
      let script = ServerScript(folder: "/tmp/steerscope-\(UUID().uuidString.prefix(8))-\(label)")
      try script.guardThisProcess()
      return (script, ServerAddresses(try await script.call("start", kind)))
    }
    starts[label] = start
    return try await start.value
  }
}

/// What `ops/servers` prints: NAME=VALUE lines.
package struct ServerAddresses: Sendable {
  private var values: [String: String] = [:]

  package init(_ text: String) {
    for line in text.split(separator: "\n") {
      guard let sign = line.firstIndex(of: "=") else { continue }
      values[String(line[..<sign])] = String(line[line.index(after: sign)...])
    }
  }

  package func callAsFunction(_ name: String) throws -> String {
    guard let value = values[name] else { throw ServerError(description: "ops/servers printed no \(name)") }
    return value
  }

  package func number(_ name: String) throws -> Int {
    guard let number = Int(try self(name)) else { throw ServerError(description: "\(name) is not a number") }
    return number
  }
}
