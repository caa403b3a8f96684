/// A database and its schema, for whoever looks after it.
package struct DatabaseStatus: Sendable, Equatable {
  /// A table of the schema.
  package struct Table: Sendable, Equatable {
    package var name: String
    /// Nil where this role may not count them.
    package var rows: Int?
    /// Whether `rows` is what the database last estimated: counting a large table takes long.
    package var isEstimate: Bool
    /// With indexes; nil where the database doesn't say.
    package var bytes: Int?
  }

  /// A role of `ops/postgres/roles.sql`.
  package struct Role: Sendable, Equatable {
    package var name: String
    package var exists: Bool
  }

  /// Where it is, for people: without password.
  package var database: String
  /// `PostgreSQL 15.4`, `SQLite 3.40.1`.
  package var engine: String
  /// The last migration applied; 0 where there is no schema.
  package var version: Int
  /// The files of those that are missing.
  package var pending: [String]
  package var bytes: Int
  /// By name.
  package var tables: [Table]
  /// Empty for a database without roles.
  package var roles: [Role]
}
