internal import CSQLite
internal import SweepRecords

/// A value bound to a statement.
enum SQLValue: ExpressibleByIntegerLiteral, ExpressibleByStringLiteral, ExpressibleByNilLiteral {
  case null
  case integer(Int64)
  case real(Double)
  case text(String)
  case blob(ArraySlice<UInt8>)

  init(integerLiteral value: Int64) { self = .integer(value) }
  init(stringLiteral value: String) { self = .text(value) }
  init(nilLiteral: ()) { self = .null }
  init(_ value: Int?) { self = value.map { .integer(Int64($0)) } ?? .null }
  init(_ value: Int64) { self = .integer(value) }
  init(_ value: Double?) { self = value.map { .real($0) } ?? .null }
  init(_ value: String?) { self = value.map { .text($0) } ?? .null }
  init(_ value: Bool) { self = .integer(value ? 1 : 0) }
  init(_ cell: Cell) {
    switch cell {
    case .null: self = .null
    case .integer(let value): self = .integer(Int64(value))
    case .real(let value): self = value.isFinite ? .real(value) : .null
    case .text(let value): self = .text(value)
    }
  }
}

/// A prepared statement: bound, stepped, and read column by column while it stands on a row.
struct SQLiteStatement: ~Copyable {
  private let pointer: OpaquePointer
  private let handle: OpaquePointer
  /// Whether it goes with this value, or stays with the connection.
  private let isOwned: Bool

  /// A statement that the connection keeps.
  init(borrowing pointer: OpaquePointer, of handle: OpaquePointer) {
    (self.pointer, self.handle, isOwned) = (pointer, handle, false)
  }

  /// A statement for one use; `rest` is what follows it in the text. Throws `SQLiteFailure`, also for a text without
  /// statement.
  init(preparing sql: String, on handle: OpaquePointer, rest: inout String) throws {
    let made = try Self.prepare(sql, on: handle, persistent: false)
    rest = made.rest
    (pointer, self.handle, isOwned) = (made.pointer, handle, true)
  }

  deinit {
    if isOwned {
      sqlite3_finalize(pointer)
    } else {
      sqlite3_reset(pointer)
      sqlite3_clear_bindings(pointer)
    }
  }

  /// Compiles the first statement of a text.
  static func prepare(
    _ sql: String, on handle: OpaquePointer, persistent: Bool
  ) throws -> (pointer: OpaquePointer, rest: String) {
    var pointer: OpaquePointer?
    let flags = persistent ? UInt32(SQLITE_PREPARE_PERSISTENT) : 0
    let utf8 = sql.utf8CString
    let (code, used) = utf8.withUnsafeBufferPointer { text -> (Int32, Int) in
      var tail: UnsafePointer<CChar>?
      let code = sqlite3_prepare_v3(handle, text.baseAddress, Int32(clamping: text.count), flags, &pointer, &tail)
      guard let tail, let base = text.baseAddress else { return (code, text.count - 1) }
      return (code, tail - base)
    }
    guard code == SQLITE_OK else { throw SQLiteFailure(code: code, on: handle) }
    guard let pointer else { throw SQLiteFailure(code: SQLITE_ERROR, message: "there is no statement in the text") }
    return (pointer, String(decoding: sql.utf8.dropFirst(used), as: UTF8.self))
  }

  /// Binds all parameters, in order.
  mutating func bind(_ values: [SQLValue]) throws {
    for (index, value) in values.enumerated() {
      let place = Int32(index + 1)
      let code =
        switch value {
        case .null: sqlite3_bind_null(pointer, place)
        case .integer(let value): sqlite3_bind_int64(pointer, place, value)
        case .real(let value): sqlite3_bind_double(pointer, place, value)
        case .text(let value): bind(value, at: place)
        case .blob(let bytes): bind(bytes, at: place)
        }
      if code != SQLITE_OK { throw SQLiteFailure(code: code, on: handle) }
    }
  }

  /// SQLITE_TRANSIENT: SQLite copies the bytes before the call returns. (C spells it as a cast that Swift doesn't
  /// import.)
  private static var copied: sqlite3_destructor_type { unsafeBitCast(-1, to: sqlite3_destructor_type.self) }

