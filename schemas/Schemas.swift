/// What lies in this folder, embedded, so that the binary needs no file beside it.
package enum Schemas {
  /// The migrations of SQLite, in order: the file's name and its text. Never changed once released; new ones are added.
  package static var sqliteMigrations: [(file: String, sql: String)] {
    [
      (
        "migration_0001_initial_sqlite.sql",
        String(decoding: PackageResources.migration_0001_initial_sqlite_sql, as: UTF8.self)
      )
    ]
  }
}
