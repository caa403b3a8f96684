internal import CSQLite

/// What SQLite answered when it was not "ok".
struct SQLiteFailure: Error {
  /// The extended result code.
  var code: Int32
  var message: String

  /// Whether another connection has a lock that is in the way.
  var isBusy: Bool { code & 0xFF == SQLITE_BUSY }

  init(code: Int32, message: String) {
    (self.code, self.message) = (code, message)
  }

  /// The connection's last failure.
  init(code: Int32, on handle: OpaquePointer) {
    self.init(code: max(code, sqlite3_extended_errcode(handle)), message: String(cString: sqlite3_errmsg(handle)))
  }

  /// The code without its details.
  var primary: Int32 { code & 0xFF }

  /// As the store says it.
  func asStoreError(path: String) -> StoreError {
    let said = "\(path): \(message) (SQLite \(code))"
    return switch primary {
    case SQLITE_BUSY, SQLITE_LOCKED: StoreError(.busy, "\(said): another process keeps the database locked")
    case SQLITE_FULL: StoreError(.full, "\(said): make room on the disk that holds it")
    case SQLITE_IOERR, SQLITE_CANTOPEN, SQLITE_READONLY, SQLITE_PERM: StoreError(.io, said)
    case SQLITE_CORRUPT, SQLITE_NOTADB: StoreError(.damaged, said)
    case SQLITE_CONSTRAINT, SQLITE_MISMATCH, SQLITE_TOOBIG: StoreError(.conflict, said)
    default: StoreError(.internal, said)
    }
  }
}
