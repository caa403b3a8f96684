internal import Diagnostics
internal import Schemas
internal import SweepRecords

/// A row of `schema_migration`: a migration that a database has had.
struct AppliedMigration: Sendable, Equatable {
  var number: Int
  /// The file's name.
  var name: String
  /// The SHA-256 of the file's text.
  var checksum: String

  /// Those of the known migrations that a database lacks. Throws when it has had others than these.
  static func pending(
    of known: [Schemas.Migration], after applied: [AppliedMigration], in database: String
  ) throws(InputError) -> [Schemas.Migration] {
    for row in applied {
      guard let same = known.first(where: { $0.number == row.number }) else {
        throw InputError(
          database, expected: "a schema of version \(known.count) or older",
          found: "version \(row.number) (\(row.name))",
          remedy: "use the newer steerscope that wrote it")
      }
      guard same.checksum == row.checksum else {
        throw InputError(
          database, expected: "migration \(row.number) as in this program (\(same.file))",
          found: "one of the same number but another content",
          remedy: "use the steerscope that made it, or another database")
      }
    }
    let numbers = Set(applied.map(\.number))
    return known.filter { !numbers.contains($0.number) }
  }
}

extension Schemas.Migration {
  /// The SHA-256 of the text.
  var checksum: String { Digest(of: sql).hex }
}
