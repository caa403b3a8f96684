package import SweepRecords

extension PostgreSQLStore {
  /// Stores bytes under their digests, where they are not there; they stay until the transaction ends.
  ///
  /// Two that store the same at the same time: the second waits for the first, and then has nothing to do. What is there
  /// is locked, so that `collectArtifacts` passes it over; if that came first, it is gone and is stored again.
  static func store(_ artifacts: [Digest: [UInt8]], now: String, _ db: PostgreSQLConnection) throws {
    var missing = artifacts.keys.sorted()
    while !missing.isEmpty {
      let new = try db.rows(
        """
        INSERT INTO artifact (digest, size, created_at)
        SELECT digest, size, \(now) FROM unnest($1::text[], $2::bigint[]) AS given (digest, size) ORDER BY digest
        ON CONFLICT (digest) DO NOTHING RETURNING digest
        """, PostgreSQLValue(missing), .integers(missing.map { Int64(artifacts[$0]?.count ?? 0) })
      ) { try $0.digest(0) }
      try copyChunks(of: new.sorted().map { ($0, artifacts[$0] ?? []) }, db)
      missing = Set(missing).subtracting(new).sorted()
      if missing.isEmpty { return }
      let kept = try db.rows(
        "SELECT digest FROM artifact WHERE digest = ANY($1) ORDER BY digest FOR KEY SHARE", PostgreSQLValue(missing)
      ) { try $0.digest(0) }
      missing = Set(missing).subtracting(kept).sorted()
    }
  }

  private static func copyChunks(of artifacts: [(digest: Digest, bytes: [UInt8])], _ db: PostgreSQLConnection) throws {
    if artifacts.allSatisfy({ $0.bytes.isEmpty }) { return }
    try db.copy(into: "artifact_chunk", ["artifact", "position", "bytes"]) { copy in
      for (digest, bytes) in artifacts {
        for (position, start) in stride(from: 0, to: bytes.count, by: SQLiteStore.chunkSize).enumerated() {
          copy.row(fields: 3)
          try copy.text(digest.hex)
          copy.integer(Int64(position))
          copy.blob(bytes[start..<min(start + SQLiteStore.chunkSize, bytes.count)])
        }
      }
    }
  }

  package func artifactReference(task key: Digest, name: String) async throws -> ArtifactReference? {
    if name.utf8.contains(0) { return nil }
    return try await saying { db, _ in
      try db.first(
        """
        SELECT a.digest, a.size FROM task t JOIN task_artifact ta ON ta.task = t.id
        JOIN artifact a ON a.digest = ta.artifact
        WHERE t.key = $1 AND ta.name = $2
        """, PostgreSQLValue(key), .text(name)
      ) { ArtifactReference(digest: try $0.digest(0), size: $0.integer(1)) }
    }
  }

  package func artifact(_ digest: Digest) async throws -> [UInt8]? {
    let bytes: [UInt8]? = try await reading { db, _ in
      let size = try db.first("SELECT size FROM artifact WHERE digest = $1", PostgreSQLValue(digest)) { $0.integer(0) }
      guard let size else { return nil }
      var bytes: [UInt8] = []
      // A size that lies costs no more than a gibibyte of reserved memory.
      bytes.reserveCapacity(min(max(size, 0), 1 << 30))
      // Some at a time: libpq holds what it has read as well.
      var position = 0
      while true {
        let read = try db.rows(
          """
          SELECT bytes FROM artifact_chunk WHERE artifact = $1 AND position >= $2 AND position < $2 + 16
          ORDER BY position
          """, PostgreSQLValue(digest), PostgreSQLValue(position)
        ) { $0.appendBytes(0, to: &bytes) }.count
        if read == 0 { return bytes }
        position += 16
      }
    }
    guard let bytes else { return nil }
    guard Digest(of: bytes) == digest else {
      throw StoreError(.damaged, "\(address): the bytes of artifact \(digest.short) are not those that were stored")
    }
    return bytes
  }

  /// Removes artifacts that nothing refers to. Those that somebody has locked are about to be referred to.
  static func collectArtifacts(_ db: PostgreSQLConnection) throws {
    let unused =
      "NOT EXISTS (SELECT 1 FROM task_artifact ta WHERE ta.artifact = a.digest)"
      + " AND NOT EXISTS (SELECT 1 FROM sweep_artifact sa WHERE sa.artifact = a.digest)"
    let found = try db.rows(
      "SELECT a.digest FROM artifact a WHERE \(unused) ORDER BY a.digest FOR UPDATE OF a SKIP LOCKED"
    ) { $0.text(0) }
    // Looked at again, now that nobody can begin to refer to them.
    if !found.isEmpty { try db.run("DELETE FROM artifact a WHERE a.digest = ANY($1) AND \(unused)", .texts(found)) }
  }
}
