import Diagnostics
import Foundation
import SweepRecords
import TestServers
import Testing

@testable import Storage

/// What is PostgreSQL's own: servers that refuse, hang up or are not there; what its types can't hold.
@Suite struct PostgreSQLConnectionTests {
  @Test func `a URI that libpq reads otherwise than it was meant is refused, and not shown`() {
    let uris = [
      "postgresql://user:s3cr@et@host/db", "postgresql://user:s3c/ret@host/db", "postgresql://user@s3c?ret@host/db",
      "postgresql://user:s3cret@host:port/db", "postgresql://user:%zzs3cret@host/db", "postgresql://h/d?s3cret",
      "postgresql://user:s3c#ret@host:1/db?nonsense=1", "postgresql://a\u{0}s3cret@h/d", "postgresql://[s3cret",
    ]
    for uri in uris {
      let error = #expect(throws: InputError.self, "\(uri)") { try PostgreSQLAddress(parsing: uri) }
      let said = "\(error?.description ?? "")"
      for part in ["s3c", "ret@", "et@"] { #expect(!said.contains(part), "\(said)") }
    }
    let good = "postgresql://user:p%40ss%2Fword@db.example.org:6543/steering?sslmode=verify-full&connect_timeout=3"
    let address = try? PostgreSQLAddress(parsing: good)
    #expect(address?.description == "postgresql://db.example.org:6543/steering")
    #expect(address?.connectTimeout == 3)
    #expect(address?.redacted("auth p@ss/word p%40ss%2Fword") == "auth *** ***")
    #expect((try? PostgreSQLAddress(parsing: "postgresql://a:1,b:2/x"))?.hosts == 2)
    #expect("\((try? StoreLocator(parsing: good)) ?? .standard)" == "postgresql://db.example.org:6543/steering")
  }

  @Test func `a wrong password, a missing database or role are the user's to mend`() async throws {
    let server = try await TestServers.postgreSQL()
    let database = try await TestDatabase()
    let wrong = [
      server.uri(database: database.name, password: "wr0ng-p4ssword"), server.uri(database: "no_such_database"),
      server.uri(database: database.name, user: "no_such_role", password: "wr0ng-p4ssword"),
    ]
    for uri in wrong {
      let error = await #expect(throws: InputError.self, "\(uri)") { try await PostgreSQLStore(uri: uri).connect() }
      let said = "\(error?.description ?? "")"
      #expect(!said.contains("wr0ng") && !said.contains(server.password), "\(said)")
      #expect(said.contains("STEERSCOPE_DATABASE"), "\(said)")
    }
  }

  @Test func `a server that is not there is told as passing`() async throws {
    // Nobody listens on port 1; the address of the second is for documentation, and answers nothing.
    for uri in ["postgresql://u:s3cret@127.0.0.1:1/d", "postgresql://u:s3cret@192.0.2.1/d?connect_timeout=1"] {
      let error = await #expect(throws: StoreError.self) { try await PostgreSQLStore(uri: uri).connect() }
      #expect(error?.code == .unreachable && error?.isTransient == true)
      #expect(error?.message.contains("s3cret") == false)
    }
  }

  @Test func `a database without the schema, or with another, is refused with the command that helps`() async throws {
    let database = try await TestDatabase()
    let store = try PostgreSQLStore(uri: database.uri())
    var error = await #expect(throws: InputError.self) { try await store.connect() }
    #expect(error?.remedy.contains("steerscope database migrate") == true)
    try await database.migrate()
    try await store.connect()
    let next = try await store.schemaVersion() + 1
    try await database.perform {
      _ = try $0.run("INSERT INTO steerscope.schema_migration VALUES (\(next), 'later', '', now())")
    }
    error = await #expect(throws: InputError.self) { try await PostgreSQLStore(uri: database.uri()).connect() }
    #expect(error?.remedy.contains("newer steerscope") == true)
  }

  @Test func `TLS checks the server's name and authority`() async throws {
    let server = try await TestServers.postgreSQL()
    let database = try await TestDatabase()
    try await database.migrate()
    let tls = "?sslmode=verify-full&sslrootcert=\(server.certificateAuthority)"
    let store = try PostgreSQLStore(uri: server.uri(database: database.name, host: "localhost") + tls)
    try await store.connect()
    let rows = try await store.table("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    #expect(rows == ["1"])
    let elsewhere = "?sslmode=verify-full&sslrootcert=/etc/hostname"
    let refused = try PostgreSQLStore(uri: server.uri(database: database.name, host: "localhost") + elsewhere)
    await #expect(throws: StoreError.self) { try await refused.connect() }
  }

  @Test func `a server that wants a certificate of its client gets it`() async throws {
    let server = try await TestServers.postgreSQL()
    let database = try await TestDatabase()
    try await database.migrate()
    let workshop = try CertificateWorkshop()
    defer { workshop.remove() }
    for authority in ["clients", "strangers"] {
      try workshop.authority(authority)
      try workshop.certificate("of-\(authority)", signedBy: authority, host: server.user, days: 30)
    }
    try workshop.certificate("of-another", signedBy: "clients", host: "another", days: 30)
    // A rule for this database alone, by the server's own hand: its folder is its own.
    let rules = try await server.sql("SHOW hba_file").trimmingCharacters(in: .whitespacesAndNewlines)
    let authority = try String(contentsOfFile: workshop.path("clients.pem"), encoding: .utf8)
    let rule = "hostssl \(database.name) all all scram-sha-256 clientcert=verify-full"
    func write(_ text: String, to path: String) async throws {
      try await server.sql("COPY (SELECT unnest(string_to_array($text$\(text)$text$, E'\\n'))) TO '\(path)'")
    }
    try await write(authority, to: rules + ".clients.pem")
    try await write(rule + "\n" + (try await server.sql("SELECT pg_read_file('\(rules)')")), to: rules)
    try await server.sql("ALTER SYSTEM SET ssl_ca_file = '\(rules).clients.pem'")
    try await server.sql("SELECT pg_reload_conf()")

    func store(_ certificate: String?) throws -> PostgreSQLStore {
      let parts = certificate.map { "&sslcert=\(workshop.path($0)).pem&sslkey=\(workshop.path($0)).key" } ?? ""
      let tls = "?sslmode=verify-full&sslrootcert=\(server.certificateAuthority)" + parts
      return try PostgreSQLStore(uri: server.uri(database: database.name, host: "localhost") + tls)
    }
    // The server reads its rules anew in its own time.
    var isDemanded = false
    for _ in 0..<200 where !isDemanded {
      do { try await store(nil).connect() } catch { isDemanded = "\(error)".contains("certificate") }
      if !isDemanded { try await Task.sleep(for: .milliseconds(50)) }
    }
    #expect(isDemanded)
    let good = try store("of-clients")
    try await good.connect()
    #expect(try await good.table("SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == ["/CN=postgres"])
    for name in ["of-strangers", "of-another"] {
      let error = await #expect(throws: (any Error).self) { try await store(name).connect() }
      // Of a good certificate for another name the server says no more than of a wrong password.
      let words = name == "of-another" ? "authentication failed" : "unknown ca"
      #expect("\(error.map { "\($0)" } ?? "")".contains(words), "\(name)")
    }
  }

  @Test func `values go in and come out, bit for bit`() async throws {
    let database = try await TestDatabase()
    try await database.perform { db in
      let texts: [String?] = ["", "ä\u{1}\u{10FFFF}", nil, "{\"a\",b}\\N", String(repeating: "x", count: 1 << 16)]
      let reals: [Double?] = [0, -0.0, .pi, .leastNonzeroMagnitude, .infinity, nil, .greatestFiniteMagnitude]
      let integers: [Int64?] = [0, -1, .max, .min, nil]
      let sentTexts = try db.rows("SELECT unnest($1::text[])", .texts(texts)) { $0.optionalText(0) }
      let sentReals = try db.rows("SELECT unnest($1::float8[])", .reals(reals)) { $0.optionalReal(0)?.bitPattern }
      let sentIntegers = try db.rows("SELECT unnest($1::bigint[])", .integers(integers)) { $0.optionalInteger(0) }
      #expect(sentTexts == texts)
      #expect(sentReals == reals.map { $0?.bitPattern })
      #expect(sentIntegers == integers.map { $0.map { Int($0) } })
      #expect(try db.rows("SELECT unnest($1::bigint[])", .integers([])) { $0.integer(0) } == [])
      let row = try db.first("SELECT $1, $2, $3, $4", .text(nil), .real(nil), .integer(nil), .flag(true)) { row in
        (0..<3).map { row.isNull($0) } + [row.flag(3)]
      }
      #expect(row == [true, true, true, true])
    }
  }

  @Test func `a NUL character is refused where it matters and made visible where it is said`() async throws {
    let fixture = try await StoreFixture(.postgresql)
    let store = try fixture.open()
    var submission = SweepSubmission("a")
    submission.document = "a\u{0}b"
    await #expect(throws: InputError.self) { try await store.submit(submission) }
    submission.document = "a"
    submission.models = [ModelRow(digest: .named("m"), name: "a\u{0}", locator: "", architecture: "")]
    await #expect { try await store.submit(submission) } throws: { ($0 as? StoreError)?.code == .conflict }
    #expect(try await store.sweeps(in: nil).isEmpty)
    #expect(try await store.findSweep("a\u{0}") == nil)
    await #expect(throws: InputError.self) { try await store.query("SELECT 1 \u{0}", limits: QueryLimits()) }

    let leader = try await store.lead()
    try await store.register(WorkerRegistration("worker"))
    try await store.add(SweepSubmission("a"), [.init("x")], as: leader)
    var task = try #require(try await store.claim(["x"], by: "worker").first)
    let rows = [TableRow(.sae, ["name": "s\u{0}", "layer": 1])]
    await #expect { try await store.finish(task, by: "worker", TaskResult(rows: rows)) } throws: {
      ($0 as? StoreError)?.code == .conflict
    }
    #expect(try await store.state(of: "x") == .running)
    let failure = TaskFailure(lease: task.lease, fault: .transient, error: "e\u{0}", log: "l\u{0}", jitter: 0)
    _ = try await store.fail(failure, worker: WorkerID("worker"), policy: RetryPolicy(base: 0))
    task = try #require(try await store.claim(["x"], by: "worker").first)
    var generator = SeededGenerator(seed: 1)
    let long = String(
      String.UnicodeScalarView(
        (0..<1 << 16).map { _ in
          Unicode.Scalar(UInt16.random(in: 0x100..<0x2000, using: &generator)) ?? "x"
        }))
    let finished = FinishedTask(
      lease: task.lease, result: TaskResult(rows: [TableRow(.sae, ["name": .text(long), "layer": 1])]), log: "\u{0}")
    // A text too long for the index of its table is a conflict, not a fault of the program.
    await #expect { try await store.finish([finished], worker: WorkerID("worker")) } throws: {
      ($0 as? StoreError)?.code == .conflict
    }
    let row = TableRow(.sae, ["name": "s", "layer": 1, "architecture": .text(long)])
    let again = FinishedTask(lease: task.lease, result: TaskResult(rows: [row]), log: long + "\u{0}")
    #expect(try await store.finish([again], worker: WorkerID("worker")) == [.done])
    #expect(try await store.table("SELECT length(architecture) FROM sae") == ["65536"])
    let attempts = try await store.attempts(at: task.lease.task)
    #expect(attempts[0].error == "e\u{FFFD}" && attempts[0].log == "l\u{FFFD}" && attempts[1].log == long + "\u{FFFD}")
  }

