/// A consumer of an `AMQPQueue`, with a connection of its own. What it holds goes back when it is closed or dropped.
/// One caller of `next` at a time.
final class AMQPConsumer: TaskConsumer {
  private let link: Link<ConsumingRole>
  /// Kept, for it closes its connections when it goes.
  private let queue: AMQPQueue

  init(_ link: Link<ConsumingRole>, of queue: AMQPQueue) {
    self.link = link
    self.queue = queue
  }

  deinit { link.close() }

  func next(upTo limit: Int, waiting: Bool) async throws(QueueError) -> [Delivery] {
    guard waiting else { return try link.ask { role, now in role.take(upTo: limit, now: now) }.get() }
    let link = link
    return try await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        link.ask { role, now in
          role.wait(upTo: limit, now: now, isCancelled: Task.isCancelled, continuation)
        }
      }
    } onCancel: {
      link.ask { role, _ in role.endWait() }
    }.get()
  }

  func resize(prefetch: Int) async { link.ask { role, now in role.resize(prefetch: prefetch, now: now) } }

  func acknowledge(_ tags: [DeliveryTag]) async { link.ask { role, now in role.acknowledge(tags, now: now) } }

  func reject(_ tag: DeliveryTag, because letter: DeadLetter) async {
    link.ask { role, now in role.reject(tag, now: now) }
  }

  func stop() async { link.ask { role, _ in role.stop() } }

  func close() async {
    link.close()
    await link.ended()
  }
}
