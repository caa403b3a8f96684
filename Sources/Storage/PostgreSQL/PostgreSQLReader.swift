internal import Diagnostics
internal import Foundation
internal import SweepRecords

/// Runs people's SQL on a connection of its own that can't write, while the store goes on with its work.
///
/// What it may do is bounded four times over. The server is sent one statement of the extended protocol, and as a
/// cursor's: only what the parser takes for a query passes, no `COPY`, `DO`, `SET` or `COMMIT`. The transaction is READ
/// ONLY. It runs as `steerscope_reader` where the connected role may become that. And because a function could undo the
/// last two, or reach files, other servers and other sessions, where the connected role is a mighty one, a query that
/// so much as mentions such a function is refused.
struct PostgreSQLReader: Sendable {
  private let session: PostgreSQLSession

  init(_ session: PostgreSQLSession) { self.session = session }

  func close() async { await session.close() }

  /// Bytes of text that an answer may have.
  private static let mostBytes = 1 << 27

  /// Runs one reading statement.
  func query(_ sql: String, limits: QueryLimits) async throws -> QueryResult {
    try Self.requireHarmless(sql)
    return try await session.perform { db in
      do {
        return try Self.run(sql, limits: limits, on: db)
      } catch let failure as PostgreSQLFailure {
        throw Self.error(failure, limits) ?? failure
      }
    }
  }

  private static func run(_ sql: String, limits: QueryLimits, on db: PostgreSQLConnection) throws -> QueryResult {
    let end = ContinuousClock.now + .milliseconds(Int64(min(max(limits.seconds, 0), 1e9) * 1000))
    var timeout: String {
      let left = ContinuousClock.now.duration(to: end).components
      let milliseconds = left.seconds * 1000 + left.attoseconds / 1_000_000_000_000_000
      return "SET LOCAL statement_timeout = \(max(1, min(milliseconds, 2_000_000_000)))"
    }
    return try db.readOnly(as: try role(on: db), settings: timeout) { db in
      db.allow(.seconds(min(max(limits.seconds, 0), 1e9) + 20))
      try db.once("DECLARE answer NO SCROLL CURSOR FOR \(sql)")
      // As a rule the beginning takes no time to speak of.
      if ContinuousClock.now + .seconds(limits.seconds * 0.9) > end { try db.once(timeout) }
      let most = max(0, min(limits.rows, Int(Int32.max) - 1))
      var rows: [[Cell]] = []
      var bytes = 0
      let columns = try db.stream("FETCH FORWARD \(most + 1) FROM answer") { row in
        bytes += row.size
        guard bytes <= mostBytes else { throw tooLarge }
        rows.append((0..<row.width).map { row.cell($0) })
      }
      let isTruncated = rows.count > most
      if isTruncated { rows.removeLast() }
      return QueryResult(columns: columns, rows: rows, isTruncated: isTruncated)
    }
  }

  /// The reader's role where the connected one may become that, and where it may read.
  private static func role(on db: PostgreSQLConnection) throws -> String? {
    let isThere = try db.exists(
      """
      SELECT 1 FROM pg_roles WHERE rolname = 'steerscope_reader' AND pg_has_role(current_user, oid, 'MEMBER')
        AND has_schema_privilege(oid, 'steerscope', 'USAGE')
      """)
    return isThere ? "steerscope_reader" : nil
  }

  private static var tooLarge: InputError {
    InputError(
      "query", expected: "an answer of at most \(mostBytes >> 20) MiB", found: "more",
      remedy: "ask for fewer rows or columns")
  }
}

extension PostgreSQLReader {
  /// Beginnings of names that a query has no business with: settings and SQL in a text (which undo what bounds it),
  /// files, large objects, other servers, other sessions and their locks, secrets, the server itself.
  private static let forbidden = [
    "set_config", "query_to_xml", "cursor_to_xml", "table_to_xml", "schema_to_xml", "database_to_xml", "ts_stat",
    "ts_rewrite", "pg_read_", "pg_ls_", "pg_stat_file", "pg_file_", "pg_current_logfile", "pg_logfile", "lo_",
    "loread", "lowrite", "pg_largeobject", "dblink", "postgres_fdw", "file_fdw", "pg_terminate_", "pg_cancel_",
    "pg_reload_", "pg_rotate_", "pg_promote", "pg_switch_", "pg_create_", "pg_drop_", "pg_copy_", "pg_backup",
    "pg_start_", "pg_stop_", "pg_wal_replay", "pg_logical_", "pg_replication_", "pg_export_snapshot", "pg_advisory_",
    "pg_try_advisory", "pg_notify", "pg_import_", "pg_log_backend", "pg_authid", "pg_shadow", "pg_user_mapping",
    "pg_hba_file", "pg_file_settings", "pg_ident_file", "setval", "nextval", "pg_sleep", "binary_upgrade",
    "pg_stat_reset", "txid_current", "pg_current_xact", "brin_", "gin_clean", "pg_config", "pg_execute_",
  ]

  /// Throws for a text that the server must not even see.
  private static func requireHarmless(_ sql: String) throws {
    if sql.utf8.contains(0) { throw refusal("a NUL character") }
    let text = sql.lowercased()
    // An identifier in escapes (U&"...") would hide its name.
    if text.contains("u&\"") { throw refusal("an identifier in escapes") }
    for name in forbidden where Self.mentions(name, in: text) { throw refusal("\(name)...") }
  }

  /// Whether a name that begins so stands in the text: not as the tail of another.
  private static func mentions(_ name: String, in text: String) -> Bool {
    text.ranges(of: name).contains { range in
      guard range.lowerBound > text.startIndex else { return true }
      let before = text[text.index(before: range.lowerBound)]
      return !(before.isLetter || before.isNumber || before == "_" || before == "$")
    }
  }

  private static func refusal(_ found: String) -> InputError {
    InputError("query", expected: "SQL that reads tables and views", found: found, remedy: "begin with SELECT or WITH")
  }

  /// What a failure means to whoever wrote the query; nil where it is not the query's.
  private static func error(_ failure: PostgreSQLFailure, _ limits: QueryLimits) -> InputError? {
    if failure.isLost { return nil }
    switch failure.state {
    case "57014":
      return InputError(
        "query", expected: "an answer within \(limits.seconds) s", found: "none yet",
        remedy: "narrow it down, for example to one sweep")
    case "25006", "0A000": return refusal(failure.message)
    case "42501":
      return InputError(
        "query", expected: "tables and views that steerscope_reader may read", found: failure.message,
        remedy: "views are listed by: SELECT viewname FROM pg_views WHERE schemaname = 'steerscope'")
    default: break
    }
    // A parameter ($1) has no value: that is a breach of the protocol to the server.
    let connection = ["08", "57", "53", "58", "XX", "40", "55"].contains(String(failure.state.prefix(2)))
    if failure.state != "08P01", connection || failure.state.isEmpty { return nil }
    return InputError(
      "query", expected: "one SQL query that PostgreSQL understands", found: failure.message,
      remedy:
        "tables and views are listed by: SELECT table_name FROM information_schema.tables WHERE table_schema = 'steerscope'"
    )
  }
}
