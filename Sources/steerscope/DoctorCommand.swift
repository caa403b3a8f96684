internal import ArgumentParser
internal import Diagnostics
internal import Foundation
internal import Kernels
internal import Messaging
internal import Processor
internal import Storage
internal import SweepRecords
internal import Synchronization

/// `doctor`: whether this machine can do the work.
struct DoctorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "Checks CPU, memory, disk, database and broker: each line ok, or what to do.")

  func run() async throws {
    var healthy = true
    func line(_ name: String, _ problem: String?, _ good: String) {
      Terminal.result("\(name): \(problem ?? "ok, \(good)")\n")
      if problem != nil { healthy = false }
    }
    line("version", nil, Version.text)
    line("CPU", CPUFeatures.complaint, "\(CPUFeatures.level), \(ThreadPool.hardwareThreads) threads")
    let memory = ProcessInfo.processInfo.physicalMemory >> 20
    line("memory", memory < 2048 ? "\(memory) MiB: the example needs 2 GiB" : nil, "\(memory) MiB")
    line("disk", diskProblem(), "room for results in the working folder")
    do {
      let folder = try Settings.filesFolder()
      line("files", filesProblem(folder), folder ?? "STEERSCOPE_FILES is not set; paths are relative to sweep files")
    } catch { line("files", "\(error)", "") }
    do { line("database", nil, try await database()) } catch { line("database", "\(error)", "") }
    do { line("broker", nil, try await broker()) } catch { line("broker", "\(error)", "") }
    if !healthy { throw ExitCode.failure }
  }

  /// Where the database is, what it is, and what we may do there.
  private func database() async throws -> String {
    guard case .postgresql(let uri) = try Settings.database() else {
      let path = try OpenStore.path()
      guard FileManager.default.fileExists(atPath: path) else { return "\(path) will be made by the first run" }
      return "\(path), schema version \(try await OpenStore.file().schemaVersion())"
    }
    let store = try PostgreSQLStore(uri: uri)
    try await store.connect()
    let reply = try await store.query(
      """
      SELECT current_setting('server_version'), session_user::text,
        has_table_privilege(session_user, 'sweep', 'INSERT')::int, has_any_column_privilege(session_user, 'task_attempt', 'INSERT')::int,
        has_table_privilege(session_user, 'evaluation', 'SELECT')::int
      """, limits: QueryLimits(rows: 1, seconds: 10))
    guard let row = reply.rows.first, row.count == 5, case .text(let version) = row[0], case .text(let user) = row[1]
    else { throw StoreError(.internal, "\(store.address) gave no answer about itself") }
    let rights = zip(["submits and leads", "works", "reads"], row[2...]).filter { $1 == .integer(1) }.map(\.0)
    let may =
      rights.isEmpty ? "may do nothing: grant it a role of ops/postgres/roles.sql" : rights.joined(separator: ", ")
    let schema = try await store.schemaVersion()
    return "\(store.address), PostgreSQL \(version), schema version \(schema), user \(user) \(may)"
  }

  /// Where the broker is and what waits there.
  private func broker() async throws -> String {
    guard let settings = try Settings.broker() else { return "STEERSCOPE_BROKER is not set; only a cluster needs one" }
    let greeting = Mutex("")
    let queue = AMQPQueue(settings) { event in
      if case .connected(_, let broker) = event { greeting.withLock { $0 = broker } }
    }
    do {
      let letters = try await queue.deadLetterCount()
      await queue.close()
      let dead =
        letters == 0 ? "no dead letters" : "\(letters) dead letters: look at them in \(settings.queuePrefix).dead"
      return "\(settings), \(greeting.withLock { $0 }), \(dead)"
    } catch {
      await queue.close()
      let remedy =
        greeting.withLock { $0.isEmpty }
        ? "start the broker, or mend STEERSCOPE_BROKER" : "start `steerscope coordinator`, which declares the queues"
      throw InputError("\(settings)", expected: "a broker with our queues", found: error.message, remedy: remedy)
    }
  }

  private func diskProblem() -> String? {
    let attributes = try? FileManager.default.attributesOfFileSystem(forPath: ".")
    let free = (attributes?[.systemFreeSize] as? NSNumber)?.int64Value ?? 0
    return free < 1 << 30 ? "\(free >> 20) MiB free in the working folder: a sweep wants 1 GiB" : nil
  }

  private func filesProblem(_ folder: String?) -> String? {
    guard let folder else { return nil }
    var isDirectory: ObjCBool = false
    let exists = FileManager.default.fileExists(atPath: folder, isDirectory: &isDirectory)
    return exists && isDirectory.boolValue ? nil : "STEERSCOPE_FILES is \(folder), which is no folder: make or mend it"
  }
}
