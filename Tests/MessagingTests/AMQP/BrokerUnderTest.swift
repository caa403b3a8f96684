import Foundation
import Messaging
import Synchronization
import TestServers

/// A real broker, with names of their own for each test.
struct BrokerUnderTest: Sendable {
  let broker: TestRabbitMQ
  /// Settings for the plain port, with a fresh prefix.
  let settings: AMQPSettings

  static func fresh() async throws -> BrokerUnderTest {
    let broker = try await TestServers.rabbitMQ()
    var settings = try AMQPSettings(parsing: broker.uri)
    settings.queuePrefix = "test-\(UUID().uuidString.prefix(12).lowercased())"
    return BrokerUnderTest(broker: broker, settings: settings)
  }

  func with(_ change: (inout AMQPSettings) -> Void) -> AMQPSettings {
    var settings = settings
    change(&settings)
    return settings
  }
}

/// Events, for tests to look at or to wait for.
final class EventLog: Sendable {
  private let events = Mutex<[AMQPEvent]>([])

  var all: [AMQPEvent] { events.withLock { $0 } }
  var observer: @Sendable (AMQPEvent) -> Void { { event in self.events.withLock { $0.append(event) } } }

  func contains(_ fits: (AMQPEvent) -> Bool) -> Bool { all.contains(where: fits) }

  /// Waits until an event has come; false after the limit.
  func has(within limit: Duration = .seconds(30), _ fits: (AMQPEvent) -> Bool) async -> Bool {
    await eventually(within: limit) { contains(fits) }
  }
}

/// Waits until something holds; false after the limit.
func eventually(within limit: Duration = .seconds(30), _ holds: () async throws -> Bool) async rethrows -> Bool {
  let end = ContinuousClock.now + limit
  while ContinuousClock.now < end {
    if try await holds() { return true }
    try? await Task.sleep(for: .milliseconds(5))
  }
  return try await holds()
}

extension QueueUnderTest {
  /// RabbitMQ, through a proxy that cuts connections.
  static let rabbitMQ = QueueUnderTest(testDescription: "RabbitMQ") {
    let under = try await BrokerUnderTest.fresh()
    let proxy = try CuttingProxy(to: under.settings.port)
    let settings = under.with { settings in
      settings.port = proxy.port
      settings.host = "127.0.0.1"
    }
    let log = EventLog()
    // The queue keeps the proxy.
    let queue = AMQPQueue(settings) { event in withExtendedLifetime(proxy) { log.observer(event) } }
    try await queue.declareTopology()
    return Instance(
      queue: queue, disconnect: { proxy.cut() },
      purge: {
        let names = ["high", "normal", "low"].map { "<<\"\(settings.queuePrefix).\($0)\">>" }.joined(separator: ", ")
        try await under.broker.control([
          "eval",
          """
          [begin
             {ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, Name)),
             {ok, _} = rabbit_amqqueue:purge(Q)
           end || Name <- [\(names)]].
          """,
        ])
      },
      deadLetterCount: {
        // Dead letters are on their way for a moment.
        _ = try await eventually(within: .seconds(5)) { try await queue.deadLetterCount() > 0 }
        return try await queue.deadLetterCount()
      },
      connectionsLost: {
        log.all.count { if case .reconnecting = $0 { true } else { false } }
      })
  }
}