  @Test func `a connection that is cut is opened again, and the call told as passing`() async throws {
    let fixture = try await StoreFixture(.postgresql)
    let store = try fixture.open()
    _ = try await store.submit(SweepSubmission("a"))
    let name = try #require(fixture.uri.split(separator: "/").last)
    // Waits until the backends are gone: before that, a call may still reach one.
    let terminate =
      "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE datname = '\(name)' AND pid <> pg_backend_pid()"
    // Between calls: nobody notices.
    try await TestServers.postgreSQL().sql(terminate)
    #expect(try await store.sweeps(in: nil).count == 1)
    // In the middle of one.
    let waiting = Task {
      try await store.query("SELECT count(*) FROM generate_series(1, 10000000000)", limits: .init())
    }
    while try await TestServers.postgreSQL().sql(
      "SELECT count(*) FROM pg_stat_activity WHERE datname = '\(name)' AND query LIKE 'FETCH%' AND state = 'active'"
    )
    .hasPrefix("0") { try await Task.sleep(for: .milliseconds(20)) }
    try await TestServers.postgreSQL().sql(terminate)
    await #expect { try await waiting.value } throws: { ($0 as? StoreError)?.code == .unreachable }
    #expect(try await store.table("SELECT 1") == ["1"])
  }
}

/// How failures are told, by SQLSTATE.
@Suite struct PostgreSQLFailureTests {
  @Test func `each SQLSTATE is what it is to callers`() throws {
    let address = try PostgreSQLAddress(parsing: "postgresql://h/d")
    let expected: [(state: String, code: StoreError.Code)] = [
      ("08006", .unreachable), ("57P01", .unreachable), ("57P03", .unreachable), ("25006", .unreachable),
      ("40001", .busy), ("40P01", .busy), ("55P03", .busy), ("57014", .busy), ("53300", .busy), ("53100", .full),
      ("23505", .conflict), ("23503", .conflict), ("22P05", .conflict), ("54000", .conflict), ("58030", .io),
      ("XX001", .damaged), ("42P01", .internal), ("XX000", .internal),
    ]
    for (state, code) in expected {
      let error = PostgreSQLFailure(state: state, message: "m").asStoreError(address)
      #expect(error.code == code, "\(state)")
      #expect(error.message == "postgresql://h:5432/d: m (SQLSTATE \(state))")
    }
    #expect(PostgreSQLFailure(state: "23505", message: "m", isLost: true).asStoreError(address).code == .unreachable)
  }

