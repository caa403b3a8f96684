internal import Diagnostics
internal import SweepRecords

/// Consumes the queues of a topology on channel 1, and asks on channel 2 whether they are there.
struct ConsumingRole: LinkRole {
  static let channel: UInt16 = 1

  typealias Waiter = CheckedContinuation<Result<[Delivery], QueueError>, Never>
  typealias Start = CheckedContinuation<QueueError?, Never>

  enum Effect: Sendable {
    case handed(Result<[Delivery], QueueError>, Waiter)
    case started(QueueError?, Start)
    case event(AMQPEvent)
  }

  private enum State: Equatable {
    case closed(openAt: Duration)
    case opening, settingPrefetch, open
    /// Open, with consumption cancelled, until the broker has another prefetch for it.
    case changingPrefetch
  }

  private let topology: AMQPTopology
  private var tags: ConsumerTags
  private var state = State.closed(openAt: .zero)
  private var isConnected = false
  private var reopening = ReconnectPolicy()
  private var openedAt: Duration = .zero
  private var subscriptions: SubscriptionList
  private var ledger: DeliveryLedger
  /// What the broker was told of on this channel. It counts for consumptions that begin later.
  private var announcedPrefetch = 0
  private var assembler = ContentAssembler(limit: TaskMessage.sizeLimit)
  private var service = ServiceChannel()
  private var replies: [ClientOutput] = []
  private var effects: [Effect] = []
  private var start: Start?
  private var hasStarted = false
  private var waiter: (limit: Int, continuation: Waiter)?
  private var isStopped = false
  /// Since when the caller's hands are full.
  private var busySince: Duration?
  /// Whether consumption rests until the caller has room: what would come could be had by others.
  private var isResting = false
  private var isClosing = false
  /// Why no more will come.
  private var ended: QueueError?

  init(topology: AMQPTopology, name: String, prefetch: Int) {
    self.topology = topology
    tags = ConsumerTags(name: name)
    ledger = DeliveryLedger(prefetch: min(prefetch, Self.largestPrefetch))
    subscriptions = SubscriptionList()
  }

  /// More a quorum queue does not grant.
  private static let largestPrefetch = 2000

  // MARK: What the caller asks for

  /// Tells when the first queue is consumed, or why none can be.
  mutating func whenStarted(_ continuation: Start) {
    if hasStarted || ended != nil { effects.append(.started(ended, continuation)) } else { start = continuation }
  }

  mutating func take(upTo limit: Int, now: Duration) -> Result<[Delivery], QueueError> {
    if isStopped, !isClosing { return .success([]) }
    let taken = ledger.take(upTo: limit)
    if taken.isEmpty, let ended { return .failure(ended) }
    noteRoom(now)
    if !taken.isEmpty { effects.append(.event(.delivered(count: taken.count))) }
    return .success(taken)
  }

  /// Hands over deliveries, as soon as there are some.
  mutating func wait(upTo limit: Int, now: Duration, isCancelled: Bool, _ continuation: Waiter) {
    let taken = take(upTo: max(1, limit), now: now)
    if case .success(let deliveries) = taken, deliveries.isEmpty, !isCancelled, !isStopped {
      guard waiter == nil else {
        let error = QueueError(.closed, "the consumer is waited for already")
        return effects.append(.handed(.failure(error), continuation))
      }
      waiter = (max(1, limit), continuation)
    } else {
      effects.append(.handed(taken, continuation))
    }
  }

  /// Sends a waiting caller away empty-handed.
  mutating func endWait() {
    guard let waiter else { return }
    self.waiter = nil
    effects.append(.handed(.success([]), waiter.continuation))
  }

  /// Consumes with another prefetch on the same channel: cancels what is consumed, and consumes anew.
  mutating func resize(prefetch: Int, now: Duration) {
    ledger.resize(to: min(prefetch, Self.largestPrefetch))
    serveWaiter(now: now)
  }

  mutating func acknowledge(_ tags: [DeliveryTag], now: Duration) {
    let count = tags.count { ledger.acknowledge($0) }
    if count > 0 { effects.append(.event(.acknowledged(count: count))) }
    serveWaiter(now: now)
  }

