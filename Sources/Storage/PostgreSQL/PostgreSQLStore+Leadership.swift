internal import SweepRecords

extension PostgreSQLStore {
  package func acquireLeadership(holder: String, for seconds: Double) async throws -> LeaderToken? {
    // A place that is held is seen without a lock; one that is free is locked against the old leader's writes, which
    // are waited for, and looked at again: it may have been renewed meanwhile. On a connection for work: it may wait.
    try await saying { db, now in
      try db.first(
        """
        WITH free AS MATERIALIZED (
          SELECT place FROM leader WHERE holder = $1 OR lease_until <= \(now) FOR UPDATE)
        UPDATE leader SET holder = $1, token = token + 1, lease_until = \(now) + make_interval(secs => $2)
        FROM free WHERE leader.place = free.place RETURNING token
        """, .text(holder.withoutNUL), .real(seconds)
      ) { LeaderToken(Int64($0.integer(0))) }
    }
  }

  package func renewLeadership(_ leader: LeaderToken, for seconds: Double) async throws -> Bool {
    try await pulsing { db, now in
      try db.run(
        "UPDATE leader SET lease_until = \(now) + make_interval(secs => $2) WHERE token = $1",
        .integer(leader.number), .real(seconds)) > 0
    }
  }

  package func releaseLeadership(_ leader: LeaderToken) async throws {
    // The token rises so that nothing more can be done with the old one.
    try await saying { db, _ in
      _ = try db.run(
        """
        WITH mine AS MATERIALIZED (SELECT place FROM leader WHERE token = $1 FOR UPDATE)
        UPDATE leader SET holder = '', token = token + 1, lease_until = 'epoch' FROM mine
        WHERE leader.place = mine.place
        """, .integer(leader.number))
    }
  }

  /// Throws unless the token is the present leader's, who stays so until the transaction ends.
  static func require(_ leader: LeaderToken, _ db: PostgreSQLConnection) throws {
    guard try db.exists("SELECT 1 FROM leader WHERE token = $1 FOR KEY SHARE", .integer(leader.number)) else {
      throw StoreError(.notLeader, "another coordinator has taken the lead")
    }
  }

  static func missing(_ sweep: SweepID) -> StoreError { StoreError(.missing, "there is no sweep \(sweep)") }
  static func missing(_ worker: WorkerID) -> StoreError {
    StoreError(.missing, "worker \(worker) is not registered, or has signed off")
  }

  /// The number by which tables call a sweep.
  static func number(of sweep: SweepID, _ db: PostgreSQLConnection) throws -> Int64 {
    guard
      let number = try db.first("SELECT number FROM sweep WHERE id = $1", .text(sweep.text), read: { $0.integer(0) })
    else { throw missing(sweep) }
    return Int64(number)
  }
}