  @Test func `a schema that was changed under prepared statements is met anew`() async throws {
    let fixture = try await StoreFixture(.postgresql)
    let session = PostgreSQLSession(try PostgreSQLAddress(parsing: fixture.uri), PostgreSQLSettings()) { _ in }
    let count = "SELECT t.* FROM pg_temp.changing t"
    let table = "CREATE TEMP TABLE IF NOT EXISTS changing AS SELECT 1::bigint AS a"
    let first = try await session.perform { db in
      try db.execute(table)
      return try db.rows(count) { $0.integer(0) }
    }
    let second = try await session.perform { db in
      try db.execute("\(table); ALTER TABLE pg_temp.changing ADD COLUMN IF NOT EXISTS b text")
      return try db.rows(count) { $0.integer(0) }
    }
    #expect(first == [1] && second == [1])
  }
}

/// Replies that are lost: what is told again is not done twice.
@Suite struct PostgreSQLLostReplyTests {
  /// A store whose server hangs up on demand, with a task in a worker's hands and another that waits for it.
  private func prepare() async throws -> (
    proxy: CuttingProxy, store: PostgreSQLStore, task: ClaimedTask, fixture: StoreFixture
  ) {
    let fixture = try await StoreFixture(.postgresql)
    let server = try await TestServers.postgreSQL()
    let proxy = try CuttingProxy(to: server.port)
    let name = try #require(fixture.uri.split(separator: "/").last)
    let uri = "postgresql://\(server.user):\(server.password)@127.0.0.1:\(proxy.port)/\(name)?sslmode=disable"
    let store = try PostgreSQLStore(uri: uri, settings: PostgreSQLSettings(clock: .told { fixture.clock.now }))
    let leader = try await store.lead()
    try await store.register(WorkerRegistration("worker"))
    try await store.add(SweepSubmission("a"), [.init("x"), .init("y", after: ["x"]), .init("z")], as: leader)
    let task = try #require(try await store.claim(["x"], by: "worker").first)
    return (proxy, store, task, fixture)
  }

