import Foundation
import Storage
import TestServers
import Testing

/// The program on servers of its own, as its users and their container engine call it: a database with the roles of
/// ops/postgres, a virtual host, a folder.
final class ClusterProgram: Sendable {
  let folder: String
  let server: TestPostgreSQL
  let database: String
  let broker: String
  /// Passwords that nobody may ever see, by role.
  let passwords: [String: String]

  static let golden = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Golden").path
  private static let repository = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
  private static let program = BuiltProgram.path(of: "steerscope")

  private init(
    folder: String, server: TestPostgreSQL, database: String, broker: String, passwords: [String: String]
  ) {
    self.folder = folder
    self.server = server
    self.database = database
    self.broker = broker
    self.passwords = passwords
  }

  /// Runs `body` with a cluster that has a schema and no processes yet; the folder is removed afterwards.
  static func run<Result>(_ body: (ClusterProgram) async throws -> Result) async throws -> Result {
    let folder = "/tmp/steerscope-\(UUID().uuidString.prefix(8))-cluster"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    // Roles belong to a whole server: tests that run at the same time would set one another's passwords.
    let server = try await TestServers.postgreSQL("roles-\(UUID().uuidString.prefix(4))")
    let database = try await server.freshDatabaseName()
    try await server.sql(
      try String(contentsOfFile: repository + "/ops/postgres/roles.sql", encoding: .utf8), in: database)
    var passwords: [String: String] = [:]
    for role in ["steerscope_owner", "steerscope_coordinator", "steerscope_worker", "steerscope_reader"] {
      let password = "pw-\(UUID().uuidString)"
      try await server.sql("ALTER ROLE \(role) PASSWORD '\(password)'")
      passwords[role] = password
    }
    let cluster = ClusterProgram(
      folder: folder, server: server, database: database,
      broker: try await TestServers.rabbitMQ().freshVirtualHost(), passwords: passwords)
    let migrated = try await cluster.call("database", "migrate", as: "steerscope_owner")
    try #require(migrated.status == 0, "\(migrated.words)")
    let result = try await body(cluster)
    try await server.stop()
    return result
  }

  func uri(_ role: String) -> String {
    server.uri(database: database, user: role, password: passwords[role] ?? "")
  }

  /// What a call left.
  struct Output {
    var status: Int32
    var result: String
    var words: String
  }

  /// Starts the program; its output goes to `NAME.out` and `NAME.err`.
  func start(
    _ arguments: [String], as role: String, name: String, environment: [String: String] = [:]
  ) throws -> ChildProcess {
    var variables = [
      "PATH": "/usr/bin:/bin", "HOME": folder, "XDG_CACHE_HOME": folder + "/cache-\(name)",
      "SWIFT_BACKTRACE": "enable=no", "STEERSCOPE_DATABASE": uri(role), "STEERSCOPE_BROKER": broker,
    ]
    variables.merge(environment) { $1 }
    return try ChildProcess(
      Self.program, arguments, environment: variables, folder: folder, output: "\(folder)/\(name).out",
      error: "\(folder)/\(name).err")
  }

  /// Runs the program to its end.
  func call(
    _ arguments: String..., as role: String = "steerscope_coordinator", environment: [String: String] = [:]
  ) async throws -> Output {
    let name = "call-\(UUID().uuidString)"
    let status = try await start(arguments, as: role, name: name, environment: environment).end()
    return Output(status: status, result: try text("\(name).out"), words: try text("\(name).err"))
  }

  func coordinator(_ name: String = "coordinator") throws -> ChildProcess {
    try start(
      ["coordinator", "--leadership-seconds", "3", "--redispatch-seconds", "3", "--verbose"],
      as: "steerscope_coordinator", name: name)
  }
  func worker(_ name: String = "worker") throws -> ChildProcess {
    try start(
      ["worker", "--threads", "1", "--drain-seconds", "5", "--verbose"], as: "steerscope_worker", name: name)
  }

  func text(_ name: String) throws -> String { try String(contentsOfFile: folder + "/" + name, encoding: .utf8) }
  func write(_ text: String, to name: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: folder + "/" + name))
  }

  /// A store for one who reads everything.
  func store() throws -> PostgreSQLStore { try PostgreSQLStore(uri: uri("steerscope_owner")) }

  /// Numbers of the database, as superuser.
  func number(_ sql: String) async throws -> Int {
    let text = try await server.sql("SET search_path = steerscope; \(sql)", in: database)
    return Int(text.trimmingCharacters(in: .whitespacesAndNewlines)) ?? -1
  }

  /// Waits until a sweep has ended; fails after a minute or two.
  func ended(_ sweep: String) async throws -> String {
    for _ in 0..<600 {
      let output = try await call("status", sweep, "--format", "json")
      let json = try JSONSerialization.jsonObject(with: Data(output.result.utf8)) as? [String: Any]
      if let state = json?["state"] as? String, ["done", "done_with_parked", "cancelled"].contains(state) {
        return state
      }
      try await Task.sleep(for: .milliseconds(200))
    }
    return "never"
  }

  /// A sweep over the tiny model.
  func writeSweep(_ name: String, layers: String, to file: String) throws {
    let pairs = ["one", "two", "the"].flatMap { first in
      ["cat", "dog", "sun"].map {
        "{\"prompt\": \"\(first) \($0) \", \"positive\": \"good a\", \"negative\": \"bad a\"}"
      }
    }
    try write("[" + pairs.joined(separator: ",") + "]", to: "pairs.json")
    try write(
      """
      name: \(name)
      model: {path: \(Self.golden)/llama-tied, prompt: raw}
      activations: {sample: 512}
      behaviours:
        - {name: first, extract: pairs.json, evaluate: pairs.json, limit: 8, questions: 4}
      layers: \(layers)
      saes:
        - {train: {widths: [64], sparsity: 8, steps: 20, batch: 64}}
      decompose: {methods: [encode, gradient-pursuit-signed], sparsity: [8, all]}
      steer: {coefficients: [-1, 0, 1], norms: [matched], controls: [zero-vector, {random: 1}]}
      seed: 7

      """, to: file)
  }
}
