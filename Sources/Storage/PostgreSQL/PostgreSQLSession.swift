/// One connection on a thread of its own: opened when it is needed, opened again after it was lost.
actor PostgreSQLSession {
  private let address: PostgreSQLAddress
  private let settings: PostgreSQLSettings
  /// What a new connection must pass.
  private let check: @Sendable (PostgreSQLConnection) throws -> Void
  private var connection: PostgreSQLConnection?
  private nonisolated let executor: BlockingExecutor
  nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  /// How often a transaction that collided with another is done again.
  private static let collisions = 8

  init(
    _ address: PostgreSQLAddress, _ settings: PostgreSQLSettings,
    check: @escaping @Sendable (PostgreSQLConnection) throws -> Void
  ) {
    (self.address, self.settings, self.check) = (address, settings, check)
    executor = BlockingExecutor(label: "steerscope.postgresql")
  }

  /// Runs the body, again when its transaction was the victim of a deadlock. It must be one transaction.
  ///
  /// - Throws: `StoreError`; `.unreachable` when the connection broke, after which the next call opens another.
  func perform<T: Sendable>(_ body: @Sendable (PostgreSQLConnection) throws -> T) throws -> T {
    var collisions = 0
    while true {
      let connection = try opened()
      do {
        return try body(connection)
      } catch let failure as PostgreSQLFailure {
        let error = failure.asStoreError(address)
        keepIfUsable(connection)
        // A server that has become a standby, or whose schema was changed under our statements: another connection.
        if error.code == .unreachable || failure.isStale { self.connection = nil }
        collisions += 1
        if failure.isCollision || failure.isStale, collisions < Self.collisions { continue }
        throw error
      } catch {
        keepIfUsable(connection)
        throw error
      }
    }
  }

  /// Closes the connection; the next call opens another.
  func close() { connection = nil }

  private func opened() throws -> PostgreSQLConnection {
    if let connection {
      // A server that has restarted since the last call is noticed here, where it costs nothing.
      if connection.isAlive, connection.isIdle, !connection.hasNews { return connection }
      self.connection = nil
    }
    let made = try PostgreSQLConnection(address, settings)
    do { try check(made) } catch let failure as PostgreSQLFailure { throw failure.asStoreError(address) }
    connection = made
    return made
  }

  /// Lets a connection go that broke, or that a failure has left in the middle of something.
  private func keepIfUsable(_ connection: PostgreSQLConnection) {
    if !connection.isAlive || !connection.isIdle { self.connection = nil }
  }
}
