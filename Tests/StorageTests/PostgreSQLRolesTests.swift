import Diagnostics
import Foundation
import Schemas
import SweepRecords
import TestServers
import Testing

@testable import Storage

/// What `ops/postgres/roles.sql` and the grants allow, and what they refuse.
@Suite(.serialized) struct PostgreSQLRolesTests {
  private static let owner = "steerscope_owner"
  private static let coordinator = "steerscope_coordinator"
  private static let worker = "steerscope_worker"
  private static let reader = "steerscope_reader"
  private static let all = [owner, coordinator, worker, reader]

  private static let rolesText = Result {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appending(path: "../../ops/postgres/roles.sql")
    return try String(contentsOf: file, encoding: .utf8)
  }

  /// Runs the roles' file as the superuser, and gives the roles the passwords of `TestDatabase`.
  private static func makeRoles(in database: TestDatabase) async throws {
    let text = try rolesText.get()
    try await database.perform { connection in
      try connection.execute(text)
      for role in all {
        try connection.execute("ALTER ROLE \(role) PASSWORD 'passwordof\(role)'")
      }
    }
  }

  /// A migrated database on a server of these tests' own, as an operator makes it.
  private static func database() async throws -> TestDatabase {
    let database = try await TestDatabase(on: "roles")
    try await makeRoles(in: database)
    try await database.migrate(as: owner)
    return database
  }

  private static func store(_ database: TestDatabase, as role: String) throws -> PostgreSQLStore {
    try PostgreSQLStore(uri: database.uri(role))
  }

  /// What the server says to statements, each undone again: the SQLSTATE of its refusal, or "done".
  private static func answers(
    to statements: [String], in database: TestDatabase, as role: String
  ) async throws -> [(sql: String, state: String)] {
    try await database.perform(as: role) { connection in
      try statements.map { ($0, try answer(to: $0, on: connection)) }
    }
  }

  private static func answer(to sql: String, on connection: PostgreSQLConnection) throws -> String {
    struct Undone: Error {}
    do {
      try connection.write { connection in
        try connection.execute(sql)
        throw Undone()
      }
    } catch let failure as PostgreSQLFailure {
      return failure.state
    } catch is Undone {}
    return "done"
  }

  private static let rows: [TableRow] = {
    let variant: [String: Cell] = [
      "behaviour": "power", "layer": 14, "variant": "original", "norm": "raw", "unit": "vector", "positions": "scored",
      "score": "sum", "n": 3,
    ]
    let code: [String: Cell] = [
      "behaviour": "power", "layer": 14, "sae": "s", "method": "encode", "sparsity": "8", "convention": "with-bias",
    ]
    let question = variant.filter { !["unit", "positions", "score", "n"].contains($0.key) }
    return [
      TableRow(.sae, ["name": "s", "layer": 14]),
      TableRow(.steeringVector, ["behaviour": "power", "layer": 14, "name": "original"]),
      TableRow(.activationStatistics, ["layer": 14, "tokens": 9]),
      TableRow(
        .decomposition,
        code.merging(["configured": 1, "input_convention": "b_dec-kept", "coefficient": 1.0]) { $1 }),
      TableRow(.decompositionFeature, code.merging(["rank": 0, "feature": 77]) { $1 }),
      TableRow(.evaluation, variant.merging(["coefficient": 0.5, "propensity": 0.25]) { $1 }),
      TableRow(.steerabilityScore, variant.merging(["slope": 0.5, "slope_error": 0.125]) { $1 }),
      TableRow(.evaluationQuestion, question.merging(["question": 2, "coefficient": 0.5]) { $1 }),
    ]
  }()

  // MARK: What they can do

