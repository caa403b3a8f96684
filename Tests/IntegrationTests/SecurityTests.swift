import Foundation
import TestServers
import Testing

/// What a cluster refuses, and what it never tells, seen from the command line.
@Suite(.timeLimit(.minutes(10)), .serialized) struct SecurityTests {
  /// Runs a command that must fail soon, and returns the one line that it says.
  private func refused(
    _ cluster: ClusterProgram, _ arguments: [String], as role: String, environment: [String: String] = [:]
  ) async throws -> String {
    let name = "refused-\(UUID().uuidString)"
    let process = try cluster.start(arguments, as: role, name: name, environment: environment)
    let impatience = Task {
      try await Task.sleep(for: .seconds(60))
      process.signal(SIGKILL)
    }
    let status = await process.end()
    impatience.cancel()
    let words = try cluster.text("\(name).err")
    #expect(status == 1 || status == 2, "\(arguments): \(status): \(words)")
    let lines = words.split(separator: "\n").filter { $0.hasPrefix("error: ") }
    #expect(lines.count == 1, "\(words)")
    return lines.first.map(String.init) ?? ""
  }

  @Test func aWrongPasswordIsSaidAndNotShown() async throws {
    try await ClusterProgram.run { cluster in
      let wrong = "wr0ng-\(UUID().uuidString)"
      let uri = cluster.server.uri(database: cluster.database, user: "steerscope_worker", password: wrong)
      try cluster.writeSweep("refused", layers: "[0]", to: "sweep.yaml")
      for arguments in [["submit", "sweep.yaml"], ["status"], ["coordinator"], ["worker"], ["query", "SELECT 1"]] {
        let line = try await refused(
          cluster, arguments, as: "steerscope_worker", environment: ["STEERSCOPE_DATABASE": uri])
        #expect(line.contains("password") && !line.contains(wrong), "\(line)")
      }
      // The broker's.
      let broker = try await TestServers.rabbitMQ()
      let environment = [
        "STEERSCOPE_BROKER": cluster.broker.replacingOccurrences(of: broker.password, with: wrong)
      ]
      for (command, role) in [("worker", "steerscope_worker"), ("coordinator", "steerscope_coordinator")] {
        let line = try await refused(cluster, [command], as: role, environment: environment)
        #expect(line.contains("403") && !line.contains(wrong), "\(line)")
      }
    }
  }

  @Test func eachRoleDoesItsOwnWorkOnly() async throws {
    try await ClusterProgram.run { cluster in
      try cluster.writeSweep("mine", layers: "[0]", to: "sweep.yaml")
      #expect(try await cluster.call("submit", "sweep.yaml").status == 0)
      for role in ["steerscope_worker", "steerscope_reader"] {
        // Another sweep: the one that is there would only be read.
        try cluster.writeSweep("other", layers: "[1]", to: "other.yaml")
        for arguments in [["submit", "other.yaml"], ["delete", "mine"], ["pause", "mine"], ["cancel", "mine"]] {
          _ = try await refused(cluster, arguments, as: role)
        }
      }
      _ = try await refused(cluster, ["coordinator"], as: "steerscope_reader")
      _ = try await refused(cluster, ["worker"], as: "steerscope_reader")
      #expect(try await cluster.number("SELECT count(*) FROM sweep WHERE name = 'mine' AND state = 'planning'") == 1)
      #expect(try await cluster.number("SELECT count(*) FROM sweep") == 1)
    }
  }

  @Test func aQueryReadsRowsAndNothingElse() async throws {
    try await ClusterProgram.run { cluster in
      let stolen = cluster.folder + "/stolen"
      let hostile = [
        "DELETE FROM sweep", "INSERT INTO leader VALUES (2, 'me', 1, now())", "CREATE TABLE mine (x int)",
        "SELECT 1; DROP TABLE sweep", "WITH gone AS (DELETE FROM task RETURNING 1) SELECT * FROM gone",
        "COPY sweep TO '\(stolen)'", "COPY (SELECT 1) TO PROGRAM 'touch \(stolen)'",
        "SELECT pg_read_file('/etc/passwd')", "SELECT pg_ls_dir('/')", "SELECT lo_import('/etc/passwd')",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity", "SET ROLE steerscope_owner",
        "SELECT * FROM pg_authid", "COMMIT; DELETE FROM sweep",
        "SELECT set_config('transaction_read_only', 'off', false), pg_sleep(0) FROM sweep; DELETE FROM sweep",
      ]
      for role in ["steerscope_reader", "steerscope_worker", "steerscope_coordinator", "steerscope_owner"] {
        for sql in hostile {
          let line = try await refused(cluster, ["query", sql], as: role)
          #expect(!line.contains("root:"), "\(role): \(sql): \(line)")
        }
      }
      #expect(!FileManager.default.fileExists(atPath: stolen))
      let plain = try await cluster.call("query", "SELECT count(*) AS n FROM task", as: "steerscope_reader")
      #expect(plain.status == 0 && plain.result.contains("0"), "\(plain.words)")
    }
  }

  /// A certificate of an authority that is not ours, and one that is out of date.
  @Test func theDatabaseMustProveWhoItIs() async throws {
    try await ClusterProgram.run { cluster in
      let tls = "?sslmode=verify-full&sslrootcert=\(cluster.server.certificateAuthority)"
      let uri =
        cluster.server.uri(
          database: cluster.database, user: "steerscope_reader", password: cluster.passwords["steerscope_reader"],
          host: "localhost") + tls
      let environment = ["STEERSCOPE_DATABASE": uri]
      let ask = ["query", "SELECT count(*) AS n FROM sweep"]
      let trusted = try await cluster.call(ask[0], ask[1], as: "steerscope_reader", environment: environment)
      #expect(trusted.status == 0, "\(trusted.words)")
      for kind in [TestPostgreSQL.Certificate.expired, .foreign] {
        try await cluster.server.use(kind)
        let line = try await refused(cluster, ask, as: "steerscope_reader", environment: environment)
        #expect(line.contains("certificate verify failed"), "\(line)")
        // Who asks for no proof gets none.
        #expect(try await cluster.call(ask[0], ask[1], as: "steerscope_reader").status == 0)
      }
    }
  }

  /// Passwords in files and in the environment; the processes at work, while everything that they say, and what the
  /// system says of them, is looked through.
  @Test func secretsStayWhereTheyAre() async throws {
    try await ClusterProgram.run { cluster in
      let broker = try await TestServers.rabbitMQ()
      try cluster.writeSweep("secret", layers: "[0]", to: "sweep.yaml")
      try cluster.write(cluster.uri("steerscope_worker"), to: "database")
      try cluster.write(cluster.broker, to: "broker")
      // Set and empty is as good as not set.
      let files = [
        "STEERSCOPE_DATABASE": "", "STEERSCOPE_BROKER": "", "STEERSCOPE_DATABASE_FILE": cluster.folder + "/database",
        "STEERSCOPE_BROKER_FILE": cluster.folder + "/broker",
      ]
      let coordinator = try cluster.coordinator()
      let worker = try cluster.start(
        ["worker", "--threads", "1", "--verbose"], as: "steerscope_worker", name: "worker", environment: files)
      #expect(try await cluster.call("submit", "sweep.yaml").status == 0)
      var seen = ""
      for process in [coordinator, worker] {
        seen += try String(contentsOfFile: "/proc/\(process.identifier)/cmdline", encoding: .utf8)
        // What a process calls itself, in `ps` and to the servers.
        seen += try String(contentsOfFile: "/proc/\(process.identifier)/comm", encoding: .utf8)
      }
      #expect(try await cluster.ended("secret") == "done")
      seen += try await cluster.server.sql("SELECT application_name, query FROM pg_stat_activity")
      seen += try await broker.control(["list_connections", "user", "client_properties"])
      for arguments in [
        ["status"], ["doctor"], ["database", "status"], ["query", "SELECT * FROM sweep"], ["watch", "secret"],
        ["submit", "nothing.yaml"], ["query", "SELEKT"],
      ] {
        let output = try await cluster.start(arguments, as: "steerscope_coordinator", name: "told").end()
        #expect([0, 1, 2].contains(output), "\(arguments): \(output)")
      }
      // Both servers go away while processes talk to them.
      try await cluster.server.stop()
      try await Task.sleep(for: .seconds(2))
      try await cluster.server.start()
      for process in [worker, coordinator] {
        process.signal(SIGTERM)
        #expect(await process.end() == 0)
      }
      for name in try FileManager.default.contentsOfDirectory(atPath: cluster.folder)
      where name.hasSuffix(".out") || name.hasSuffix(".err") { seen += try cluster.text(name) }
      #expect(seen.contains("a task is done") && seen.count > 2000)
      for secret in cluster.passwords.values + [broker.password] { #expect(!seen.contains(secret)) }
    }
  }
}
