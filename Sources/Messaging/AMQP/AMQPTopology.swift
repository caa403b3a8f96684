package import SweepRecords

/// The exchange, queues and bindings that tasks travel through. What is declared here can't be changed by an operator;
/// everything tunable is a policy (`ops/rabbitmq/definitions.json`).
package struct AMQPTopology: Sendable, Equatable {
  /// A durable direct exchange.
  package struct Exchange: Sendable, Equatable {
    package var name: String
  }

  /// A durable quorum queue.
  package struct Queue: Sendable, Equatable {
    package var name: String
    /// Where rejected messages go; nil for the queue of dead letters itself.
    package var deadLetters: (exchange: String, routingKey: String)?
    /// How often a message may come back unacknowledged before it is a dead letter.
    package var deliveryLimit: Int32?

    package static func == (a: Queue, b: Queue) -> Bool {
      a.name == b.name && a.deliveryLimit == b.deliveryLimit
        && a.deadLetters?.exchange == b.deadLetters?.exchange
        && a.deadLetters?.routingKey == b.deadLetters?.routingKey
    }

    /// The arguments of its declaration, in order of their names.
    package var arguments: [(name: String, value: Argument)] {
      var arguments: [(name: String, value: Argument)] = []
      if let deadLetters {
        arguments.append(("x-dead-letter-exchange", .text(deadLetters.exchange)))
        arguments.append(("x-dead-letter-routing-key", .text(deadLetters.routingKey)))
      }
      if let deliveryLimit { arguments.append(("x-delivery-limit", .number(deliveryLimit))) }
      arguments.append(("x-queue-type", .text("quorum")))
      return arguments
    }
  }

  package enum Argument: Sendable, Equatable {
    case text(String)
    case number(Int32)
  }

  package struct Binding: Sendable, Equatable {
    package var queue: String
    package var exchange: String
    package var routingKey: String
  }

  /// A second net below the lease protocol: what RabbitMQ 4 sets by itself, and 3 does not.
  package static let deliveryLimit: Int32 = 20
  /// What the names begin with unless settings say otherwise.
  package static let defaultPrefix = "steerscope"

  package let prefix: String

  package init(prefix: String = AMQPTopology.defaultPrefix) { self.prefix = prefix }

  package var exchange: Exchange { Exchange(name: "\(prefix).tasks") }
  package var deadLetterQueue: String { "\(prefix).dead" }
  package func queue(_ priority: SweepPriority) -> String { "\(prefix).\(priority.rawValue)" }
  package func routingKey(_ priority: SweepPriority) -> String { priority.rawValue }

  package var queues: [Queue] {
    SweepPriority.allCases.map {
      Queue(name: queue($0), deadLetters: (exchange.name, "dead"), deliveryLimit: Self.deliveryLimit)
    } + [Queue(name: deadLetterQueue, deadLetters: nil, deliveryLimit: nil)]
  }

  package var bindings: [Binding] {
    SweepPriority.allCases.map {
      Binding(queue: queue($0), exchange: exchange.name, routingKey: routingKey($0))
    } + [Binding(queue: deadLetterQueue, exchange: exchange.name, routingKey: "dead")]
  }

  /// What declares all of it, in an order in which nothing refers to what is not there yet.
  var declarations: [ClientMethod] {
    [.exchangeDeclare(exchange)] + queues.map { .queueDeclare($0) } + bindings.map { .queueBind($0) }
  }
}
