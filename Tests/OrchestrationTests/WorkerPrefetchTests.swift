import Messaging
import Orchestration
import OrchestrationSupport
import Storage
import SweepRecords
import Testing

/// Batches grow and shrink, and with them what a worker holds; it keeps its consumer.
@Suite(.timeLimit(.minutes(1)))
struct WorkerPrefetchTests {
  /// A queue that counts what it is asked for.
  private final class CountingQueue: TaskQueue {
    let inner = InProcessQueue()
    let consumptions = Collected<Int>()
    let resizes = Collected<Int>()

    func publish(_ messages: [OutgoingMessage]) async -> [PublishOutcome] { await inner.publish(messages) }

    func consume(as name: String, prefetch: Int) async throws(QueueError) -> any TaskConsumer {
      consumptions.add(prefetch)
      return CountingConsumer(inner: try await inner.consume(as: name, prefetch: prefetch), resizes: resizes)
    }
  }

  private struct CountingConsumer: TaskConsumer {
    let inner: any TaskConsumer
    let resizes: Collected<Int>

    func next(upTo limit: Int, waiting: Bool) async throws(QueueError) -> [Delivery] {
      try await inner.next(upTo: limit, waiting: waiting)
    }
    func resize(prefetch: Int) async {
      resizes.add(prefetch)
      await inner.resize(prefetch: prefetch)
    }
    func acknowledge(_ tags: [DeliveryTag]) async { await inner.acknowledge(tags) }
    func reject(_ tag: DeliveryTag, because letter: DeadLetter) async { await inner.reject(tag, because: letter) }
    func stop() async { await inner.stop() }
    func close() async { await inner.close() }
  }

  @Test func otherBatchesNeedNoOtherConsumer() async throws {
    let world = try SweepWorld()
    let sweep = try await world.submit()
    let queue = CountingQueue()
    let time = world.time
    // Short tasks, then a long one: batches grow, and are small again.
    let executor = PretendExecutor { work, _, _ throws(TaskFault) in
      time.advance(work.kind == .score ? .seconds(2) : .milliseconds(1))
    }
    let worker = try await world.worker(executor: executor, queue: queue) { $0.batch = BatchSize(target: 1, limit: 8) }
    #expect(try await world.run(sweep, [world.coordinator(queue: queue)], [worker]) == .done)
    try await world.expectAsUndisturbed()
    #expect(queue.consumptions.all == [1])
    let sizes = queue.resizes.all
    #expect(sizes.count >= 2 && sizes.contains { $0 > 1 } && sizes.last == 1, "\(sizes)")
    // Each is news.
    #expect(zip([1] + sizes, sizes).allSatisfy { $0 != $1 })
  }
}