  mutating func reject(_ tag: DeliveryTag, now: Duration) {
    if ledger.reject(tag) { serveWaiter(now: now) }
  }

  /// Notes whether the caller could take more. Room ends a rest.
  private mutating func noteRoom(_ now: Duration) {
    guard ledger.room == 0 else {
      busySince = nil
      if isResting { subscriptions.resume() }
      return isResting = false
    }
    if busySince == nil { busySince = now }
  }

  /// While the caller works on a long task, urgent messages that wait here could be worked on elsewhere: they go back,
  /// and consumption rests.
  private mutating func restIfBusy(_ now: Duration) {
    guard !isResting, let busySince, now - busySince >= Self.patience else { return }
    isResting = true
    ledger.giveBackBuffered()
  }

  private static let patience = Duration.seconds(1)

  /// Ends consumption; what the caller has not taken goes back.
  mutating func stop() {
    guard !isStopped else { return }
    isStopped = true
    ledger.giveBackBuffered()
    endWait()
    finishStart(QueueError(.closed, "the consumer was stopped"))
  }

  // MARK: Connection

  var wantsConnection: Bool { ended == nil && !(isStopped && !isConnected) }

  mutating func connected(now: Duration) {
    isConnected = true
    state = .closed(openAt: now)
    subscriptions = SubscriptionList()
  }

  mutating func disconnected(_ fault: LinkFault, now: Duration) -> Bool {
    isConnected = false
    loseChannel()
    _ = service.reset()
    state = .closed(openAt: now)
    // The first attempt must succeed, or the caller hears why; later losses are mended here, refusals are not.
    if fault.code == .refused || !hasStarted || isClosing {
      end(isClosing ? QueueError(.closed, "the consumer is closed") : fault.queueError)
    }
    return ended == nil && !isStopped
  }

  mutating func blocked(_ isBlocked: Bool) {}

  mutating func close(now: Duration) {
    isClosing = true
    stop()
    end(QueueError(.closed, "the consumer is closed"))
  }

  private mutating func end(_ error: QueueError) {
    if ended == nil { ended = error }
    finishStart(error)
    if let waiter {
      self.waiter = nil
      effects.append(.handed(.failure(error), waiter.continuation))
    }
  }

  private mutating func finishStart(_ error: QueueError?) {
    if error == nil { hasStarted = true }
    guard let start else { return }
    self.start = nil
    effects.append(.started(error, start))
  }

  /// Everything unacknowledged has gone back to the queues.
  private mutating func loseChannel() {
    ledger.begin(epoch: ledger.epoch + 1)
    (busySince, isResting) = (nil, false)
    assembler = ContentAssembler(limit: TaskMessage.sizeLimit)
    subscriptions.lose()
    tags.forgetEarlier()
    replies = []
  }

  // MARK: Sending

  mutating func output(now: Duration) -> ClientOutput? {
    if !replies.isEmpty { return replies.removeFirst() }
    if let output = service.output(now: now) { return output }
    switch state {
    case .opening, .settingPrefetch: return nil
    case .closed(let openAt):
      guard openAt <= now, !isStopped else { return nil }
      state = .opening
      return .method(channel: Self.channel, .channelOpen)
    case .open, .changingPrefetch:
      // Before what goes back, or it would come right back here.
      if let cancellation = cancellation() { return cancellation }
      if let settlement = ledger.output() { return .method(channel: Self.channel, settlement) }
      return state == .open ? subscription(now: now) : nil
    }
  }

  private var isResized: Bool { announcedPrefetch != ledger.prefetch }

  /// Ends a consumption that brings too much, or too little.
  private mutating func cancellation() -> ClientOutput? {
    guard isStopped || isResting || isResized else { return nil }
    return subscriptions.nextToCancel().map { .method(channel: Self.channel, .cancel(tag: tags.tag(of: $0))) }
  }

