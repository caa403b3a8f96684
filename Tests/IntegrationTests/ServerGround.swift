import Foundation
import Messaging
import Orchestration
import OrchestrationSupport
import Storage
import Synchronization
import TestServers

/// PostgreSQL and RabbitMQ as the ground of worlds whose tests know in-memory queues and SQLite only.
enum ServerGround {
  /// A database with the schema and queues in a virtual host of their own.
  ///
  /// - Parameter database: the server, where not the one that all tests share.
  static func fresh(database server: TestPostgreSQL? = nil) async throws -> (Ground, virtualHost: String) {
    let uri: String
    if let server {
      uri = try await server.freshDatabase()
    } else {
      uri = try await TestServers.postgreSQL().freshDatabase()
    }
    _ = try await StoreLocator(parsing: uri).migrate()
    let broker = try await TestServers.rabbitMQ()
    let settings = try AMQPSettings(parsing: try await broker.freshVirtualHost())
    let ground = Ground(
      openStore: { clock in try PostgreSQLStore(uri: uri, settings: PostgreSQLSettings(clock: .told(clock))) },
      openQueue: {
        let queue = AMQPQueue(settings)
        try await queue.declareTopology()
        return queue
      },
      // The broker notices that the process's connections are gone.
      bury: { queue in await (queue as? AMQPQueue)?.close() }, patience: .milliseconds(100))
    return (ground, settings.virtualHost)
  }
}
