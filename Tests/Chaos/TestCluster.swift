import Foundation
import Messaging
import Storage
import TestServers

/// Servers, network and processes of a chaos run, and their settings.
struct TestCluster: Sendable {
  /// Seconds: short, so that whatever waits for the end of a lease is seen within a minute.
  static let lease = 4.0
  static let leadership = 3.0

  let servers: ServerScript
  let cluster: Cluster
  let workerNames: [String]
  /// In front of a process, by its name: one to the database, one to the broker.
  let proxies: [String: [ChaosProxy]]
  let remote: RemoteHost?
  let whyNoRemote: String
  let addresses: Addresses
  private let files: String
  private let folder: URL

  /// Where the servers are, for one who talks to them directly.
  struct Addresses: Sendable {
    var host: String
    var databasePort: Int
    var brokerPort: Int
    var brokerUser: String
    var brokerPassword: String
    /// Passwords of the roles in the database, by name.
    var roles: [String: String]

    func database(as role: String, host: String? = nil, port: Int? = nil) -> String {
      "postgresql://\(role):\(roles[role] ?? "")@\(host ?? self.host):\(port ?? databasePort)/\(TestCluster.database)"
    }
    func broker(host: String? = nil, port: Int? = nil) -> String {
      "amqp://\(brokerUser):\(brokerPassword)@\(host ?? self.host):\(port ?? brokerPort)/%2f"
    }
  }

  static let database = "chaos"

  /// Starts the servers and makes the database, with one role for each kind of process; no process of ours yet.
  static func make(folder: URL, program: String, files: String, workers: Int) async throws -> TestCluster {
    let servers = ServerScript(folder: folder.appending(path: "servers").path)
    try servers.guardThisProcess()
    let (remote, whyNot) = try await RemoteHost.make()
    let listen = remote == nil ? "127.0.0.1" : "0.0.0.0"
    let printed = ServerAddresses(try await servers.call("start", environment: ["LISTEN": listen]))
    var addresses = Addresses(
      host: "127.0.0.1", databasePort: try printed.number("POSTGRESQL_PORT"),
      brokerPort: try printed.number("RABBITMQ_PORT"), brokerUser: try printed("RABBITMQ_USER"),
      brokerPassword: try printed("RABBITMQ_PASSWORD"), roles: [:])
    try await servers.call("psql", "-d", "postgres", "-c", "CREATE DATABASE \(database)")
    try await servers.call("psql", "-d", database, "-f", roles)
    for role in ["steerscope_owner", "steerscope_coordinator", "steerscope_worker"] {
      let password = UUID().uuidString
      try await servers.call("psql", "-d", database, "-c", "ALTER ROLE \(role) PASSWORD '\(password)'")
      addresses.roles[role] = password
    }
    let names = (1...workers).map { "worker-\($0)" }
    // Half of the workers and the first coordinator go through a network that fails; the last worker is far away.
    var proxies: [String: [ChaosProxy]] = [:]
    for name in names.prefix((workers + 1) / 2) + ["coordinator-1"] {
      proxies[name] = try [addresses.databasePort, addresses.brokerPort].map {
        try ChaosProxy(host: addresses.host, port: $0)
      }
    }
    return TestCluster(
      servers: servers, cluster: Cluster(program: program, folder: folder), workerNames: names, proxies: proxies,
      remote: remote, whyNoRemote: whyNot, addresses: addresses, files: files, folder: folder)
  }

  private static let roles = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "ops/postgres/roles.sql").path

  /// The environment of a process; addresses with passwords are in files of its own.
  func environment(for name: String, role: String) throws -> [String: String] {
    var database = addresses.database(as: role)
    var broker = addresses.broker()
    if let pair = proxies[name] {
      database = addresses.database(as: role, port: pair[0].port)
      broker = addresses.broker(port: pair[1].port)
    } else if remote != nil, name == workerNames.last {
      database = addresses.database(as: role, host: RemoteHost.address)
      broker = addresses.broker(host: RemoteHost.address)
    }
    var environment = ["PATH": "/usr/bin:/bin", "SWIFT_BACKTRACE": "enable=no", "STEERSCOPE_FILES": files]
    environment["HOME"] = folder.path
    environment["XDG_CACHE_HOME"] = folder.appending(path: "cache-\(name)").path
    for (key, value) in [("STEERSCOPE_DATABASE", database), ("STEERSCOPE_BROKER", broker)] {
      let path = folder.appending(path: "\(name).\(key)").path
      guard
        FileManager.default.createFile(
          atPath: path, contents: Data(value.utf8), attributes: [.posixPermissions: 0o600])
      else { throw ChaosError("can't write \(path)") }
      environment["\(key)_FILE"] = path
    }
    return environment
  }

  func worker(_ name: String) throws -> Cluster.Member {
    Cluster.Member(
      name: name,
      arguments: [
        "worker", "--threads", "1", "--lease-seconds", "\(Self.lease)", "--drain-seconds", "5",
      ], environment: try environment(for: name, role: "steerscope_worker"),
      prefix: name == workerNames.last ? remote?.prefix ?? [] : [])
  }

  func coordinator(_ name: String) throws -> Cluster.Member {
    Cluster.Member(
      name: name,
      arguments: [
        "coordinator", "--lease-seconds", "\(Self.lease)", "--leadership-seconds", "\(Self.leadership)",
        "--redispatch-seconds", "3",
      ], environment: try environment(for: name, role: "steerscope_coordinator"))
  }

  /// Runs SQL as superuser, each text a transaction of its own; fails while the database is down.
  @discardableResult
  func sql(_ texts: String...) async throws -> [String] {
    let output = try await servers.run(["psql", "-d", Self.database, "-At"] + texts.flatMap { ["-c", $0] })
    return output.split(separator: "\n").map(String.init)
  }

  /// A store for one who may read everything.
  func store() throws -> PostgreSQLStore {
    try PostgreSQLStore(uri: addresses.database(as: "steerscope_owner"))
  }

  /// A queue to publish nonsense with.
  func queue() throws -> AMQPQueue { AMQPQueue(try AMQPSettings(parsing: addresses.broker())) }
}
