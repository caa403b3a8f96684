package import Messaging
package import Telemetry

/// What happens on connections to the broker, as metrics: hand `note` to the queue. No label is a message's.
package struct BrokerMetrics: Sendable {
  private let connected: Labelled<Gauge>
  private let connections: Labelled<Counter>
  private let reconnects: Labelled<Counter>
  private let blocked: Gauge
  private let channels: Counter
  private let refusals: Counter
  private let confirmations: Histogram
  private let unconfirmed: Labelled<Counter>
  private let delivered: Counter
  private let acknowledged: Counter
  private let interruptions: Counter
  private let deadLetters: Labelled<Counter>

  package init(_ metrics: Metrics) {
    connected = metrics.gauge(
      "steerscope_broker_connected", "1 while connected to the broker, by what for; none before it was tried.",
      labels: ["purpose"])
    connections = metrics.counter(
      "steerscope_broker_connections_total", "Connections to the broker that were made.", labels: ["purpose"])
    reconnects = metrics.counter(
      "steerscope_broker_reconnects_total", "Times that a connection is to be made anew after a failure.",
      labels: ["purpose"])
    blocked = metrics.gauge("steerscope_broker_blocked", "1 while the broker takes no messages.")
    channels = metrics.counter("steerscope_broker_channels_closed_total", "Channels that the broker closed.")
    refusals = metrics.counter(
      "steerscope_topology_refused_total", "Times that the broker would not have the queues as they must be.")
    confirmations = metrics.histogram(
      "steerscope_confirm_seconds", "Seconds from a message to the broker's confirmation.",
      buckets: Histogram.requestSeconds)
    unconfirmed = metrics.counter(
      "steerscope_messages_unconfirmed_total", "Messages that were not confirmed, by why.", labels: ["reason"])
    delivered = metrics.counter("steerscope_messages_delivered_total", "Messages that came.")
    acknowledged = metrics.counter("steerscope_messages_acknowledged_total", "Messages that were dealt with.")
    interruptions = metrics.counter(
      "steerscope_consumption_interruptions_total", "Times that the broker ended or refused a queue's consumption.")
    deadLetters = WorkerMetrics.deadLetters(metrics)
    unconfirmed.prepare(["returned", "refused", "unknown"])
  }

  package func note(_ event: AMQPEvent) {
    switch event {
    case .connected(let purpose, _):
      connected(purpose.rawValue).set(1)
      connections(purpose.rawValue).increment()
    case .lost(let purpose, _): connected(purpose.rawValue).set(0)
    case .reconnecting(let purpose, _, _):
      connected(purpose.rawValue).set(0)
      reconnects(purpose.rawValue).increment()
    case .blocked: blocked.set(1)
    case .unblocked: blocked.set(0)
    case .channelClosed: channels.increment()
    case .topologyRefused: refusals.increment()
    case .confirmed(let latency): confirmations.observe(latency.inSeconds)
    case .returned: unconfirmed("returned").increment()
    case .refused: unconfirmed("refused").increment()
    case .unconfirmed(let count, _): unconfirmed("unknown").increment(by: count)
    case .delivered(let count): delivered.increment(by: count)
    case .acknowledged(let count): acknowledged.increment(by: count)
    case .deadLettered(let reason): deadLetters(reason.rawValue).increment()
    case .cancelled, .queueUnavailable: interruptions.increment()
    }
  }
}
