internal import Synchronization

/// The queues of a cluster, on a RabbitMQ broker: one connection for publishing, made when it is first needed, and one
/// for each consumer. Connections that break are made anew, with growing waits.
package final class AMQPQueue: TaskQueue {
  private let settings: AMQPSettings
  private let observer: @Sendable (AMQPEvent) -> Void
  private let links = Mutex<Links>(Links())

  private struct Links {
    var publisher: Link<PublishingRole>?
    var consumers: [ObjectIdentifier: Link<ConsumingRole>] = [:]
    var isClosed = false
    /// Why the last attempt to consume failed, if it did.
    var failure: QueueError?
  }

  /// - Parameter observer: hears what happens, for metrics and logs; called from any thread, and must not wait.
  package init(_ settings: AMQPSettings, observer: @escaping @Sendable (AMQPEvent) -> Void = { _ in }) {
    self.settings = settings
    self.observer = observer
  }

  deinit {
    let (publisher, consumers) = links.withLock { ($0.publisher, $0.consumers.values.map { $0 }) }
    publisher?.close()
    for consumer in consumers { consumer.close() }
  }

  private var topology: AMQPTopology { AMQPTopology(prefix: settings.queuePrefix) }
  private static var closed: QueueError { QueueError(.closed, "the queue was closed") }

  // MARK: Publishing

  package func publish(_ messages: [OutgoingMessage]) async -> [PublishOutcome] {
    guard !messages.isEmpty else { return [] }
    guard let publisher = publisher() else { return messages.map { _ in .unknown(Self.closed) } }
    let batch = Mutex<Int?>(nil)
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        publisher.ask { role, now in
          let number = role.publish(messages, now: now, continuation)
          batch.withLock { $0 = number }
          if Task.isCancelled { role.abandon(number) }
        }
      }
    } onCancel: {
      publisher.ask { role, _ in
        if let number = batch.withLock({ $0 }) { role.abandon(number) }
      }
    }
  }

  /// Declares exchange, queues and bindings; what is there already stays. From now on this queue also restores what is
  /// missing: after each connection, and when a message is returned.
  ///
  /// - Throws: `.refused` where a queue of other properties stands in the way, or rights are missing: the message says
  ///   which, and what to do; `.unreachable`.
  package func declareTopology() async throws(QueueError) {
    _ = try await answer { $0.declare($1) }
  }

  /// How many dead letters wait for a person.
  package func deadLetterCount() async throws(QueueError) -> Int {
    try await answer { $0.countDeadLetters($1) }
  }

  private func answer(
    _ question: @Sendable (inout PublishingRole, PublishingRole.Answer) -> Void
  ) async throws(QueueError) -> Int {
    guard let publisher = publisher() else { throw Self.closed }
    return try await withCheckedContinuation { continuation in
      publisher.ask { role, _ in question(&role, continuation) }
    }.get()
  }

  private func publisher() -> Link<PublishingRole>? {
    links.withLock { links in
      guard !links.isClosed else { return nil }
      if let publisher = links.publisher { return publisher }
      let role = PublishingRole(
        topology: topology, window: settings.confirmWindow, capacity: settings.publishCapacity,
        timeLimit: .seconds(settings.publishLimit))
      let made = Link(
        settings, purpose: .publishing, name: "\(settings.connectionName) publisher", role: role,
        perform: { [observer] effect in
          switch effect {
          case .published(let outcomes, let continuation): continuation.resume(returning: outcomes)
          case .answered(let result, let continuation): continuation.resume(returning: result)
          case .event(let event): observer(event)
          }
        }, observe: observer)
      links.publisher = made
      return made
    }
  }

  // MARK: Consuming

  package func consume(as name: String, prefetch: Int) async throws(QueueError) -> any TaskConsumer {
    let role = ConsumingRole(topology: topology, name: name, prefetch: prefetch)
    let link: Link<ConsumingRole>? = links.withLock { links in
      guard !links.isClosed else { return nil }
      links.consumers = links.consumers.filter { !$0.value.hasEnded }
      let link = Link(
        settings, purpose: .consuming, name: "\(settings.connectionName) \(name)", role: role,
        perform: { [observer] effect in
          switch effect {
          case .handed(let deliveries, let waiter): waiter.resume(returning: deliveries)
          case .started(let error, let start): start.resume(returning: error)
          case .event(let event): observer(event)
          }
        }, observe: observer)
      links.consumers[ObjectIdentifier(link)] = link
      return link
    }
    guard let link else { throw Self.closed }
    let consumer = AMQPConsumer(link, of: self)
    let error = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in link.ask { role, _ in role.whenStarted(continuation) } }
    } onCancel: {
      link.close()
    }
    links.withLock { $0.failure = error }
    if let error {
      link.close()
      throw error
    }
    return consumer
  }

  // MARK: All connections

  /// Whether the broker can be worked with: the worst of the connections that are in use.
  package var state: AMQPState {
    let (isClosed, states) = links.withLock { links in
      var states = links.consumers.values.filter { !$0.hasEnded }.map(\.state)
      if let publisher = links.publisher { states.append(publisher.state) }
      if let failure = links.failure { states.append(.lost(reason: failure.message)) }
      return (links.isClosed, states)
    }
    if isClosed { return .closed }
    return states.max { $0.severity < $1.severity } ?? .idle
  }

  /// Closes all connections; what waits to be published is `unknown`. Safe to repeat.
  package func close() async {
    let (publisher, consumers) = links.withLock { links in
      links.isClosed = true
      return (links.publisher, links.consumers.values.map { $0 })
    }
    publisher?.close()
    for consumer in consumers { consumer.close() }
    await publisher?.ended()
    for consumer in consumers { await consumer.ended() }
  }
}

extension AMQPState {
  fileprivate var severity: Int {
    switch self {
    case .closed: 0
    case .idle: 1
    case .ready: 2
    case .connecting: 3
    case .blocked: 4
    case .lost: 5
    }
  }
}
