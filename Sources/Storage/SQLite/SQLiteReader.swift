internal import CSQLite
internal import Diagnostics
internal import SweepRecords

/// Runs people's SQL on a connection of its own that can't write, while the store goes on with its work.
actor SQLiteReader {
  private let path: String
  /// Opened by the first query.
  private var connection: SQLiteConnection?
  private nonisolated let executor = BlockingExecutor(label: "steerscope.sqlite")
  nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  init(path: String) { self.path = path }

  /// Runs one reading statement.
  func query(_ sql: String, limits: QueryLimits) throws -> QueryResult {
    do {
      if connection == nil { connection = try Self.open(path) }
      let deadline = QueryDeadline(seconds: limits.seconds)
      let answer = try connection?.withHandle { handle in
        try withExtendedLifetime(deadline) {
          Self.interrupt(handle, at: deadline)
          defer { sqlite3_progress_handler(handle, 0, nil, nil) }
          return try Self.run(sql, on: handle, rows: limits.rows)
        }
      }
      guard let answer else { throw StoreError(.internal, "\(path): the reading connection is gone") }
      return answer
    } catch let failure as SQLiteFailure {
      throw Self.error(failure, path: path, limits: limits)
    }
  }

  private static func open(_ path: String) throws -> SQLiteConnection {
    let connection = try SQLiteConnection(path: path, access: .read, busyTimeout: SQLiteConnection.busyTimeout)
    try connection.execute("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF")
    connection.withHandle { handle in
      denyAllButReading(handle)
      // No text or blob larger than this: a query must not take the machine's memory.
      sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, 1 << 27)
    }
    return connection
  }

  private static func run(_ sql: String, on handle: OpaquePointer, rows limit: Int) throws -> QueryResult {
    var rest = ""
    var statement = try SQLiteStatement(preparing: sql, on: handle, rest: &rest)
    guard try Self.isEmpty(rest, on: handle) else {
      throw InputError("query", expected: "one statement", found: "more after the first", remedy: "run them one by one")
    }
    guard statement.isReadOnly else { throw Self.refusal("a statement that writes") }
    let columns = statement.columns
    guard !columns.isEmpty else { throw Self.refusal("a statement without a result") }
    var rows: [[Cell]] = []
    while try statement.step() {
      if rows.count >= limit { return QueryResult(columns: columns, rows: rows, isTruncated: true) }
      rows.append(columns.indices.map { statement.cell(Int32($0)) })
    }
    return QueryResult(columns: columns, rows: rows, isTruncated: false)
  }

  /// Whether only white space, comments and semicolons are left.
  private static func isEmpty(_ text: String, on handle: OpaquePointer) throws -> Bool {
    var rest = text
    while rest.utf8.contains(where: { $0 != 0x20 && $0 != 0x0A && $0 != 0x0D && $0 != 0x09 && $0 != 0x3B }) {
      var pointer: OpaquePointer?
      let utf8 = rest.utf8CString
      let (code, used) = utf8.withUnsafeBufferPointer { text -> (Int32, Int) in
        var tail: UnsafePointer<CChar>?
        let code = sqlite3_prepare_v2(handle, text.baseAddress, Int32(clamping: text.count), &pointer, &tail)
        guard let tail, let base = text.baseAddress else { return (code, text.count - 1) }
        return (code, tail - base)
      }
      sqlite3_finalize(pointer)
      if code != SQLITE_OK || pointer != nil { return false }
      if used == 0 { return true }
      rest = String(decoding: rest.utf8.dropFirst(used), as: UTF8.self)
    }
    return true
  }

  private static func refusal(_ found: String) -> InputError {
    InputError("query", expected: "SQL that reads", found: found, remedy: "begin with SELECT or WITH")
  }

  private static func error(_ failure: SQLiteFailure, path: String, limits: QueryLimits) -> any Error {
    switch failure.primary {
    case SQLITE_INTERRUPT:
      InputError(
        "query", expected: "an answer within \(limits.seconds) s", found: "none yet",
        remedy: "narrow it down, for example to one sweep")
    case SQLITE_AUTH, SQLITE_READONLY: refusal(failure.message)
    case SQLITE_ERROR, SQLITE_RANGE, SQLITE_TOOBIG, SQLITE_MISMATCH, SQLITE_NOMEM:
      InputError(
        "query", expected: "SQL that SQLite understands", found: failure.message,
        remedy: "tables and views are listed by: SELECT name, sql FROM sqlite_schema")
    default: failure.asStoreError(path: path)
    }
  }
}

/// The time at which a query is interrupted.
private final class QueryDeadline: Sendable {
  let end: ContinuousClock.Instant
  init(seconds: Double) { end = .now + .milliseconds(Int64(min(max(seconds, 0), 1e9) * 1000)) }
}

extension SQLiteReader {
  /// Refuses all that is not reading: attached files, settings, extensions, writes of any kind.
  private static func denyAllButReading(_ handle: OpaquePointer) {
    _ = sqlite3_set_authorizer(
      handle,
      { _, action, first, second, _, _ in
        switch action {
        case SQLITE_SELECT, SQLITE_READ, SQLITE_RECURSIVE: return SQLITE_OK
        case SQLITE_FUNCTION:
          return second.map { String(cString: $0) } == "load_extension" ? SQLITE_DENY : SQLITE_OK
        case SQLITE_UPDATE:
          // SQLite asks for this when it sets up `pragma_table_info()` and its kind; nothing is written.
          return first.map { String(cString: $0) } == "sqlite_master" ? SQLITE_OK : SQLITE_DENY
        case SQLITE_PRAGMA:
          // Those that describe tables, and change nothing.
          let readable = ["table_info", "table_xinfo", "table_list", "index_list", "index_info", "foreign_key_list"]
          return first.map { readable.contains(String(cString: $0).lowercased()) } == true ? SQLITE_OK : SQLITE_DENY
        default: return SQLITE_DENY
        }
      }, nil)
  }

  /// Interrupts what runs at the deadline, which must outlive it.
  private static func interrupt(_ handle: OpaquePointer, at deadline: QueryDeadline) {
    sqlite3_progress_handler(
      handle, 10_000,
      { context in
        guard let context else { return 0 }
        return ContinuousClock.now >= Unmanaged<QueryDeadline>.fromOpaque(context).takeUnretainedValue().end ? 1 : 0
      }, Unmanaged.passUnretained(deadline).toOpaque())
  }
}
