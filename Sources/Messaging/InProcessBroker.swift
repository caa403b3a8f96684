internal import SweepRecords

/// The state of an in-process queue: what waits, who consumes, and what each has in hand. No locks, no waiting.
struct InProcessBroker: Sendable {
  typealias Waiter = CheckedContinuation<Result<[Delivery], QueueError>, Never>

  private struct Consumer: Sendable {
    var prefetch: Int
    var held: [UInt64: Message] = [:]
    var isStopped = false
    var waiter: (limit: Int, continuation: Waiter)?

    var room: Int { max(0, prefetch - held.count) }
  }

  private struct Message: Sendable {
    var content: OutgoingMessage
    var redelivered = false
  }

  private let capacity: Int
  private var waiting: [SweepPriority: FirstInFirstOut<Message>] = [:]
  private var consumers: [UInt64: Consumer] = [:]
  /// Consumers in the order in which they began to wait.
  private var line: [UInt64] = []
  private var handovers: [(Waiter, [Delivery])] = []
  private var lastConsumer: UInt64 = 0
  private var lastTag: UInt64 = 0
  private var epoch: UInt64 = 1
  private(set) var deadLetterCount = 0
  private(set) var deadLetters: [(delivery: Delivery, letter: DeadLetter)] = []

  init(capacity: Int) { self.capacity = max(1, capacity) }

  var waitingCount: Int { waiting.values.reduce(0) { $0 + $1.count } }
  var heldCount: Int { consumers.values.reduce(0) { $0 + $1.held.count } }

  /// False when the queue is full.
  mutating func publish(_ message: OutgoingMessage) -> Bool {
    guard waiting[message.priority, default: .init()].count < capacity else { return false }
    waiting[message.priority, default: .init()].append(Message(content: message))
    serveLine()
    return true
  }

  mutating func addConsumer(prefetch: Int) -> UInt64 {
    lastConsumer += 1
    consumers[lastConsumer] = Consumer(prefetch: max(1, prefetch))
    return lastConsumer
  }

  mutating func resizeConsumer(_ number: UInt64, prefetch: Int) {
    consumers[number]?.prefetch = max(1, prefetch)
    serveLine()
  }

  /// What is there now for a consumer, within its prefetch.
  mutating func take(_ number: UInt64, upTo limit: Int) -> Result<[Delivery], QueueError> {
    guard let consumer = consumers[number] else { return .failure(QueueError(.closed, "the consumer is closed")) }
    guard !consumer.isStopped else { return .success([]) }
    return .success(deliver(to: number, min(limit, consumer.room)))
  }

  /// Lets a consumer wait for deliveries. Returns what it gets at once instead, if anything.
  mutating func wait(
    _ number: UInt64, upTo limit: Int, isCancelled: Bool, _ continuation: Waiter
  ) -> Result<[Delivery], QueueError>? {
    let now = take(number, upTo: max(1, limit))
    guard case .success(let deliveries) = now, deliveries.isEmpty, !isCancelled, var consumer = consumers[number],
      !consumer.isStopped
    else { return now }
    guard consumer.waiter == nil else { return .failure(QueueError(.closed, "the consumer is waited for already")) }
    consumer.waiter = (max(1, limit), continuation)
    consumers[number] = consumer
    line.append(number)
    return nil
  }

  /// Sends a waiting consumer away empty-handed.
  mutating func endWait(_ number: UInt64) {
    guard let waiter = consumers[number]?.waiter else { return }
    consumers[number]?.waiter = nil
    line.removeAll { $0 == number }
    handovers.append((waiter.continuation, []))
  }

  mutating func acknowledge(_ number: UInt64, _ tags: [DeliveryTag]) {
    for tag in tags where tag.epoch == epoch { consumers[number]?.held[tag.number] = nil }
    serveLine()
  }

  mutating func reject(_ number: UInt64, _ tag: DeliveryTag, _ letter: DeadLetter) {
    guard tag.epoch == epoch, let message = consumers[number]?.held.removeValue(forKey: tag.number) else { return }
    deadLetterCount += 1
    deadLetters.append((delivery(of: message, tag: tag), letter))
    if deadLetters.count > 1000 { deadLetters.removeFirst() }
    serveLine()
  }

  mutating func stopConsumer(_ number: UInt64) {
    consumers[number]?.isStopped = true
    endWait(number)
  }

  mutating func removeConsumer(_ number: UInt64) {
    endWait(number)
    takeBack(from: number)
    consumers[number] = nil
    serveLine()
  }

  mutating func purge() -> Int {
    let count = waitingCount
    waiting = [:]
    return count
  }

  mutating func disconnect() {
    for number in consumers.keys.sorted(by: >) { takeBack(from: number) }
    epoch += 1
    serveLine()
  }

  /// Deliveries for those who waited, to be resumed outside the lock.
  mutating func takeHandovers() -> [(Waiter, [Delivery])] {
    defer { handovers = [] }
    return handovers
  }

  /// Puts what a consumer holds back to the front, in the old order.
  private mutating func takeBack(from number: UInt64) {
    guard let held = consumers[number]?.held else { return }
    consumers[number]?.held = [:]
    for (_, message) in held.sorted(by: { $0.key > $1.key }) {
      var message = message
      message.redelivered = true
      waiting[message.content.priority, default: .init()].prepend(message)
    }
  }

  private mutating func serveLine() {
    for number in line {
      guard let consumer = consumers[number], let waiter = consumer.waiter else { continue }
      let deliveries = deliver(to: number, min(waiter.limit, consumer.room))
      guard !deliveries.isEmpty else { continue }
      consumers[number]?.waiter = nil
      line.removeAll { $0 == number }
      handovers.append((waiter.continuation, deliveries))
    }
  }

  private mutating func deliver(to number: UInt64, _ count: Int) -> [Delivery] {
    var deliveries: [Delivery] = []
    for priority in SweepPriority.allCases {
      while deliveries.count < count, let message = waiting[priority]?.popFirst() {
        lastTag += 1
        consumers[number]?.held[lastTag] = message
        deliveries.append(delivery(of: message, tag: DeliveryTag(epoch: epoch, number: lastTag)))
      }
    }
    return deliveries
  }

  private func delivery(of message: Message, tag: DeliveryTag) -> Delivery {
    Delivery(
      tag: tag, priority: message.content.priority, id: message.content.id, body: message.content.body,
      redelivered: message.redelivered)
  }
}