  private let result = TaskResult(
    artifacts: [Artifact(name: "out", bytes: [UInt8](repeating: 7, count: 3 << 20))],
    rows: [TableRow(.sae, ["name": "s", "layer": 3])])

  @Test(arguments: [CuttingProxy.Cut.before, .after]) func `a finish whose commit is lost knows how it ended`(
    _ cut: CuttingProxy.Cut
  ) async throws {
    let (proxy, store, task, _) = try await prepare()
    defer { proxy.stop() }
    proxy.cut(cut, at: "COMMIT\u{0}")
    #expect(try await store.finish(task, by: "worker", result) == (cut == .after ? .alreadyDone : .done))
    #expect(try await store.finish(task, by: "worker", result) == .alreadyDone)
    #expect(try await store.table("SELECT count(*) FROM sae") == ["1"])
    #expect(try await store.table("SELECT count(*) FROM artifact_chunk") == ["3"])
    #expect(try await store.table("SELECT remaining FROM task_group") == ["0"])
    #expect(try await store.state(of: "y") == .ready)
  }

  @Test func `a connection that is cut in the middle of a COPY leaves nothing, and the finish comes through`()
    async throws
  {
    let (proxy, store, task, _) = try await prepare()
    defer { proxy.stop() }
    proxy.cut(.before, at: String(repeating: "\u{7}", count: 5000))
    #expect(try await store.finish(task, by: "worker", result) == .done)
    #expect(try await store.artifact(Digest(of: result.artifacts[0].bytes)) == result.artifacts[0].bytes)
  }