  @Test func `the roles' file and the grants can run in any order and again`() async throws {
    // Migrated before there are roles: by the superuser, who then owns it all.
    let database = try await TestDatabase(on: "roles")
    try await database.perform { try $0.execute("CREATE SCHEMA steerscope") }
    try await database.migrate()
    let stranger = "SELECT relname FROM pg_class WHERE relnamespace = 'steerscope'::regnamespace AND relowner <> "
    try await Self.makeRoles(in: database)
    #expect(try await database.table(stranger + "'steerscope_owner'::regrole") == [])
    try await Self.makeRoles(in: database)
    #expect(try await database.migrate(as: Self.owner) == [])
    let rights = """
      SELECT relname, relacl::text FROM pg_class WHERE relnamespace = 'steerscope'::regnamespace ORDER BY relname
      """
    let before = try await database.table(rights)
    try await Self.makeRoles(in: database)
    #expect(try await database.migrate() == [])
    #expect(try await database.table(rights) == before)
    // Whoever migrates, the owner owns; and a later table's rights are as the grants say, not what was there.
    let later = Schemas.Migration(
      number: Schemas.postgresqlMigrations.count + 1, file: "later.sql",
      sql: "CREATE TABLE steerscope.later (a int); GRANT ALL ON steerscope.later, steerscope.sweep TO PUBLIC")
    #expect(try await database.migrate { $0.migrations.append(later) } == ["later.sql"])
    #expect(try await database.table(stranger + "'steerscope_owner'::regrole") == [])
    let refused = ["SELECT * FROM later", "DELETE FROM sweep"]
    #expect(try await Self.answers(to: refused, in: database, as: Self.worker).map(\.state) == ["42501", "42501"])
  }

  @Test func `only the owner migrates, and the others are told what to do`() async throws {
    let database = try await TestDatabase(on: "roles")
    try await Self.makeRoles(in: database)
    for role in Self.all.dropFirst() {
      let error = await #expect(throws: InputError.self) { try await database.migrate(as: role) }
      #expect(error?.remedy.contains("steerscope_owner") == true)
      let check = await #expect(throws: InputError.self) { try await database.check(as: role) }
      #expect(check?.found == "none")
    }
    #expect(try await database.migrate(as: Self.owner) == Schemas.postgresqlMigrations.map(\.file))
    for role in Self.all {
      try await database.check(as: role)
      try await Self.store(database, as: role).connect()
    }
  }

  @Test func `each role can do its work`() async throws {
    let database = try await Self.database()
    let coordinator = try Self.store(database, as: Self.coordinator)
    let worker = try Self.store(database, as: Self.worker)
    let reader = try Self.store(database, as: Self.reader)
    var submission = SweepSubmission("a", inputs: [[1, 2, 3]])
    submission.models = [ModelRow(digest: .named("m"), name: "m", locator: "m.gguf", architecture: "llama")]
    submission.behaviours = [BehaviourRow(name: "power")]
    var leader = try await coordinator.lead()
    let sweep = try await coordinator.add(
      submission, [.init("x"), .init("y", after: ["x"]), .init("z"), .init("f")], as: leader)
    let other = try await coordinator.add(
      SweepSubmission("b", inputs: [[1, 2, 3]]), [.init("x"), .init("o")], as: leader)
    #expect(try await coordinator.renewLeadership(leader, for: 30))
    let dispatched = try await coordinator.dispatch(DispatchPolicy(window: 9), as: leader)
    try await coordinator.undispatch(dispatched.suffix(1).map(\.id), as: leader)

    let me = WorkerID("one")
    for name in ["one", "two"] { try await worker.register(WorkerRegistration(name)) }
    #expect(try await worker.artifact(Digest(of: [1, 2, 3])) == [1, 2, 3])
    let claimed = try await worker.claim(["x", "z", "f"], by: "one")
    #expect(claimed.count == 3)
    #expect(try await worker.heartbeat(me, .unready(reason: "why"), memory: nil, for: 45).held.count == 3)
    let artifacts = [Artifact(name: "a", bytes: [1, 2, 3]), Artifact(name: "b", bytes: [4])]
    let result = TaskResult(artifacts: artifacts, rows: Self.rows)
    #expect(try await worker.finish(claimed[0], by: "one", result) == .done)
    try await worker.release([claimed[1].lease], worker: me, reason: "given back")
    let failure = TaskFailure(lease: claimed[2].lease, fault: .task, error: "bad", jitter: 0)
    #expect(try await worker.fail(failure, worker: me, policy: RetryPolicy()) == .parked)
    #expect(try await worker.claim(["y"], by: "two").count == 1)
    try await worker.deregister(WorkerID("two"))
    #expect(try await worker.artifactReference(task: .named("x"), name: "a")?.size == 3)

    for view in SQLiteSchemaText().views.keys {
      _ = try await reader.query("SELECT * FROM \(view)", limits: QueryLimits())
    }
    #expect(try await reader.table("SELECT sweep, propensity FROM steering_curve WHERE sweep = 'a'") == ["a|0.25"])
    #expect(try await reader.progress(of: sweep, rateOver: 60).counts == [.done: 1, .ready: 2, .parked: 1])
    #expect(try await reader.parkedTasks(of: sweep, limit: 9).map(\.error) == ["bad"])
    #expect(try await reader.submission(of: sweep).models.count == 1)
    #expect(try await reader.workers().count == 2)
    #expect(try await reader.counts().artifacts == 2)
    let digest = try #require(try await reader.artifactReference(task: .named("x"), name: "b")?.digest)
    #expect(try await reader.artifact(digest) == [4])
    #expect(try await reader.attempts(at: claimed[0].lease.task).count == 1)

    _ = try await worker.claim(["z"], by: "one")
    #expect(try await coordinator.reap(ReapPolicy(everyLease: true), as: leader).count == 1)
    #expect(try await coordinator.pause(sweep) == .paused)
    #expect(try await coordinator.resume(sweep) == .active)
    #expect(try await coordinator.cancel(sweep) == .cancelled)
    #expect(try await coordinator.retry(sweep) == .active)
    try await coordinator.note(problem: "none", of: sweep, as: leader)
    #expect(try await coordinator.recomputeCounters(as: leader) == [])
    #expect(try await coordinator.settleSweeps(as: leader) == [])
    #expect(try await coordinator.delete(sweep))
    #expect(try await coordinator.delete(other))
    #expect(try await coordinator.counts().artifacts == 0)
    #expect(try await reader.table("SELECT count(*) FROM evaluation") == ["0"])
    try await coordinator.releaseLeadership(leader)
    leader = try await coordinator.lead("next")
  }

