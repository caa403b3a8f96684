internal import Diagnostics
internal import Foundation
internal import Storage
internal import SweepRecords

/// Opening the store that the environment names.
enum OpenStore {
  /// The path of the SQLite file, for what works on a file of this machine alone.
  static func path() throws(InputError) -> String {
    switch try Settings.database() {
    case .sqlite(let path):
      var isDirectory: ObjCBool = false
      if FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), isDirectory.boolValue {
        throw InputError(path, expected: "a database file", found: "a directory", remedy: "mend STEERSCOPE_DATABASE")
      }
      return path
    case .postgresql:
      throw InputError(
        "STEERSCOPE_DATABASE", expected: "sqlite:PATH for `run`, which works on this machine alone",
        found: "a PostgreSQL server",
        remedy: "hand the sweep to the cluster with `steerscope submit`, or set sqlite:PATH")
    }
  }

  /// The store of this machine; `creating` makes it where there is none.
  static func file(creating: Bool = false) throws -> SQLiteStore {
    try SQLiteStore(path: try path(), creating: creating)
  }

  /// The store, wherever it is; `creating` makes a file where there is none.
  static func open(creating: Bool = false) async throws -> any ResultStore {
    let locator = try Settings.database()
    if case .sqlite = locator { _ = try path() }
    return try await locator.open(creating: creating)
  }

  /// A sweep by name, id or beginning of an id; without one, the newest.
  static func sweep(_ text: String?, in store: any ResultStore) async throws -> SweepSummary {
    if let text, let found = try await store.findSweep(text) { return found }
    let sweeps = try await store.sweeps(in: nil)
    if text == nil, let newest = sweeps.first { return newest }
    let names = Array(Set(sweeps.map(\.name))).sorted().prefix(8).joined(separator: ", ")
    throw InputError(
      text.map { "sweep \"\($0)\"" } ?? "sweep", expected: "a sweep's name or id",
      found: sweeps.isEmpty ? "no sweeps in the database" : "none of that name among \(names)")
  }
}