  /// Goes on with the subscriptions: the more urgent queue first, one question at a time.
  private mutating func subscription(now: Duration) -> ClientOutput? {
    guard !isStopped, !isResting else { return nil }
    if isResized {
      guard !subscriptions.isAsking else { return nil }
      tags.renew()
      state = .changingPrefetch
      return announcePrefetch()
    }
    // The less urgent queues are asked for what the more urgent ones did not have.
    guard let step = subscriptions.next(now: now, wantsMore: wantsMore) else { return nil }
    switch step {
    case .probe(let priority):
      subscriptions.took(step, request: service.request(.queueInquire(topology.queue(priority))))
      return service.output(now: now)
    case .consume(let priority):
      subscriptions.took(step)
      return .method(channel: Self.channel, .consume(queue: topology.queue(priority), tag: tags.tag(of: priority)))
    case .settle(let priority):
      subscriptions.took(step)
      // By the time that this is answered, what waited in the queue has come: the next queue is less urgent.
      return .method(channel: Self.channel, .queueInquire(topology.queue(priority)))
    }
  }

  private var wantsMore: Bool { ledger.bufferedCount < ledger.room }

  private mutating func announcePrefetch() -> ClientOutput {
    announcedPrefetch = ledger.prefetch
    return .method(channel: Self.channel, .qos(prefetch: UInt16(clamping: announcedPrefetch)))
  }

  /// The priority of a consumer of ours; nil for one of an earlier prefetch, which is cancelled.
  private func currentPriority(ofTag tag: String) -> SweepPriority? {
    tags.consumer(tag).flatMap { $0.isCurrent ? $0.priority : nil }
  }

  var awaited: [String] {
    let own: String? =
      switch state {
      case .opening: "channel.open"
      case .settingPrefetch, .changingPrefetch: "basic.qos"
      case .closed: nil
      case .open: subscriptions.isAsking ? "basic.consume" : nil
      }
    return [own, service.awaits].compactMap { $0 }
  }

  var deadline: Duration? {
    guard isConnected, !isStopped else { return nil }
    switch state {
    case .closed(let openAt): return openAt
    case .opening, .settingPrefetch: return nil
    case .open, .changingPrefetch: return [restAt, retryAt].compactMap { $0 }.min()
    }
  }

  private var restAt: Duration? { isResting ? nil : busySince.map { $0 + Self.patience } }

  private var retryAt: Duration? { isResting || !wantsMore || state != .open ? nil : subscriptions.retryAt }

  mutating func tick(now: Duration) {
    guard isConnected, !isStopped else { return }
    // Here, after a burst of frames, and not after each: who waits gets many at once.
    serveWaiter(now: now)
    // What came may have filled the hands for which one more queue was to be consumed.
    finishStartIfSubscribed(now: now)
    restIfBusy(now)
  }

  // MARK: Receiving

  mutating func received(_ frame: BrokerFrame, now: Duration) throws(LinkFault) {
    switch frame {
    case .method(ServiceChannel.number, let method):
      guard let (number, answer) = try service.received(method) else { return }
      probed(number, answer, now: now)
    case .method(Self.channel, let method): try received(method, now: now)
    case .header(Self.channel, let header):
      if let content = try assembler.header(header) { try delivered(content) }
    case .body(Self.channel, let bytes): if let content = try assembler.body(bytes) { try delivered(content) }
    default: throw .violation("a frame on a channel that is not open")
    }
  }

