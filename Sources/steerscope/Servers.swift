internal import Diagnostics
internal import Foundation
internal import Messaging
internal import Orchestration
internal import Storage

/// The servers of a cluster, as the environment names them.
struct Servers: Sendable {
  /// A PostgreSQL URI.
  let database: String
  let broker: AMQPSettings

  /// - Parameter command: what asks: its errors say what it needs.
  init(for command: String) throws(InputError) {
    let remedy = "set it; on one machine `steerscope run SWEEP.yaml` does all of it without servers"
    guard let database = try Settings.value("STEERSCOPE_DATABASE") else {
      throw InputError(
        "STEERSCOPE_DATABASE", expected: "postgresql://USER:PASSWORD@HOST/DATABASE for `\(command)`", found: "nothing",
        remedy: remedy)
    }
    guard case .postgresql(let uri) = try StoreLocator(parsing: database) else {
      throw InputError(
        "STEERSCOPE_DATABASE", expected: "postgresql://USER:PASSWORD@HOST/DATABASE, which all machines reach",
        found: "a SQLite file, which they can't share", remedy: remedy)
    }
    guard let broker = try Settings.broker() else {
      throw InputError(
        "STEERSCOPE_BROKER", expected: "amqp://USER:PASSWORD@HOST/VHOST for `\(command)`", found: "nothing",
        remedy: remedy)
    }
    self.database = uri
    self.broker = broker
  }

  /// The store of a long-running process: waits for a database that is down, and says so; what no waiting mends (a
  /// wrong password, another schema) is an error at once.
  ///
  /// - Parameter patience: seconds that a statement may take, where not the usual.
  func store(log: @escaping LogSink, name: String, patience: Int? = nil) async throws -> PostgreSQLStore {
    var settings = PostgreSQLSettings()
    settings.applicationName = name
    if let patience { settings.statementTimeout = patience }
    let store = try PostgreSQLStore(uri: database, settings: settings)
    var wait = Duration.milliseconds(500)
    while true {
      do {
        try await store.connect()
        return store
      } catch let error as StoreError where error.isTransient {
        log(
          LogEntry(
            .warning, "waits for the database",
            details: ["error": error.description, "seconds": "\(wait / .seconds(1))"]))
        try await Task.sleep(for: wait)
        wait = min(wait * 2, .seconds(10))
      }
    }
  }

  /// A broker's refusal, as an error for whoever set it up.
  static func refusal(_ error: QueueError) -> InputError {
    InputError(
      "STEERSCOPE_BROKER", expected: "a broker that accepts us", found: error.message,
      remedy: "mend user, password and virtual host, or the user's rights")
  }

  /// The broker as a queue whose events are logged.
  func queue(log: @escaping LogSink, name: String, events: @escaping @Sendable (AMQPEvent) -> Void) -> AMQPQueue {
    var settings = broker
    settings.connectionName = name
    settings.version = Version.number
    return AMQPQueue(settings) { event in
      if let entry = LogEntry(event) { log(entry) }
      events(event)
    }
  }
}

extension LogEntry {
  /// What a broker's connections say, where it is worth a line.
  init?(_ event: AMQPEvent) {
    switch event {
    case .connected(let purpose, let broker):
      self.init(.info, "connected to the broker", details: ["purpose": purpose.rawValue, "broker": broker])
    case .lost(let purpose, let reason):
      self.init(.warning, "lost the broker", details: ["purpose": purpose.rawValue, "error": reason])
    case .reconnecting(let purpose, let attempt, let wait):
      self.init(
        .info, "tries the broker again",
        details: ["purpose": purpose.rawValue, "try": "\(attempt)", "seconds": "\(wait / .seconds(1))"])
    case .blocked(let reason): self.init(.warning, "the broker takes no messages", details: ["error": reason])
    case .unblocked: self.init(.info, "the broker takes messages again")
    case .channelClosed(let reason): self.init(.warning, "the broker closed a channel", details: ["error": reason])
    case .topologyRefused(let reason): self.init(.error, "the broker refuses the queues", details: ["error": reason])
    case .cancelled(let queue): self.init(.warning, "the broker ended a consumption", details: ["queue": queue])
    case .queueUnavailable(let queue, let reason):
      self.init(.warning, "a queue can't be consumed", details: ["queue": queue, "error": reason])
    case .unconfirmed(let count, let reason):
      self.init(.warning, "messages went unconfirmed", details: ["count": "\(count)", "error": reason])
    case .deadLettered(let reason):
      self.init(.error, "a message can't be read", details: ["reason": reason.rawValue])
    case .confirmed, .returned, .refused, .delivered, .acknowledged: return nil
    }
  }
}
