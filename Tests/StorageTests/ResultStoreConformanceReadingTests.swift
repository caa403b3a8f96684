import Diagnostics
import Schemas
import SweepRecords
import Testing

@testable import Storage

/// What people and reports read.
@Suite struct ResultStoreConformanceReadingTests {
  @Test(arguments: StoreKind.allCases) func `artifacts come back as they went in`(_ kind: StoreKind) async throws {
    let store = try await StoreFixture(kind).open()
    let leader = try await store.lead()
    try await store.register(WorkerRegistration("worker"))
    try await store.add(SweepSubmission("a"), [.init("x"), .init("y")], as: leader)
    let chunk = SQLiteStore.chunkSize
    let sizes = [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 2 * chunk + 17]
    let artifacts = sizes.map { size in
      Artifact(name: "size \(size)", bytes: (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) })
    }
    try await store.run("x", leaving: TaskResult(artifacts: artifacts))
    for artifact in artifacts {
      let reference = try #require(try await store.artifactReference(task: .named("x"), name: artifact.name))
      #expect(reference == ArtifactReference(digest: Digest(of: artifact.bytes), size: artifact.bytes.count))
      #expect(try await store.artifact(reference.digest) == artifact.bytes)
    }
    // The same content under other names is kept once.
    try await store.run(
      "y", leaving: TaskResult(artifacts: [Artifact(name: "b", bytes: [0]), Artifact(name: "c", bytes: [0])]))
    let counts = try await store.counts()
    #expect(counts.artifacts == sizes.count)
    #expect(counts.artifactBytes == sizes.reduce(0, +))
    #expect(counts.databaseBytes > counts.artifactBytes)
    #expect(try await store.artifactReference(task: .named("x"), name: "none") == nil)
    #expect(try await store.artifactReference(task: .named("none"), name: "b") == nil)
    #expect(try await store.artifact(.named("none")) == nil)
  }

  @Test(arguments: StoreKind.allCases) func `progress counts by stage`(_ kind: StoreKind) async throws {
    let fixture = try await StoreFixture(kind)
    let store = try fixture.open()
    let leader = try await store.lead()
    try await store.register(WorkerRegistration("worker"))
    let tasks: [TaskDefinition] = [
      .init("s", after: ["e1", "e2"], kind: .score), .init("h", kind: .harvest), .init("e1"), .init("e2"), .init("e3"),
    ]
    let sweep = try await store.add(SweepSubmission("a"), tasks, as: leader)
    let first = try #require(try await store.claim(["e1"], by: "worker").first)
    fixture.clock.advance(3)
    try await store.finish(first, by: "worker")
    fixture.clock.advance(60)
    let second = try #require(try await store.claim(["e2"], by: "worker").first)
    fixture.clock.advance(4)
    try await store.finish(second, by: "worker")
    let progress = try await store.progress(of: sweep, rateOver: 30)
    #expect(progress.stages.map(\.kind) == [.harvest, .evaluate, .score])
    #expect(progress.stages[1].counts == [.done: 2, .ready: 1])
    #expect(progress.stages[1].estimateLeft == 2)
    #expect(progress.stages[1].secondsSpent == 7)
    #expect(progress.stages[1].finishedAttempts == 2)
    #expect(progress.stages[2].counts == [.ready: 1])
    #expect(progress.counts == [.done: 2, .ready: 3])
    #expect(progress.finishedRecently == 1)
    #expect(
      try await store.table("SELECT sweep, state, kind, tasks, ready, done FROM sweep_progress ORDER BY kind") == [
        "a|active|evaluate|3|1|2", "a|active|harvest|1|1|0", "a|active|score|1|1|0",
      ])
    #expect(
      try await store.table("SELECT worker, condition, done, busy_seconds FROM worker_activity") == [
        "worker|ready|2|7.0"
      ])
    #expect(try await store.workers().map(\.finished) == [2])
    #expect(try await store.schemaVersion() == Schemas.sqliteMigrations.count)
    #expect(try await store.now() == fixture.clock.now)
  }

  @Test(arguments: StoreKind.allCases) func `a query reads, within limits`(_ kind: StoreKind) async throws {
    let store = try await StoreFixture(kind).open()
    _ = try await store.submit(SweepSubmission("a"))
    var result = try await store.query(
      """
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10)
      SELECT i, i / 4.0 AS q, 'é' AS t, NULL AS z FROM n ; -- end
      """,
      limits: QueryLimits(rows: 3))
    #expect(result.columns == ["i", "q", "t", "z"])
    #expect(result.rows.first == [1, 0.25, "é", .null])
    #expect(result.rows.count == 3 && result.isTruncated)
    result = try await store.query("SELECT name FROM sweep", limits: QueryLimits(rows: 1))
    #expect(result == QueryResult(columns: ["name"], rows: [["a"]], isTruncated: false))
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    await #expect(throws: InputError.self) { try await store.query(endless, limits: QueryLimits(seconds: 0.02)) }
    // And the next one has its own time.
    #expect(try await store.table("SELECT 1") == ["1"])
  }

  @Test(arguments: StoreKind.allCases) func `a query can't write`(_ kind: StoreKind) async throws {
    let store = try await StoreFixture(kind).open()
    _ = try await store.submit(SweepSubmission("a"))
    let refused = [
      "DELETE FROM sweep", "UPDATE sweep SET name = 'b'", "INSERT INTO leader VALUES (2, '', 0, 0)", "DROP TABLE sweep",
      "CREATE TABLE t (a)", "CREATE TEMP TABLE t (a)", "ALTER TABLE sweep RENAME TO s", "SELECT 1; DELETE FROM sweep",
      "WITH a AS (SELECT 1) DELETE FROM sweep", "DELETE FROM sweep RETURNING name", "BEGIN", "COMMIT", "REINDEX",
      "", ";", "-- nothing", "SELEC 1", "SELECT * FROM nothing", "SELECT 1 WHERE", "SELECT 'open",
    ]
    for sql in refused {
      await #expect(throws: InputError.self, "\(sql)") { try await store.query(sql, limits: QueryLimits()) }
    }
    #expect(try await store.table("SELECT name FROM sweep") == ["a"])
  }
}