  private mutating func received(_ method: BrokerMethod, now: Duration) throws(LinkFault) {
    guard !assembler.isCollecting else { throw .violation("a method inside a message") }
    switch (method, state) {
    case (.channelOpenOK, .opening):
      state = .settingPrefetch
      replies.append(announcePrefetch())
    case (.qosOK, .settingPrefetch):
      state = .open
      openedAt = now
    case (.qosOK, .changingPrefetch):
      state = .open
      if !isResting { subscriptions.resume() }
    case (.consumeOK(let tag), .open): try subscriptions.consumed(currentPriority(ofTag: tag))
    case (.queueDeclareOK, .open):
      try subscriptions.settled()
      finishStartIfSubscribed(now: now)
    case (.cancelOK, .open), (.cancelOK, .changingPrefetch): break
    case (.cancel(let tag), .open), (.cancel(let tag), .changingPrefetch):
      guard let priority = currentPriority(ofTag: tag), subscriptions.cancelled(priority, now: now) else { return }
      effects.append(.event(.cancelled(queue: topology.queue(priority))))
    case (.deliver(let consumer, _, _), .open), (.deliver(let consumer, _, _), .changingPrefetch):
      guard tags.consumer(consumer) != nil else {
        throw .violation("a delivery to a consumer that is not ours")
      }
      try assembler.begin(method)
    case (.channelClose(let closure), .opening), (.channelClose(let closure), .settingPrefetch),
      (.channelClose(let closure), .open), (.channelClose(let closure), .changingPrefetch):
      channelClosed(closure, now: now)
    default: throw .violation("a method out of turn")
    }
  }

  private mutating func delivered(_ content: ContentAssembler.Content) throws(LinkFault) {
    guard case .deliver(let consumer, let number, let redelivered) = content.method,
      let (priority, isCurrent) = tags.consumer(consumer)
    else { throw .violation("a message that was not delivered") }
    let tag = try ledger.delivered(number)
    guard let body = content.body else {
      ledger.reject(tag, isInHand: false)
      return effects.append(.event(.deadLettered(.oversized)))
    }
    // What came for a larger prefetch than there is now would wait here in vain.
    let isWanted = wantsMore || isCurrent && !isResized
    guard !isStopped, !isResting, isWanted else { return ledger.giveBack(number) }
    ledger.keep(
      Delivery(tag: tag, priority: priority, id: content.messageID, body: body, redelivered: redelivered))
  }

  private mutating func serveWaiter(now: Duration) {
    defer { noteRoom(now) }
    guard let waiter else { return }
    let taken = ledger.take(upTo: waiter.limit)
    guard !taken.isEmpty else { return }
    self.waiter = nil
    effects.append(.event(.delivered(count: taken.count)))
    effects.append(.handed(.success(taken), waiter.continuation))
  }

  /// The broker answered whether a queue is there.
  private mutating func probed(_ number: Int, _ answer: ServiceChannel.Answer, now: Duration) {
    guard let priority = subscriptions.probed(number, isThere: answer.isGranted, now: now) else { return }
    guard case .denied(let closure) = answer else { return }
    let queue = topology.queue(priority)
    let reason = "\(closure.code) \(closure.text)"
    effects.append(.event(.queueUnavailable(queue: queue, reason: reason)))
    if closure.code == Closure.accessRefused {
      return end(QueueError(.refused, "queue \(queue) may not be read by this user: \(reason)"))
    }
    finishStartIfSubscribed(now: now)
    if !hasStarted, subscriptions.next(now: now, wantsMore: wantsMore) == nil, !subscriptions.isAsking {
      end(QueueError(.unreachable, "no queue \(queue): the coordinator declares it (\(reason))"))
    }
  }

  /// Once one is there, and every other was tried or is not needed.
  private mutating func finishStartIfSubscribed(now: Duration) {
    guard !hasStarted, subscriptions.hasActive, !subscriptions.isAsking else { return }
    if subscriptions.next(now: now, wantsMore: wantsMore) == nil { finishStart(nil) }
  }

  /// The broker closed the channel: for a queue that vanished, a consumer that took too long (406), missing rights.
  private mutating func channelClosed(_ closure: Closure, now: Duration) {
    loseChannel()
    replies.append(.method(channel: Self.channel, .channelCloseOK))
    let reason = "the broker closed the channel: \(closure.code) \(closure.text)"
    effects.append(.event(.channelClosed(reason: reason)))
    if closure.code == Closure.accessRefused { return end(QueueError(.refused, reason)) }
    state = .closed(openAt: now + reopening.failed(afterHolding: now - openedAt, jitter: 1))
  }

  mutating func takeEffects() -> [Effect] {
    defer { effects = [] }
    return effects
  }
}

extension ServiceChannel.Answer {
  var isGranted: Bool { if case .granted = self { true } else { false } }
}
