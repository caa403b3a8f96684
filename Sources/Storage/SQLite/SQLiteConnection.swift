internal import CSQLite

/// A connection to a SQLite file, and the statements prepared on it. For one thread at a time; closed when it goes.
struct SQLiteConnection: ~Copyable {
  enum Access {
    /// To write; with `creating` a missing file is made.
    case write(creating: Bool)
    case read
  }

  /// Milliseconds to wait for another process's lock, where nobody says otherwise.
  static let busyTimeout: Int32 = 30_000

  private let handle: OpaquePointer
  /// Statements that are kept: their texts are constants of this module.
  private var prepared: [String: OpaquePointer] = [:]

  /// Opens a file. Throws `SQLiteFailure`.
  init(path: String, access: Access, busyTimeout milliseconds: Int32) throws {
    let flags =
      switch access {
      case .write(creating: true): SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
      case .write(creating: false): SQLITE_OPEN_READWRITE
      case .read: SQLITE_OPEN_READONLY
      }
    var opened: OpaquePointer?
    let code = sqlite3_open_v2(
      path, &opened, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE, nil)
    guard code == SQLITE_OK, let opened else {
      let failure = SQLiteFailure(
        code: code, message: opened.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory")
      sqlite3_close_v2(opened)
      throw failure
    }
    handle = opened
    sqlite3_busy_timeout(opened, milliseconds)
  }

  deinit {
    for statement in prepared.values { sqlite3_finalize(statement) }
    sqlite3_close_v2(handle)
  }

  /// The connection itself, for what only C offers; not to be kept.
  func withHandle<T>(_ body: (OpaquePointer) throws -> T) rethrows -> T { try body(handle) }

  /// Whether no transaction is open.
  var isIdle: Bool { sqlite3_get_autocommit(handle) != 0 }

  /// A kept statement, ready to bind. The text must be one of few: a constant.
  private mutating func statement(_ sql: String) throws -> SQLiteStatement {
    if let known = prepared[sql] {
      // One that is being stepped can't be shared: take another for this time.
      if sqlite3_stmt_busy(known) == 0 { return SQLiteStatement(borrowing: known, of: handle) }
      var rest = ""
      return try SQLiteStatement(preparing: sql, on: handle, rest: &rest)
    }
    let made = try SQLiteStatement.prepare(sql, on: handle, persistent: true)
    prepared[sql] = made.pointer
    return SQLiteStatement(borrowing: made.pointer, of: handle)
  }

  /// Runs a statement that returns nothing; the number of rows that it changed.
  @discardableResult
  mutating func run(_ sql: String, _ values: SQLValue...) throws -> Int { try run(sql, values: values) }

  /// Runs a statement that returns nothing; the number of rows that it changed.
  @discardableResult
  mutating func run(_ sql: String, values: [SQLValue]) throws -> Int {
    var statement = try statement(sql)
    try statement.bind(values)
    while try statement.step() {}
    return Int(sqlite3_changes64(handle))
  }

  /// All rows of a statement.
  mutating func rows<T>(
    _ sql: String, _ values: SQLValue..., read: (borrowing SQLiteStatement) throws -> T
  ) throws -> [T] {
    var statement = try statement(sql)
    try statement.bind(values)
    var found: [T] = []
    while try statement.step() { found.append(try read(statement)) }
    return found
  }

  /// The first row of a statement, which runs to its end all the same.
  mutating func first<T>(
    _ sql: String, _ values: SQLValue..., read: (borrowing SQLiteStatement) throws -> T
  ) throws -> T? {
    var statement = try statement(sql)
    try statement.bind(values)
    var found: T?
    while try statement.step() { if found == nil { found = try read(statement) } }
    return found
  }

  /// Whether a statement returns a row.
  mutating func exists(_ sql: String, _ values: SQLValue...) throws -> Bool {
    var statement = try statement(sql)
    try statement.bind(values)
    return try statement.step()
  }

  /// Runs a text of several statements.
  func execute(_ sql: String) throws {
    let code = sqlite3_exec(handle, sql, nil, nil, nil)
    if code != SQLITE_OK { throw SQLiteFailure(code: code, on: handle) }
  }

  /// Runs a write transaction: it begins with the lock, and is rolled back when the body throws.
  mutating func write<T>(_ body: (inout SQLiteConnection) throws -> T) throws -> T {
    try transaction("BEGIN IMMEDIATE", body)
  }

  /// Runs several reads on one state of the database.
  mutating func read<T>(_ body: (inout SQLiteConnection) throws -> T) throws -> T {
    try transaction("BEGIN DEFERRED", body)
  }

  private mutating func transaction<T>(_ begin: String, _ body: (inout SQLiteConnection) throws -> T) throws -> T {
    try run(begin)
    do {
      let value = try body(&self)
      try run("COMMIT")
      return value
    } catch {
      // Some failures (a full disk) have rolled back already.
      if !isIdle { _ = try? run("ROLLBACK") }
      throw error
    }
  }
}
