package import SweepRecords

extension SQLiteStore {
  /// Bytes in a piece of an artifact.
  package static let chunkSize = 1 << 20

  /// Stores bytes under their digest, unless they are there.
  static func storeArtifact(_ bytes: [UInt8], digest: Digest, now: Double, _ db: inout SQLiteConnection) throws {
    let isNew =
      try db.run(
        "INSERT INTO artifact (digest, size, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", SQLValue(digest.hex),
        SQLValue(bytes.count), SQLValue(now)) > 0
    guard isNew else { return }
    for (position, start) in stride(from: 0, to: bytes.count, by: chunkSize).enumerated() {
      try db.run(
        "INSERT INTO artifact_chunk (artifact, position, bytes) VALUES (?, ?, ?)", SQLValue(digest.hex),
        SQLValue(position),
        .blob(bytes[start..<min(start + chunkSize, bytes.count)]))
    }
  }

  package func artifactReference(task key: Digest, name: String) throws -> ArtifactReference? {
    try reading { db, _ in
      try db.first(
        """
        SELECT a.digest, a.size FROM task t JOIN task_artifact ta ON ta.task = t.id
        JOIN artifact a ON a.digest = ta.artifact
        WHERE t.key = ? AND ta.name = ?
        """, SQLValue(key.hex), SQLValue(name)
      ) { ArtifactReference(digest: try $0.digest(0), size: $0.integer(1)) }
    }
  }

  package func artifact(_ digest: Digest) throws -> [UInt8]? {
    let bytes: [UInt8]? = try reading { db, _ in
      guard try db.exists("SELECT 1 FROM artifact WHERE digest = ?", SQLValue(digest.hex)) else { return nil }
      var bytes: [UInt8] = []
      _ = try db.rows("SELECT bytes FROM artifact_chunk WHERE artifact = ? ORDER BY position", SQLValue(digest.hex)) {
        $0.appendBlob(0, to: &bytes)
      }
      return bytes
    }
    guard let bytes else { return nil }
    guard Digest(of: bytes) == digest else {
      throw StoreError(.damaged, "\(path): the bytes of artifact \(digest.short) are not those that were stored")
    }
    return bytes
  }

  /// Removes artifacts that nothing refers to.
  static func collectArtifacts(_ db: inout SQLiteConnection) throws {
    try db.run(
      """
      DELETE FROM artifact WHERE NOT EXISTS (SELECT 1 FROM task_artifact ta WHERE ta.artifact = artifact.digest)
        AND NOT EXISTS (SELECT 1 FROM sweep_artifact sa WHERE sa.artifact = artifact.digest)
      """)
  }
}
