/// What went wrong in the store. Bad input is `InputError` instead.
package struct StoreError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What kind of thing it was.
  package enum Code: String, Sendable, CaseIterable {
    /// Another process holds the database, longer than the time-out.
    case busy
    /// The server can't be reached, or the connection broke.
    case unreachable
    /// The disk is full.
    case full
    /// The disk or file system failed, or the database may not be written.
    case io
    /// The database is damaged.
    case damaged
    /// A result row contradicts one that is there, or the schema: a bug to be seen.
    case conflict
    /// The leader's token is an old one: somebody else leads.
    case notLeader
    /// There is no such sweep, or no such worker.
    case missing
    /// A plan's task waits for one that the sweep doesn't have.
    case unknownDependency
    /// Anything else: a fault in this program.
    case `internal`
  }
  package var code: Code
  package var message: String

  package init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  /// Whether the same call may succeed later.
  package var isTransient: Bool {
    switch code {
    case .busy, .unreachable, .full, .io: true
    case .damaged, .conflict, .notLeader, .missing, .unknownDependency, .internal: false
    }
  }

  package var description: String { message }
}
