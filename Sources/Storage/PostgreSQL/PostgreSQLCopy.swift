internal import SweepRecords

/// Rows on their way into a table, in the binary form of COPY: no text needs escaping, no number loses a bit.
struct PostgreSQLCopy {
  /// Sends bytes on; false when the connection is gone, which the end of the COPY then says.
  private let send: ([UInt8]) -> Bool
  private var bytes: [UInt8] = []
  private static let signature = Array("PGCOPY\n".utf8) + [0xFF, 0x0D, 0x0A, 0x00]
  /// Bytes that are gathered before they are sent.
  private static let portion = 1 << 18

  init(send: @escaping ([UInt8]) -> Bool) {
    self.send = send
    bytes.reserveCapacity(Self.portion + (1 << 12))
    bytes += Self.signature
    bytes.append(bigEndian: Int32(0))
    bytes.append(bigEndian: Int32(0))
  }

  /// Begins a row; as many fields must follow.
  mutating func row(fields: Int) {
    if bytes.count >= Self.portion { flush() }
    bytes.append(bigEndian: Int16(clamping: fields))
  }

  mutating func null() { bytes.append(bigEndian: Int32(-1)) }

  mutating func integer(_ value: Int64) {
    bytes.append(bigEndian: Int32(8))
    bytes.append(bigEndian: value)
  }

  mutating func real(_ value: Double) {
    bytes.append(bigEndian: Int32(8))
    bytes.append(bigEndian: value.bitPattern)
  }

  mutating func text(_ value: String) throws {
    bytes.append(bigEndian: Int32(clamping: value.utf8.count))
    try bytes.append(storable: value)
  }

  mutating func blob(_ value: ArraySlice<UInt8>) {
    bytes.append(bigEndian: Int32(clamping: value.count))
    bytes += value
  }

  /// A result's cell for a column of a type; false where they don't fit.
  mutating func cell(_ cell: Cell, as type: UInt32) throws -> Bool {
    switch (cell, type) {
    case (.null, _): null()
    case (.integer(let value), PostgreSQLType.int8): integer(Int64(value))
    case (.integer(let value), PostgreSQLType.float8): real(Double(value))
    case (.real(let value), PostgreSQLType.float8): if value.isFinite { real(value) } else { null() }
    case (.real(let value), PostgreSQLType.int8):
      if !value.isFinite {
        null()
      } else if let whole = Int64(exactly: value) {
        integer(whole)
      } else {
        return false
      }
    case (.text(let value), PostgreSQLType.text): try text(value)
    default: return false
    }
    return true
  }

  private mutating func flush() {
    _ = send(bytes)
    bytes.removeAll(keepingCapacity: true)
  }

  /// Sends what is left, and the end's mark.
  mutating func end() {
    bytes.append(bigEndian: Int16(-1))
    flush()
  }
}
