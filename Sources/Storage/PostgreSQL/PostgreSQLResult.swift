internal import CPostgreSQL
internal import SweepRecords

/// A result of libpq's, freed when it goes.
struct PostgreSQLResult: ~Copyable {
  private let pointer: OpaquePointer

  init(owning pointer: OpaquePointer) { self.pointer = pointer }

  deinit { PQclear(pointer) }

  var status: ExecStatusType { PQresultStatus(pointer) }
  var count: Int { Int(PQntuples(pointer)) }
  /// The names of the columns.
  var columns: [String] { (0..<PQnfields(pointer)).map { PQfname(pointer, $0).map { String(cString: $0) } ?? "" } }
  /// What the command did: `COMMIT`, `UPDATE 3`.
  var tag: String { PQcmdStatus(pointer).map { String(cString: $0) } ?? "" }
  /// The number of rows that the command changed.
  var changes: Int { PQcmdTuples(pointer).flatMap { Int(String(cString: $0)) } ?? 0 }

  /// A part of an error's description; empty where there is none.
  func field(_ field: Int32) -> String { PQresultErrorField(pointer, field).map { String(cString: $0) } ?? "" }

  /// A row, for reading.
  borrowing func withRow<T>(_ row: Int, _ body: (borrowing PostgreSQLRow) throws -> T) rethrows -> T {
    try body(PostgreSQLRow(result: pointer, row: Int32(row)))
  }
}

/// A row of a result in binary form, read while the result lives.
package struct PostgreSQLRow: ~Copyable {
  fileprivate let result: OpaquePointer
  fileprivate let row: Int32

  func isNull(_ column: Int32) -> Bool { PQgetisnull(result, row, column) != 0 }

  private func bytes(_ column: Int32) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: PQgetvalue(result, row, column), count: Int(PQgetlength(result, row, column)))
  }

  /// A whole number of any width; 0 for NULL.
  package func integer(_ column: Int32) -> Int {
    let bytes = bytes(column)
    return switch bytes.count {
    case 1: Int(bytes[0])
    case 2: Int(Int16(bigEndian: bytes.loadUnaligned(as: Int16.self)))
    case 4: Int(Int32(bigEndian: bytes.loadUnaligned(as: Int32.self)))
    case 8: Int(Int64(bigEndian: bytes.loadUnaligned(as: Int64.self)))
    default: 0
    }
  }

  /// A double; 0 for NULL.
  package func real(_ column: Int32) -> Double {
    let bytes = bytes(column)
    return bytes.count == 8 ? Double(bitPattern: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self))) : 0
  }

  /// A text; empty for NULL.
  package func text(_ column: Int32) -> String { String(decoding: bytes(column), as: UTF8.self) }

  /// The number of columns.
  var width: Int32 { PQnfields(result) }
  /// The bytes of all values.
  var size: Int { (0..<width).reduce(0) { $0 + Int(PQgetlength(result, row, $1)) } }

  func flag(_ column: Int32) -> Bool { integer(column) != 0 }
  func optionalInteger(_ column: Int32) -> Int? { isNull(column) ? nil : integer(column) }
  func optionalReal(_ column: Int32) -> Double? { isNull(column) ? nil : real(column) }
  func optionalText(_ column: Int32) -> String? { isNull(column) ? nil : text(column) }
  func task(_ column: Int32) -> TaskID { TaskID(Int64(integer(column))) }
  func token(_ column: Int32) -> LeaseToken { LeaseToken(Int64(integer(column))) }

  /// Adds the bytes of a `bytea` to an array.
  func appendBytes(_ column: Int32, to array: inout [UInt8]) { array.append(contentsOf: bytes(column)) }

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

  /// A value of a result in text form, as people are shown it: bytes only by their number.
  func cell(_ column: Int32) -> Cell {
    if isNull(column) { return .null }
    let text = text(column)
    switch PQftype(result, column) {
    case PostgreSQLType.int2, PostgreSQLType.int4, PostgreSQLType.int8, PostgreSQLType.oid:
      return Int(text).map { .integer($0) } ?? .text(text)
    case PostgreSQLType.float4, PostgreSQLType.float8: return Cell(Double(text))
    case PostgreSQLType.numeric: return Int(text).map { .integer($0) } ?? Cell(Double(text))
    case PostgreSQLType.bool: return .integer(text == "t" ? 1 : 0)
    // ISO 8601, as SQLite's views have it: sessions are in UTC.
    case PostgreSQLType.time: return .text(text.replacing(" ", with: "T").replacing("+00", with: "Z"))
    case PostgreSQLType.bytes: return .text("(\(max(0, text.utf8.count - 2) / 2) bytes)")
    default: return .text(text)
    }
  }
}
