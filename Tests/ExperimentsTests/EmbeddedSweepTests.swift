import Diagnostics
import Experiments
import Foundation
import Kernels
import Orchestration
import Reporting
import Storage
import SweepPlanning
import SweepRecords
import Synchronization
import Testing

@testable import steerscope

/// The tiny sweep through coordinator, queue, worker and SQLite, as `steerscope run` does it.
struct EmbeddedSweepTests {
  let sweep: TinySweep
  let outcomes: Outcomes

  init() throws { (sweep, outcomes) = try TinySweep.standard.get() }

  @Test func theSameRowsAsDirectly() async throws {
    let database = try Database()
    let id = try await database.store.submit(try sweep.files.submission()).id
    let executor = CountingExecutor()
    #expect(try await database.run(id, executor) == .done)
    #expect(executor.count == sweep.tasks.count)
    try await expectSameRows(in: database)

    let again = CountingExecutor()
    #expect(try await database.run(id, again) == .done)
    #expect(again.count == 0)
    #expect(try await database.store.submit(try sweep.files.submission()).isNew == false)

    try await expectViews(database.store)
    let data = try await ReportData(reading: database.store, sweep: id)
    #expect(Verdict(data).text().contains(TinySweep.behaviour))
    let page = HTMLReport(data, programVersion: "test").render()
    #expect(page.contains(TinySweep.behaviour) && page.contains("gradient-pursuit-signed") && page.contains("</html>"))
  }

  @Test func interruptedAndTakenUpAgain() async throws {
    let database = try Database()
    let id = try await database.store.submit(try sweep.files.submission()).id
    let first = CountingExecutor(blockingAt: 30)
    let run = try database.embedded(id, first)
    let outcome = Task { try await run.run() }
    await first.arrival()
    await run.stop()
    await run.stop()
    first.open()
    #expect(try await outcome.value == .interrupted)
    #expect(first.count == 30)
    let done = try await database.rows("SELECT count(*) AS n FROM task WHERE state = 'done'")
    let second = CountingExecutor()
    #expect(try await database.run(id, second) == .done)
    #expect(done == ["n=\(Double(sweep.tasks.count - second.count))"])
    // Tasks that were done but not yet stored when the run was stopped are done again.
    #expect(second.count < sweep.tasks.count && first.count + second.count >= sweep.tasks.count)
    try await expectSameRows(in: database)
  }

  /// Every row and artifact of the database is what the executor made, called directly.
  private func expectSameRows(in database: Database) async throws {
    for table in ResultTable.allCases {
      let stored = try await database.rows(
        "SELECT t.key AS the_key, r.* FROM \(table.rawValue) r JOIN task t ON t.id = r.task")
      let columns = try await database.store.query("SELECT * FROM \(table.rawValue) LIMIT 1", limits: QueryLimits())
        .columns.filter { $0 != "task" }
      let made = outcomes.flatMap { key, outcome in
        outcome.rows(of: table).map { row in
          var cells = Dictionary(uniqueKeysWithValues: columns.map { ($0, Cell.null) })
          cells.merge(row.cells) { $1 }
          cells["the_key"] = .text(key.hex)
          return TableRow(table, cells).line
        }
      }
      let same = stored == made.sorted()
      #expect(same && !stored.isEmpty, "\(table.rawValue)")
    }
    let artifacts = try await database.rows(
      "SELECT t.key AS the_key, a.name, a.artifact FROM task_artifact a JOIN task t ON t.id = a.task")
    let made = outcomes.flatMap { key, outcome in
      outcome.artifacts.map { name, bytes in
        "artifact=\(Digest(of: bytes).hex)|name=\(name)|the_key=\(key.hex)"
      }
    }
    let same = artifacts == made.sorted()
    #expect(same)
  }

  private func expectViews(_ store: SQLiteStore) async throws {
    let layers = TinySweep.layers.count
    let steered = TinySweep.methods.reduce(0) { sum, method in
      sum + (DecompositionNaming.isPursuit(method) ? 1 : 2)
    }
    let untrained = 3
    // original, three controls, zero vector and error in both norms, reconstructions in both norms.
    let variants = 1 + 3 + 2 + 2 + 2 * steered + 2 * untrained
    let saes = 2
    let counts = [
      "steering_curve": layers * variants * TinySweep.coefficients.count, "steerability": layers * variants,
      "faithfulness": layers * 2 * steered, "best_method": layers * steered, "bias_dominance": layers * saes,
      "negative_projections": layers * saes,
    ]
    for (view, count) in counts {
      let result = try await store.query("SELECT * FROM \(view)", limits: QueryLimits())
      #expect(result.rows.count == count, "\(view)")
    }
    // Every reconstruction finds its decomposition, and the original steers enough to compare with.
    let incomplete = try await store.query(
      "SELECT count(*) FROM faithfulness WHERE relative_error IS NULL OR faithfulness IS NULL", limits: QueryLimits())
    #expect(incomplete.rows == [[.integer(0)]])
  }
}

/// A database in a folder that goes away with it.
private final class Database: Sendable {
  let folder: URL
  let store: SQLiteStore

  init() throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "steerscope-embedded-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    store = try SQLiteStore(path: folder.appending(path: "sweeps.db").path)
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  func embedded(_ sweep: SweepID, _ executor: CountingExecutor) throws -> EmbeddedRun {
    EmbeddedRun(
      sweep, lock: try RunLock(database: store.path),
      worker: WorkerRegistration(
        id: WorkerID("worker-\(UUID().uuidString)"), host: "here", process: 1, version: "test",
        numericsVersion: numericsVersion, cpu: "any", threads: 1),
      store: store, executor: executor, expander: SweepPlanExpander(),
      files: LocalFiles(
        folder: nil,
        digests: DigestMemory(file: nil) { path throws(InputError) in try ContentDigest.of(path: path) }))
  }

  func run(_ sweep: SweepID, _ executor: CountingExecutor) async throws -> EmbeddedRun.Outcome {
    try await embedded(sweep, executor).run()
  }

  /// Rows of a query in words, sorted, without the numbers of tasks.
  func rows(_ sql: String) async throws -> [String] {
    let result = try await store.query(sql, limits: QueryLimits())
    #expect(!result.isTruncated)
    return result.rows.map { row in
      let cells = zip(result.columns, row).filter { $0.0 != "task" }
      return TableRow(.evaluation, Dictionary(uniqueKeysWithValues: cells.map { ($0.0, $0.1) })).line
    }.sorted()
  }
}

/// The executor, counting what it is asked for; holds one task up until it is let go on.
private final class CountingExecutor: TaskExecutor {
  private let executor = ExperimentExecutor(pool: ThreadPool(threads: 1))
  private let calls = Mutex(0)
  private let blockingAt: Int
  private let gate = DispatchSemaphore(value: 0)
  private let arrivals = AsyncStream<Void>.makeStream()

  init(blockingAt: Int = .max) { self.blockingAt = blockingAt }

  var count: Int { calls.withLock { $0 } }

  func open() { gate.signal() }

  func arrival() async { for await _ in arrivals.stream { return } }

  func execute(_ work: TaskWork, inputs: TaskInputs, monitor: any TaskMonitor) throws(TaskFault) -> TaskResult {
    let call = calls.withLock { calls in
      calls += 1
      return calls
    }
    if call == blockingAt {
      arrivals.continuation.yield()
      gate.wait()
    }
    return try executor.execute(work, inputs: inputs, monitor: monitor)
  }
}
