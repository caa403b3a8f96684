/// What happens on connections to the broker, for metrics and logs. No event holds a secret.
package enum AMQPEvent: Sendable, Equatable {
  package enum Purpose: String, Sendable, CaseIterable { case publishing, consuming }

  case connected(Purpose, broker: String)
  case lost(Purpose, reason: String)
  case reconnecting(Purpose, attempt: Int, wait: Duration)
  /// The broker takes no messages: it is short of memory or disk.
  case blocked(reason: String)
  case unblocked
  /// A channel was closed by the broker, and is opened anew.
  case channelClosed(reason: String)
  case topologyRefused(reason: String)

  case confirmed(latency: Duration)
  /// No queue took a message.
  case returned(id: String)
  /// A queue refused a message: it is full.
  case refused
  /// Messages of which nobody knows whether they arrived.
  case unconfirmed(count: Int, reason: String)

  case delivered(count: Int)
  case acknowledged(count: Int)
  /// A message went to the dead letters before any caller saw it. Of those that it rejects a caller knows itself.
  case deadLettered(DeadLetter.Reason)
  /// The broker ended the consumption of a queue: it was deleted, or moves.
  case cancelled(queue: String)
  /// A queue can't be consumed; it is tried again after a while.
  case queueUnavailable(queue: String, reason: String)
}

/// Whether the broker can be worked with at present.
package enum AMQPState: Sendable, Equatable {
  /// No connection was asked for yet.
  case idle
  case connecting
  case ready
  /// Connected, but the broker takes no messages.
  case blocked(reason: String)
  /// Not connected, and why.
  case lost(reason: String)
  case closed
}
