import Diagnostics
import Foundation
import SweepRecords
import TestServers
import Testing

@testable import Storage

/// People's SQL, as a superuser even: it reads tables, and nothing else.
@Suite struct PostgreSQLQueryTests {
  @Test func `a query can't reach files, settings, other servers or sessions`() async throws {
    let fixture = try await StoreFixture(.postgresql)
    let store = try fixture.open()
    _ = try await store.submit(SweepSubmission("a"))
    let path = fixture.folder.appending(path: "out").path
    let refused = [
      "COPY sweep TO '\(path)'", "COPY (SELECT 1) TO PROGRAM 'touch \(path)'", "COPY sweep FROM '/etc/passwd'",
      "SELECT pg_read_file('/etc/passwd')", "SELECT \"pg_read_file\"('/etc/passwd')",
      "SELECT U&\"pg\\005fread_file\"('/etc/passwd')", "SELECT pg_catalog . /* */ pg_read_binary_file('/etc/passwd')",
      "SELECT PG_LS_DIR('/')", "SELECT lo_import('/etc/passwd')", "SELECT lo_export(1, '\(path)')",
      "SELECT set_config('transaction_read_only', 'off', false)", "SELECT set_config('role', 'none', true)",
      "SELECT query_to_xml('SELECT 1', true, true, '')", "SELECT ('x').set_config",
      "SELECT * FROM ts_stat('SELECT 1::text::tsvector')", "SELECT pg_terminate_backend(1)", "SELECT pg_sleep(100)",
      "SELECT nextval('task_id_seq')", "SELECT * FROM dblink('', '') AS t (a int)", "SELECT * FROM pg_authid",
      "SET ROLE none", "RESET ROLE", "SET SESSION AUTHORIZATION DEFAULT", "DO $$ BEGIN END $$", "CALL x()",
      "LOCK TABLE sweep", "SELECT * FROM sweep FOR UPDATE", "SELECT 1 INTO t", "LISTEN a", "NOTIFY a", "VACUUM",
      "PREPARE a AS SELECT 1", "EXECUTE a", "DISCARD ALL", "SHOW data_directory", "CHECKPOINT", "LOAD 'plpgsql'",
      "SELECT $1", "SELECT 1 FROM nothing", "SELECT 1/0", "SELECT 'a'::int", "COMMIT",
      "SELECT 1; COMMIT; DROP TABLE sweep",
      "WITH a AS (INSERT INTO sweep_task VALUES (1, 1) RETURNING 1) SELECT * FROM a", "SELECT pg_advisory_lock(1)",
      "SELECT repeat('x', 140000000)", "SELECT 1 WHERE true) SELECT (2", "CLOSE answer", "FETCH ALL FROM answer",
    ]
    for sql in refused {
      await #expect(throws: InputError.self, "\(sql)") { try await store.query(sql, limits: QueryLimits(seconds: 20)) }
    }
    #expect(!FileManager.default.fileExists(atPath: path))
    #expect(try await store.table("SELECT count(*) FROM sweep") == ["1"])
    #expect(try await store.table("SELECT current_setting('transaction_read_only')") == ["on"])
  }

  @Test func `what a query returns is shown as it is`() async throws {
    let store = try await StoreFixture(.postgresql).open()
    let result = try await store.query(
      """
      SELECT 1::smallint AS a, 2::bigint AS b, 0.5::float4 AS c, 'NaN'::float8 AS d, 'Infinity'::float8 AS e, 1.5::numeric
        AS f, 9::numeric AS g, true AS h, '\\x0102'::bytea AS i, to_timestamp(0) AS j, ARRAY[1, 2] AS k, '' AS l,
        99999999999999999999::numeric AS m
      """, limits: QueryLimits())
    #expect(
      result.rows == [[1, 2, 0.5, .null, .null, 1.5, 9, 1, "(2 bytes)", "1970-01-01T00:00:00Z", "{1,2}", "", 1e20]])
    #expect(try await store.query("TABLE sweep", limits: QueryLimits()).rows.isEmpty)
    #expect(try await store.query("VALUES (1), (2)", limits: QueryLimits(rows: 0)).isTruncated)
    #expect(try await store.query("SELECT FROM sweep", limits: QueryLimits()).columns.isEmpty)
    // Names that only look like what is forbidden.
    #expect(try await store.table("SELECT 1 AS hello_lo_x, 2 AS my_dblink") == ["1|2"])
  }

  @Test func `time is bounded, whatever the query does`() async throws {
    let store = try await StoreFixture(.postgresql).open()
    let slow = [
      "SELECT count(*) FROM generate_series(1, 1000000000) a",
      "SELECT * FROM generate_series(1, 3) a, LATERAL (SELECT count(*) FROM generate_series(1, 1000000000 + a)) b",
    ]
    for sql in slow {
      let error = await #expect(throws: InputError.self) {
        try await store.query(sql, limits: QueryLimits(seconds: 0.1))
      }
      #expect(error?.expected.contains("0.1 s") == true)
    }
    #expect(try await store.table("SELECT 1") == ["1"])
  }
}
