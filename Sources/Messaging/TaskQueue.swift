package import SweepRecords

/// Carries messages from a coordinator to workers, at least once: it may lose, repeat, delay and reorder them, and no
/// harm is done (protocol.md). There is a queue for each priority.
package protocol TaskQueue: Sendable {
  /// Publishes messages, each to the queue of its priority, and waits until the fate of all is known.
  ///
  /// - Returns: the fates, in the order of the messages.
  func publish(_ messages: [OutgoingMessage]) async -> [PublishOutcome]

  /// Starts to deliver messages to a new consumer, from all queues, the more urgent first.
  ///
  /// - Parameters:
  ///   - name: who consumes: shown by the broker's tools.
  ///   - prefetch: how many deliveries the consumer holds at most, unacknowledged ones included; at least 1.
  func consume(as name: String, prefetch: Int) async throws(QueueError) -> any TaskConsumer
}

/// Receives messages. Everything that it holds unacknowledged goes back to the queue when it closes or is lost.
package protocol TaskConsumer: Sendable {
  /// Up to `limit` deliveries.
  ///
  /// - Parameter waiting: whether to wait until there is one; else the reply may be empty.
  /// - Returns: empty as well when `stop`, `close` or the calling task's cancellation ends the waiting.
  /// - Throws: `QueueError` when no more will come: the caller consumes anew.
  func next(upTo limit: Int, waiting: Bool) async throws(QueueError) -> [Delivery]

  /// Changes how many deliveries the consumer holds at most, on the connection that it has. Those in the caller's hands
  /// stay there, to be acknowledged as ever; what waits for the caller beyond a smaller number goes back.
  ///
  /// - Parameter prefetch: unacknowledged ones included; at least 1.
  func resize(prefetch: Int) async

  /// Says that deliveries are dealt with. Tags of an earlier epoch are ignored: those messages have gone back.
  func acknowledge(_ tags: [DeliveryTag]) async

  /// Sends a delivery to the dead letters.
  func reject(_ tag: DeliveryTag, because letter: DeadLetter) async

  /// Ends deliveries; those in hand can still be acknowledged. Safe to repeat.
  func stop() async

  /// Ends everything; what is unacknowledged goes back. Safe to repeat.
  func close() async
}

/// A message to publish.
package struct OutgoingMessage: Sendable, Equatable {
  /// The message id, `task:dispatch`.
  package var id: String
  package var priority: SweepPriority
  package var body: [UInt8]

  package init(id: String, priority: SweepPriority, body: [UInt8]) {
    self.id = id
    self.priority = priority
    self.body = body
  }
}

/// What became of a published message.
package enum PublishOutcome: Sendable, Equatable {
  /// The queue has it.
  case confirmed
  /// There was no queue to put it in.
  case returned
  /// The queue would not take it: it is full.
  case refused
  /// The connection was lost, or never there: it may have arrived or not.
  case unknown(QueueError)
}

/// Names a delivery to a consumer. Meaningless after the connection that it came through is gone, even if the consumer
/// has a new one: so the epoch of the connection is part of it.
package struct DeliveryTag: Hashable, Sendable {
  package var epoch: UInt64
  package var number: UInt64

  package init(epoch: UInt64, number: UInt64) {
    self.epoch = epoch
    self.number = number
  }
}

/// A message in a consumer's hands.
package struct Delivery: Sendable, Equatable {
  package var tag: DeliveryTag
  package var priority: SweepPriority
  /// The message id as the publisher gave it; not to be trusted.
  package var id: String
  package var body: [UInt8]
  /// False when no consumer has had it before.
  package var redelivered: Bool

  package init(tag: DeliveryTag, priority: SweepPriority, id: String, body: [UInt8], redelivered: Bool) {
    self.tag = tag
    self.priority = priority
    self.id = id
    self.body = body
    self.redelivered = redelivered
  }
}

/// What went wrong with a queue.
package struct QueueError: Error, Sendable, Equatable, CustomStringConvertible {
  package enum Code: String, Sendable, CaseIterable {
    /// The broker can't be reached, or the connection broke: it may work later.
    case unreachable
    /// The queue, or this consumer of it, was closed here.
    case closed
    /// The broker refuses us: wrong user, no rights, a queue of other properties.
    case refused
  }
  package var code: Code
  package var message: String

  package init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  package var description: String { message }
}
