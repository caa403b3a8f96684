internal import CPostgreSQL

/// What PostgreSQL or libpq answered when it was not "ok".
struct PostgreSQLFailure: Error {
  /// The five characters of SQLSTATE; empty where libpq itself failed.
  var state: String
  /// Without passwords.
  var message: String
  /// Whether the connection is gone.
  var isLost = false

  /// What may pass when the whole transaction is done again.
  var isCollision: Bool { state == "40001" || state == "40P01" }

  /// Whether a prepared statement no longer fits the tables: a migration has come between.
  var isStale: Bool { state == "0A000" }

  /// As the store says it.
  func asStoreError(_ address: PostgreSQLAddress) -> StoreError {
    StoreError(code, "\(address): \(message)" + (state.isEmpty ? "" : " (SQLSTATE \(state))"))
  }

  private var code: StoreError.Code {
    if isLost { return .unreachable }
    switch state {
    // The server goes, comes, has become a standby, or has cut us off.
    case "57P01", "57P02", "57P03", "57P05", "25006", "25P03": return .unreachable
    case "40001", "40P01", "55P03", "55006", "57014", "53000", "53200", "53300", "53400": return .busy
    case "53100": return .full
    case "XX001", "XX002": return .damaged
    default: break
    }
    switch state.prefix(2) {
    case "08": return .unreachable
    case "22", "23", "54": return .conflict
    case "58": return .io
    default: return .internal
    }
  }
}
