extension SQLiteStore {
  package func acquireLeadership(holder: String, for seconds: Double) throws -> LeaderToken? {
    try writing { db, now in
      try db.first(
        """
        UPDATE leader SET holder = ?, token = token + 1, lease_until = ? WHERE holder = ? OR lease_until <= ?
        RETURNING token
        """, SQLValue(holder), SQLValue(now + seconds), SQLValue(holder), SQLValue(now)
      ) { LeaderToken(Int64($0.integer(0))) }
    }
  }

  package func renewLeadership(_ leader: LeaderToken, for seconds: Double) throws -> Bool {
    try writing { db, now in
      try db.run("UPDATE leader SET lease_until = ? WHERE token = ?", SQLValue(now + seconds), SQLValue(leader.number))
        > 0
    }
  }

  package func releaseLeadership(_ leader: LeaderToken) throws {
    try writing { db, _ in
      // The token rises so that nothing more can be done with the old one.
      _ = try db.run(
        "UPDATE leader SET holder = '', token = token + 1, lease_until = 0 WHERE token = ?", SQLValue(leader.number))
    }
  }

  /// Throws unless the token is the present leader's.
  static func require(_ leader: LeaderToken, _ db: inout SQLiteConnection) throws {
    guard try db.exists("SELECT 1 FROM leader WHERE token = ?", SQLValue(leader.number)) else {
      throw StoreError(.notLeader, "another coordinator has taken the lead")
    }
  }

  static func missing(_ sweep: SweepID) -> StoreError { StoreError(.missing, "there is no sweep \(sweep)") }

  /// The number by which tables call a sweep.
  static func number(of sweep: SweepID, _ db: inout SQLiteConnection) throws -> Int {
    guard
      let number = try db.first("SELECT number FROM sweep WHERE id = ?", SQLValue(sweep.text), read: { $0.integer(0) })
    else { throw missing(sweep) }
    return number
  }
}
