internal import Synchronization

/// The queue of an embedded run: in memory, in this process. It loses nothing while the process lives, and all with it;
/// the database knows what was in it.
package final class InProcessQueue: TaskQueue {
  private let broker: Mutex<InProcessBroker>

  /// - Parameter capacity: how many messages wait at most, for each priority; more are refused.
  package init(capacity: Int = 10_000) {
    broker = Mutex(InProcessBroker(capacity: capacity))
  }

  package func publish(_ messages: [OutgoingMessage]) async -> [PublishOutcome] {
    change { broker in
      messages.map { broker.publish($0) ? .confirmed : .refused }
    }
  }

  package func consume(as name: String, prefetch: Int) async throws(QueueError) -> any TaskConsumer {
    InProcessConsumer(queue: self, number: change { $0.addConsumer(prefetch: prefetch) })
  }

  /// How many messages wait, and how many are in consumers' hands.
  package var counts: (waiting: Int, unacknowledged: Int) { broker.withLock { ($0.waitingCount, $0.heldCount) } }

  /// How many messages were rejected since the start.
  package var deadLetterCount: Int { broker.withLock { $0.deadLetterCount } }

  /// The latest rejected messages, at most 1,000, and why.
  package var deadLetters: [(delivery: Delivery, letter: DeadLetter)] { broker.withLock { $0.deadLetters } }

  /// Throws away what waits, as an operator may at any time. Returns how many it was.
  @discardableResult
  package func purge() -> Int { change { $0.purge() } }

  /// Does what a lost connection does: all unacknowledged messages go back, and tags given out so far mean nothing.
  package func disconnect() { change { $0.disconnect() } }

  /// Changes the broker's state, then hands deliveries to those who wait for them.
  fileprivate func change<Result: Sendable>(_ body: @Sendable (inout InProcessBroker) -> Result) -> Result {
    let (result, handed) = broker.withLock { broker in
      let result = body(&broker)
      return (result, broker.takeHandovers())
    }
    for (continuation, deliveries) in handed { continuation.resume(returning: .success(deliveries)) }
    return result
  }

  fileprivate func next(
    consumer: UInt64, upTo limit: Int, waiting: Bool
  ) async -> Swift.Result<[Delivery], QueueError> {
    guard waiting else { return change { $0.take(consumer, upTo: limit) } }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let refused = change { broker in
          broker.wait(consumer, upTo: limit, isCancelled: Task.isCancelled, continuation)
        }
        if let refused { continuation.resume(returning: refused) }
      }
    } onCancel: {
      change { $0.endWait(consumer) }
    }
  }
}

/// A consumer of an `InProcessQueue`; what it holds goes back when it is closed or dropped. One caller of `next` at a
/// time.
private final class InProcessConsumer: TaskConsumer {
  private let queue: InProcessQueue
  private let number: UInt64

  init(queue: InProcessQueue, number: UInt64) {
    self.queue = queue
    self.number = number
  }

  deinit { queue.change { [number] in $0.removeConsumer(number) } }

  func next(upTo limit: Int, waiting: Bool) async throws(QueueError) -> [Delivery] {
    try await queue.next(consumer: number, upTo: limit, waiting: waiting).get()
  }

  func resize(prefetch: Int) async { queue.change { $0.resizeConsumer(number, prefetch: prefetch) } }

  func acknowledge(_ tags: [DeliveryTag]) async { queue.change { $0.acknowledge(number, tags) } }

  func reject(_ tag: DeliveryTag, because letter: DeadLetter) async { queue.change { $0.reject(number, tag, letter) } }

  func stop() async { queue.change { $0.stopConsumer(number) } }

  func close() async { queue.change { $0.removeConsumer(number) } }
}