  // MARK: What they can't

  /// Statements that nobody but the owner and superusers may run.
  private static let forbidden = [
    "CREATE TABLE t (a int)", "CREATE TEMPORARY TABLE t (a int)", "CREATE SCHEMA s", "CREATE TABLE public.t (a int)",
    "DROP TABLE evaluation", "ALTER TABLE sweep ADD COLUMN a int", "TRUNCATE evaluation",
    "CREATE INDEX ON sweep (name)",
    "CREATE VIEW v AS SELECT 1", "DROP VIEW faithfulness", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE ROLE r", "ALTER ROLE steerscope_owner PASSWORD 'x'", "GRANT steerscope_owner TO CURRENT_USER",
    "SET ROLE steerscope_owner", "CREATE EXTENSION file_fdw",
    "UPDATE schema_migration SET checksum = ''", "INSERT INTO schema_migration VALUES (9, '', '', now())",
    "UPDATE sweep SET name = ''", "UPDATE sweep SET document = '', resolved = ''",
    "UPDATE task SET work = '', files = ''",
    "UPDATE evaluation SET propensity = 1", "DELETE FROM evaluation", "DELETE FROM decomposition",
    "UPDATE artifact SET digest = ''", "UPDATE artifact_chunk SET bytes = ''", "DELETE FROM task_attempt",
    "DELETE FROM sweep_task", "DELETE FROM worker", "UPDATE task_attempt SET task = 1",
    "SELECT pg_read_file('/etc/passwd')", "SELECT pg_ls_dir('/')", "SELECT lo_import('/etc/passwd')",
    "COPY sweep TO '/tmp/steerscope-stolen'", "COPY sweep FROM '/etc/passwd'", "COPY sweep TO PROGRAM 'true'",
    "SELECT lo_create(0)", "SELECT lo_from_bytea(0, 'x')", "SELECT * FROM pg_authid",
    "SELECT setval('task_id_seq', 1)", "SELECT nextval('task_attempt_token_seq')",
  ]

  private static let toWorker = [
    "DELETE FROM sweep", "DELETE FROM task", "DELETE FROM task_group", "DELETE FROM artifact",
    "UPDATE sweep SET state = 'cancelled'", "UPDATE sweep SET priority = 'high'", "UPDATE task SET dispatch = 9",
    "UPDATE task SET task_group = NULL", "UPDATE leader SET token = 9", "SELECT * FROM leader FOR UPDATE",
    "INSERT INTO sweep_task VALUES (1, 1)", "INSERT INTO task_group (digest, remaining) VALUES ('', 0)",
    "INSERT INTO sweep (id, digest, name, state, priority, numerics_version, submitted_at, document, resolved) "
      + "VALUES ('', '', '', 'active', 'high', 1, now(), '', '')",
    "INSERT INTO task (key, kind, state, estimate, title, files, work) VALUES ('', '', 'ready', 1, '', '', '')",
    "INSERT INTO task_attempt (token, task, worker, started_at) OVERRIDING SYSTEM VALUE VALUES (1, 1, '', now())",
    "INSERT INTO sweep_artifact VALUES (1, '')",
  ]

