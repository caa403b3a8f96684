/// How the store talks to its server. What the connection URI says itself goes before.
package struct PostgreSQLSettings: Sendable {
  /// Where times come from.
  package enum Clock: Sendable {
    /// The server's `now()`: no client's clock is trusted (protocol.md).
    case server
    /// Seconds since 1970, told by tests.
    case told(@Sendable () -> Double)
  }

  /// What the server's lists call this client: `steerscope worker/ID`.
  package var applicationName: String
  /// Connections for work, beside those for heartbeats and for people's queries. Each is opened when it is needed.
  package var connections: Int
  /// Seconds in which a connection must be up.
  package var connectTimeout: Int
  /// Seconds after which a server that answers nothing at all is given up.
  package var silenceTimeout: Int
  /// Seconds that a statement may take, and may wait for a lock; those of heartbeats and leaders a part of that.
  package var statementTimeout: Int
  package var lockTimeout: Int
  package var clock: Clock

  package init(
    applicationName: String = "steerscope", connections: Int = 2, connectTimeout: Int = 10, silenceTimeout: Int = 20,
    statementTimeout: Int = 300, lockTimeout: Int = 20, clock: Clock = .server
  ) {
    self.applicationName = applicationName
    self.connections = max(1, connections)
    self.connectTimeout = connectTimeout
    self.silenceTimeout = silenceTimeout
    self.statementTimeout = statementTimeout
    self.lockTimeout = lockTimeout
    self.clock = clock
  }
}