  @Test(arguments: [CuttingProxy.Cut.before, .after]) func `a failure whose commit is lost counts once`(
    _ cut: CuttingProxy.Cut
  ) async throws {
    let (proxy, store, task, _) = try await prepare()
    defer { proxy.stop() }
    let failure = TaskFailure(lease: task.lease, fault: .transient, error: "e", jitter: 0)
    proxy.cut(cut, at: "COMMIT\u{0}")
    await #expect { try await store.fail(failure, worker: WorkerID("worker"), policy: RetryPolicy()) } throws: {
      ($0 as? StoreError)?.code == .unreachable
    }
    let again = try await store.fail(failure, worker: WorkerID("worker"), policy: RetryPolicy())
    #expect((again == .fenced) == (cut == .after))
    #expect(try await store.task("x")?.failures == 1)
  }

  @Test func `a claim whose reply is lost shows up in the heartbeat`() async throws {
    let (proxy, store, task, _) = try await prepare()
    defer { proxy.stop() }
    try await store.register(WorkerRegistration("a worker of its own"))
    let ids = [try #require(try await store.task("z")).id]
    proxy.cut(.after, at: "a worker of its own")
    await #expect { try await store.claim(ids, worker: WorkerID("a worker of its own"), for: 45) } throws: {
      ($0 as? StoreError)?.code == .unreachable
    }
    #expect(try await store.claim(ids, worker: WorkerID("a worker of its own"), for: 45).isEmpty)
    let orphans = try await store.heartbeat(WorkerID("a worker of its own"), .ready, memory: nil, for: 45).held
    #expect(orphans.map(\.task) == ids && orphans[0].token > task.lease.token)
    try await store.release(orphans, worker: WorkerID("a worker of its own"), reason: "unknown here")
    #expect(try await store.state(of: "z") == .ready)
  }

  @Test(arguments: [CuttingProxy.Cut.before, .after]) func `a plan's chunk whose commit is lost is entered once`(
    _ cut: CuttingProxy.Cut
  ) async throws {
    let (proxy, store, _, _) = try await prepare()
    defer { proxy.stop() }
    let leader = try await store.lead()
    let sweep = try await store.submit(SweepSubmission("b")).id
    let chunk = PlanChunk(from: 0, to: 7, tasks: [.init("b"), .init("c", after: ["b"])], isLast: true)
    proxy.cut(cut, at: "COMMIT\u{0}")
    await #expect(throws: StoreError.self) { try await store.expand(sweep, with: chunk, as: leader) }
    let reply = try await store.expand(sweep, with: chunk, as: leader)
    #expect(reply.applied == (cut == .before) && reply.cursor == 7 && reply.state == .active)
    #expect(try await store.progress(of: sweep, rateOver: 1).counts == [.ready: 1, .blocked: 1])
  }
}