  private func bind(_ text: String, at place: Int32) -> Int32 {
    var text = text
    return text.withUTF8 { bytes in
      bytes.withMemoryRebound(to: CChar.self) {
        sqlite3_bind_text64(
          pointer, place, $0.baseAddress ?? Self.nothing, UInt64($0.count), Self.copied, UInt8(SQLITE_UTF8))
      }
    }
  }

  private func bind(_ bytes: ArraySlice<UInt8>, at place: Int32) -> Int32 {
    if bytes.isEmpty { return sqlite3_bind_zeroblob(pointer, place, 0) }
    return bytes.withUnsafeBytes { sqlite3_bind_blob64(pointer, place, $0.baseAddress, UInt64($0.count), Self.copied) }
  }

  /// A place to point at for an empty text: a null pointer would bind NULL.
  private static var nothing: UnsafePointer<CChar>? { UnsafePointer(bitPattern: 1) }

  /// Goes to the next row; false at the end.
  mutating func step() throws -> Bool {
    switch sqlite3_step(pointer) {
    case SQLITE_ROW: return true
    case SQLITE_DONE: return false
    case let code: throw SQLiteFailure(code: code, on: handle)
    }
  }

  // MARK: The row

  func isNull(_ column: Int32) -> Bool { sqlite3_column_type(pointer, column) == SQLITE_NULL }
  func integer(_ column: Int32) -> Int { Int(sqlite3_column_int64(pointer, column)) }
  func real(_ column: Int32) -> Double { sqlite3_column_double(pointer, column) }

  func text(_ column: Int32) -> String {
    guard let start = sqlite3_column_text(pointer, column) else { return "" }
    let bytes = UnsafeBufferPointer(start: start, count: Int(sqlite3_column_bytes(pointer, column)))
    return String(decoding: bytes, as: UTF8.self)
  }

  func optionalInteger(_ column: Int32) -> Int? { isNull(column) ? nil : integer(column) }
  func optionalReal(_ column: Int32) -> Double? { isNull(column) ? nil : real(column) }
  func optionalText(_ column: Int32) -> String? { isNull(column) ? nil : text(column) }

  /// Adds a blob's bytes to an array.
  func appendBlob(_ column: Int32, to bytes: inout [UInt8]) {
    guard let start = sqlite3_column_blob(pointer, column) else { return }
    bytes.append(contentsOf: UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(pointer, column))))
  }

  /// A value of one of our enumerations; anything else in the column means a damaged database.
  func value<T: RawRepresentable>(_ column: Int32, as type: T.Type = T.self) throws -> T where T.RawValue == String {
    guard let value = T(rawValue: text(column)) else {
      throw StoreError(.damaged, "the database holds \"\(text(column).prefix(80))\" where a \(T.self) belongs")
    }
    return value
  }

  /// A digest.
  func digest(_ column: Int32) throws -> Digest {
    guard let digest = Digest(hex: text(column)) else {
      throw StoreError(.damaged, "the database holds \"\(text(column).prefix(80))\" where a SHA-256 digest belongs")
    }
    return digest
  }

  /// Any value, as people are shown it: bytes only by their number, numbers that are not finite as null.
  func cell(_ column: Int32) -> Cell {
    switch sqlite3_column_type(pointer, column) {
    case SQLITE_INTEGER: .integer(integer(column))
    case SQLITE_FLOAT: Cell(real(column))
    case SQLITE_TEXT: .text(text(column))
    case SQLITE_BLOB: .text("(\(sqlite3_column_bytes(pointer, column)) bytes)")
    default: .null
    }
  }

  // MARK: The statement

  /// The names of the columns.
  var columns: [String] {
    (0..<sqlite3_column_count(pointer)).map { sqlite3_column_name(pointer, $0).map { String(cString: $0) } ?? "" }
  }

  /// Whether it changes nothing in the database.
  var isReadOnly: Bool { sqlite3_stmt_readonly(pointer) != 0 }
}
