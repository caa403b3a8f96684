package import SweepRecords

/// An artifact without its bytes.
package struct ArtifactReference: Sendable, Hashable {
  package var digest: Digest
  /// In bytes.
  package var size: Int

  package init(digest: Digest, size: Int) {
    self.digest = digest
    self.size = size
  }
}

/// What a query may cost.
package struct QueryLimits: Sendable {
  /// The most rows returned; what is beyond is cut off, and said so.
  package var rows: Int
  /// The most seconds it may take.
  package var seconds: Double

  package init(rows: Int = 100_000, seconds: Double = 60) {
    self.rows = rows
    self.seconds = seconds
  }
}

/// The answer to a query.
package struct QueryResult: Sendable, Equatable {
  package var columns: [String]
  package var rows: [[Cell]]
  /// Whether there was more than the limit allowed.
  package var isTruncated: Bool

  package init(columns: [String], rows: [[Cell]], isTruncated: Bool) {
    self.columns = columns
    self.rows = rows
    self.isTruncated = isTruncated
  }
}

/// Totals over the store.
package struct StoreCounts: Sendable, Equatable {
  package var sweeps: [SweepState: Int]
  package var tasks: [TaskState: Int]
  package var artifacts: Int
  package var artifactBytes: Int
  /// The size of the database in bytes.
  package var databaseBytes: Int
}
