package import Diagnostics

/// Where a store is, as `STEERSCOPE_DATABASE` says it.
package enum StoreLocator: Sendable, Equatable, CustomStringConvertible {
  /// A SQLite file.
  case sqlite(path: String)
  /// A PostgreSQL server; the text is its connection URI, which may hold a password: never print it.
  case postgresql(uri: String)

  /// What every command uses where nothing else is said.
  package static let standard = StoreLocator.sqlite(path: "steerscope.db")

  /// Reads `sqlite:PATH`, `postgresql://...` or `postgres://...`.
  package init(parsing text: String) throws(InputError) {
    if text.hasPrefix("sqlite:") {
      let path = String(text.dropFirst("sqlite:".count))
      guard !path.isEmpty, !path.utf8.contains(0) else {
        throw InputError(
          "STEERSCOPE_DATABASE", expected: "sqlite:PATH", found: "no path",
          remedy: "give the file's path, as in sqlite:steerscope.db")
      }
      self = .sqlite(path: path)
    } else if text.hasPrefix("postgresql://") || text.hasPrefix("postgres://") {
      self = .postgresql(uri: text)
    } else {
      let scheme = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      throw InputError(
        "STEERSCOPE_DATABASE", expected: "sqlite:PATH or postgresql://...",
        found: scheme.count == 2 ? "\"\(scheme[0].prefix(40)):...\"" : "a text without a scheme")
    }
  }

  /// Where it is, for people: without password.
  package var description: String {
    switch self {
    case .sqlite(let path): path
    case .postgresql(let uri): (try? PostgreSQLAddress(parsing: uri))?.description ?? "postgresql://..."
    }
  }

  /// Opens the store, for a command: what is not there, or has another schema, is an error at once. A SQLite file is
  /// made where it is missing and `creating` allows it, and brought up to date; a server's schema is only checked.
  package func open(creating: Bool = false, settings: PostgreSQLSettings = .init()) async throws -> any ResultStore {
    switch self {
    case .sqlite(let path): return try SQLiteStore(path: path, creating: creating)
    case .postgresql(let uri):
      let store = try PostgreSQLStore(uri: uri, settings: settings)
      try await store.connect()
      return store
    }
  }
}