  private static let toReader =
    toWorker + [
      "UPDATE task SET state = 'done', ended_at = now()", "UPDATE worker SET condition = 'stopped'",
      "INSERT INTO worker SELECT * FROM worker", "UPDATE task_attempt SET log = ''",
      "UPDATE task_group SET remaining = 0",
      "INSERT INTO artifact VALUES ('', 0, now())", "INSERT INTO evaluation SELECT * FROM evaluation",
      "SELECT 1 FROM task FOR SHARE", "SELECT * FROM leader",
      "COPY sweep FROM STDIN",
    ]

  private static let toCoordinator = [
    "INSERT INTO evaluation SELECT * FROM evaluation", "INSERT INTO task_artifact VALUES (1, '', '')",
    "UPDATE sweep SET digest = ''", "UPDATE task SET key = ''", "UPDATE worker SET condition = 'stopped'",
    "INSERT INTO leader VALUES (1, '', 0, now())", "DELETE FROM leader", "DELETE FROM task_artifact",
  ]

  @Test func `each role is refused what is not its work`() async throws {
    let database = try await Self.database()
    let coordinator = try Self.store(database, as: Self.coordinator)
    let leader = try await coordinator.lead()
    try await coordinator.add(SweepSubmission("a", inputs: [[1]]), [.init("x")], as: leader)
    for (role, more) in [
      (Self.coordinator, Self.toCoordinator), (Self.worker, Self.toWorker), (Self.reader, Self.toReader),
    ] {
      for (sql, state) in try await Self.answers(to: Self.forbidden + more, in: database, as: role) {
        // Insufficient privilege. Anything else would mean that it got further.
        #expect(state == "42501", "\(role): \(sql)")
      }
    }
    #expect(!FileManager.default.fileExists(atPath: "/tmp/steerscope-stolen"))
    #expect(try await coordinator.counts().sweeps == [.active: 1])
  }

  @Test func `a query can neither write nor read a file, nor take for ever`() async throws {
    let database = try await Self.database()
    let reader = try Self.store(database, as: Self.reader)
    for sql in Self.forbidden + Self.toReader + ["DELETE FROM sweep", "SELECT pg_sleep(100)"] {
      await #expect(throws: InputError.self, "\(sql)") {
        try await reader.query(sql, limits: QueryLimits(seconds: 1))
      }
    }
    // Without the program's own guards, too.
    let settings = try await database.table(
      "SELECT current_setting('statement_timeout'), current_setting('temp_file_limit')", as: Self.reader)
    #expect(settings.first?.hasSuffix("|4GB") == true)
    let own = try await database.server.sql(
      "SELECT rolname, unnest(rolconfig) FROM pg_roles WHERE rolname = 'steerscope_reader'", in: database.name)
    #expect(own.contains("steerscope_reader|statement_timeout=60s"))
  }

  @Test func `nobody else may connect, and a wrong password is refused and not shown`() async throws {
    let database = try await Self.database()
    try await database.server.sql(
      """
      DO $$ BEGIN CREATE ROLE stranger LOGIN PASSWORD 'passwordofstranger';
      EXCEPTION WHEN duplicate_object THEN NULL; END $$
      """)
    await #expect { try await database.table("SELECT 1", as: "stranger") } throws: {
      "\($0)".contains("permission denied for database") && !"\($0)".contains("passwordofstranger")
    }
    let uri = database.server.uri(
      database: database.name, user: Self.worker, password: "open sesame".replacing(" ", with: ""))
    let error = await #expect(throws: InputError.self) { try await PostgreSQLStore(uri: uri).connect() }
    #expect(error.map { !"\($0)".contains("opensesame") } == true)
  }

  @Test func `a role without a password can't sign in`() async throws {
    let database = try await Self.database()
    try await database.perform { try $0.execute("ALTER ROLE steerscope_reader PASSWORD NULL") }
    await #expect(throws: InputError.self) { try await Self.store(database, as: Self.reader).connect() }
    // The file sets none.
    let text = try Self.rolesText.get()
    try await database.perform { try $0.execute(text) }
    await #expect(throws: InputError.self) { try await Self.store(database, as: Self.reader).connect() }
    try await Self.makeRoles(in: database)
  }
}
