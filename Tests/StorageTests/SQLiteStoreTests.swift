import Diagnostics
import Foundation
import Schemas
import SweepRecords
import Testing

@testable import Storage

/// What is SQLite's own: files, locks, crashes, migrations.
@Suite struct SQLiteStoreTests {
  private let known = Schemas.sqliteMigrations

  private func write(_ bytes: [UInt8], to path: String) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path))
  }

  @Test func `a file that is no database of ours is refused, and left as it is`() throws {
    let fixture = try StoreFixture()
    let text = Array("This is a text file, and long enough to be taken for a database's header. ".utf8)
    for bytes in [text, Array("SQLite format 3\u{0}".utf8) + [UInt8](repeating: 0xFF, count: 4096), [1]] {
      try write(bytes, to: fixture.path)
      #expect(throws: InputError.self) { try fixture.open() }
      #expect(try Data(contentsOf: URL(fileURLWithPath: fixture.path)) == Data(bytes))
    }
    let foreign = fixture.folder.appending(path: "foreign.db").path
    var connection = try SQLiteConnection(path: foreign, access: .write(creating: true), busyTimeout: 0)
    try connection.run("CREATE TABLE theirs (a)")
    let error = #expect(throws: InputError.self) { try SQLiteStore(path: foreign) }
    #expect(error?.found.contains("another program") == true)
    #expect(try connection.rows("SELECT name FROM sqlite_schema") { $0.text(0) } == ["theirs"])
  }

  @Test func `a path that can't be opened is named`() throws {
    let fixture = try StoreFixture()
    let paths = [fixture.folder.path, fixture.folder.appending(path: "no/such/folder.db").path]
    for path in paths {
      let error = #expect(throws: InputError.self) { try SQLiteStore(path: path) }
      #expect(error?.subject == path)
    }
    #expect(throws: InputError.self) { try SQLiteStore(path: fixture.path, creating: false) }
    #expect(!FileManager.default.fileExists(atPath: fixture.path))
    _ = try fixture.open()
    _ = try SQLiteStore(path: fixture.path, creating: false)
    let link = fixture.folder.appending(path: "link.db").path
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "steerscope.db")
    _ = try SQLiteStore(path: link, creating: false)
  }

  @Test func `an empty file becomes a database, once`() async throws {
    let fixture = try StoreFixture()
    try write([], to: fixture.path)
    let stores = try await withThrowingTaskGroup(of: SQLiteStore.self) { group in
      for _ in 0..<6 { group.addTask { try SQLiteStore(path: fixture.path) } }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(stores.count == 6)
    #expect(
      try await stores[0].table("SELECT number, name FROM schema_migration") == [
        "1|migration_0001_initial_sqlite.sql", "2|migration_0002_problems_sqlite.sql",
        "3|migration_0003_worker_memory_sqlite.sql",
      ])
    #expect(try await stores[0].table("SELECT count(*) FROM leader") == ["1"])
  }

  /// SQLite does not wait by itself for a writer where the journal's mode changes.
  @Test func `an empty file that another process writes to becomes a database when that is done`() async throws {
    let fixture = try StoreFixture()
    try write([], to: fixture.path)
    var writer = try SQLiteConnection(path: fixture.path, access: .write(creating: false), busyTimeout: 0)
    let path = fixture.path
    let opening = try writer.write { _ in
      let opening = Task.detached { try SQLiteStore(path: path) }
      Thread.sleep(forTimeInterval: 0.3)
      return opening
    }
    #expect(try await opening.value.table("SELECT count(*) FROM leader") == ["1"])
  }

  @Test func `a newer schema or a changed migration is refused`() async throws {
    let fixture = try StoreFixture()
    _ = try fixture.open()
    var connection = try SQLiteConnection(path: fixture.path, access: .write(creating: false), busyTimeout: 0)
    let later = known.count + 1
    try connection.run(
      "INSERT INTO schema_migration (number, name, checksum, applied_at) VALUES (?, 'later', '', 0)", SQLValue(later))
    var error = #expect(throws: InputError.self) { try fixture.open() }
    #expect(error?.found == "version \(later) (later)")
    try connection.run("DELETE FROM schema_migration WHERE name = 'later'")
    _ = try fixture.open()
    try connection.run("UPDATE schema_migration SET checksum = 'other'")
    error = #expect(throws: InputError.self) { try fixture.open() }
    #expect(error?.found.contains("another content") == true)
  }

  @Test func `a migration that fails leaves the schema before it`() throws {
    let fixture = try StoreFixture()
    _ = try fixture.open()
    var connection = try SQLiteConnection(path: fixture.path, access: .write(creating: false), busyTimeout: 0)
    let before = try connection.rows("SELECT sql FROM sqlite_schema ORDER BY name") { $0.text(0) }
    let next = known.count + 1
    let bad = Schemas.Migration(number: next, file: "bad.sql", sql: "CREATE TABLE half (a); CREATE TABLE sweep (a);")
    let good = Schemas.Migration(number: next, file: "good.sql", sql: "CREATE TABLE whole (a);")
    #expect(throws: SQLiteFailure.self) {
      try SQLiteMigrator(path: fixture.path, now: 1, migrations: known + [bad]).migrate(&connection)
    }
    let isIdle = connection.isIdle
    #expect(isIdle)
    #expect(try connection.rows("SELECT sql FROM sqlite_schema ORDER BY name") { $0.text(0) } == before)
    try SQLiteMigrator(path: fixture.path, now: 1, migrations: known + [good]).migrate(&connection)
    #expect(try connection.rows("SELECT number FROM schema_migration") { $0.integer(0) } == Array(1...next))
  }

  @Test func `every commit reaches the disk, and references hold`() async throws {
    let fixture = try StoreFixture()
    let store = try SQLiteStore(path: fixture.path)
    let settings = try await store.settings()
    #expect(settings == ["wal", "2", "1"])
  }

  @Test func `a process that dies within a transaction leaves nothing of it`() async throws {
    let fixture = try StoreFixture()
    let store = try SQLiteStore(path: fixture.path)
    let leader = try await store.lead()
    try await store.register(WorkerRegistration("worker"))
    try await store.add(SweepSubmission("a"), [.init("x"), .init("y", after: ["x"])], as: leader)
    let task = try #require(try await store.claim(["x"], by: "worker").first)
    // A kill leaves the files as they are at that moment: so does a copy of them.
    let copy = fixture.folder.appending(path: "copy.db").path
    let bytes = [UInt8](repeating: 7, count: 8 << 20)
    let result = TaskResult(
      artifacts: [Artifact(name: "a", bytes: bytes)], rows: [TableRow(.sae, ["name": "s", "layer": 1])])
    try await store.finish(
      [FinishedTask(lease: task.lease, result: result)], worker: WorkerID("worker"), dyingBefore: copy)
    #expect(try FileManager.default.attributesOfItem(atPath: copy + "-wal")[.size] as? Int ?? 0 > 4 << 20)
    let survivor = try SQLiteStore(path: copy)
    #expect(try await survivor.state(of: "x") == .running)
    #expect(try await survivor.state(of: "y") == .blocked)
    #expect(try await survivor.counts().artifacts == 0)
    #expect(try await survivor.table("SELECT count(*) FROM sae") == ["0"])
    #expect(
      try await survivor.finish([FinishedTask(lease: task.lease, result: result)], worker: WorkerID("worker")) == [
        .done
      ])
    #expect(try await survivor.state(of: "y") == .ready)
  }

  @Test func `a full disk is said, and nothing is half-written`() async throws {
    let fixture = try StoreFixture()
    let store = try SQLiteStore(path: fixture.path)
    let leader = try await store.lead()
    try await store.register(WorkerRegistration("worker"))
    try await store.add(SweepSubmission("a"), [.init("x")], as: leader)
    let task = try #require(try await store.claim(["x"], by: "worker").first)
    try await store.limit(pages: 400)
    let result = TaskResult(artifacts: [Artifact(name: "a", bytes: [UInt8](repeating: 7, count: 4 << 20))])
    await #expect {
      try await store.finish(task, by: "worker", result)
    } throws: { error in
      guard let error = error as? StoreError else { return false }
      return error.code == .full && error.isTransient
    }
    #expect(try await store.state(of: "x") == .running)
    #expect(try await store.counts().artifacts == 0)
    try await store.limit(pages: 1 << 30)
    #expect(try await store.finish(task, by: "worker", result) == .done)
  }

  @Test func `a database that stays locked is said`() async throws {
    let fixture = try StoreFixture()
    let store = try SQLiteStore(path: fixture.path)
    try await store.waitForLocks(milliseconds: 1)
    var other = try SQLiteConnection(path: fixture.path, access: .write(creating: false), busyTimeout: 0)
    try other.run("BEGIN IMMEDIATE")
    await #expect { try await store.submit(SweepSubmission("a")) } throws: { ($0 as? StoreError)?.code == .busy }
    // Readers don't wait for the writer.
    #expect(try await store.sweeps(in: nil).isEmpty)
    try other.run("ROLLBACK")
    _ = try await store.submit(SweepSubmission("a"))
  }

  @Test func `connections that claim at once never get the same task`() async throws {
    let fixture = try StoreFixture()
    let first = try SQLiteStore(path: fixture.path)
    let leader = try await first.lead()
    let names = (0..<60).map { "t\($0)" }
    try await first.add(SweepSubmission("a"), names.map { .init($0) }, as: leader)
    let ids = try await first.tasks(withKeys: names.map { .named($0) }).map(\.id)
    let outcomes = try await withThrowingTaskGroup(of: [(TaskID, FinishOutcome)].self) { group in
      for number in 0..<4 {
        let worker = WorkerID("w\(number)")
        group.addTask {
          let store = try SQLiteStore(path: fixture.path)
          try await store.register(WorkerRegistration(worker.text))
          var done: [(TaskID, FinishOutcome)] = []
          for start in stride(from: 0, to: ids.count, by: 5) {
            let claimed = try await store.claim(Array(ids[start..<start + 5]), worker: worker, for: 45)
            let row = TableRow(.sae, ["name": "s", "layer": 1])
            let finished = claimed.map { FinishedTask(lease: $0.lease, result: TaskResult(rows: [row])) }
            done += zip(claimed.map(\.lease.task), try await store.finish(finished, worker: worker))
          }
          return done
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    #expect(outcomes.count == ids.count)
    #expect(Set(outcomes.map(\.0)) == Set(ids))
    #expect(outcomes.allSatisfy { $0.1 == .done })
    #expect(try await first.table("SELECT count(*), count(DISTINCT task) FROM sae") == ["60|60"])
  }

  @Test func `a counter that a hand has changed is put right`() async throws {
    let fixture = try StoreFixture()
    let store = try SQLiteStore(path: fixture.path)
    let leader = try await store.lead()
    try await store.register(WorkerRegistration("worker"))
    try await store.add(SweepSubmission("a"), [.init("x"), .init("y", after: ["x"])], as: leader)
    var hand = try SQLiteConnection(path: fixture.path, access: .write(creating: false), busyTimeout: 1000)
    try hand.run("UPDATE task_group SET remaining = 2")
    try await store.run("x")
    #expect(try await store.state(of: "y") == .blocked)
    #expect(try await store.settleSweeps(as: leader).isEmpty)
    let corrections = try await store.recomputeCounters(as: leader)
    #expect(corrections.map(\.stored) == [1])
    #expect(corrections.map(\.counted) == [0])
    #expect(try await store.state(of: "y") == .ready)
    try await store.run("y")
    #expect(try await store.settleSweeps(as: leader).map(\.state) == [.done])
  }

  @Test func `damaged bytes of an artifact are seen`() async throws {
    let fixture = try StoreFixture()
    let store = try SQLiteStore(path: fixture.path)
    _ = try await store.submit(SweepSubmission("a", inputs: [[1, 2, 3]]))
    var hand = try SQLiteConnection(path: fixture.path, access: .write(creating: false), busyTimeout: 1000)
    try hand.run("UPDATE artifact_chunk SET bytes = x'010204'")
    await #expect { try await store.artifact(Digest(of: [1, 2, 3])) } throws: { ($0 as? StoreError)?.code == .damaged }
  }

  @Test func `a query can't reach other files, settings or extensions`() async throws {
    let fixture = try StoreFixture()
    let store = try SQLiteStore(path: fixture.path)
    let elsewhere = fixture.folder.appending(path: "elsewhere.db").path
    let refused = [
      "ATTACH '\(elsewhere)' AS e", "VACUUM", "VACUUM INTO '\(elsewhere)'", "PRAGMA query_only = OFF",
      "PRAGMA journal_mode = DELETE", "PRAGMA writable_schema = ON", "SELECT load_extension('\(elsewhere)')",
      "SELECT hex(randomblob(1000000000))", "UPDATE sqlite_master SET name = 'a'", "ANALYZE", "SAVEPOINT a",
      "DETACH main",
    ]
    for sql in refused {
      await #expect(throws: InputError.self, "\(sql)") { try await store.query(sql, limits: QueryLimits(seconds: 5)) }
    }
    #expect(!FileManager.default.fileExists(atPath: elsewhere))
    #expect(try await store.table("SELECT name FROM pragma_table_info('leader') ORDER BY cid").first == "place")
    #expect(try await store.table("PRAGMA table_info(leader)").count == 4)
  }
}

extension SQLiteStore {
  /// The settings that durability and references rest on.
  fileprivate func settings() throws -> [String] {
    try ["journal_mode", "synchronous", "foreign_keys"].map { name in
      try connection.first("PRAGMA \(name)") { $0.text(0) } ?? ""
    }
  }

  /// A disk with room for so many pages.
  fileprivate func limit(pages: Int) throws {
    _ = try connection.first("PRAGMA max_page_count = \(pages)") { $0.integer(0) }
  }

  fileprivate func waitForLocks(milliseconds: Int) throws {
    _ = try connection.first("PRAGMA busy_timeout = \(milliseconds)") { $0.integer(0) }
  }

  /// Finishes as usual, but copies the files where the commit would come, and then gives up.
  fileprivate func finish(_ finished: [FinishedTask], worker: WorkerID, dyingBefore copy: String) throws {
    struct Killed: Error {}
    // With little cache, pages go to the write-ahead log before the commit, as those of large transactions do.
    _ = try connection.first("PRAGMA cache_size = 10") { $0.integer(0) }
    do {
      try writing { db, now in
        for task in finished {
          let digests = task.result.artifacts.map { Digest(of: $0.bytes) }
          _ = try finish(task, digests: digests, worker: worker, now: now, &db)
        }
        for suffix in ["", "-wal"] { try FileManager.default.copyItem(atPath: path + suffix, toPath: copy + suffix) }
        throw Killed()
      }
    } catch is Killed {}
  }
}
