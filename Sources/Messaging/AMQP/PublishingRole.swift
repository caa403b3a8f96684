/// Publishes batches with confirmation, and declares the topology. Channel 1 carries messages, channel 2 the rest.
struct PublishingRole: LinkRole {
  static let channel: UInt16 = 1

  typealias Fates = CheckedContinuation<[PublishOutcome], Never>
  typealias Answer = CheckedContinuation<Result<Int, QueueError>, Never>

  enum Effect: Sendable {
    case published([PublishOutcome], Fates)
    case answered(Result<Int, QueueError>, Answer)
    case event(AMQPEvent)
  }

  private struct Batch {
    var messages: [OutgoingMessage]
    var outcomes: [PublishOutcome?]
    var open: Int
    var deadline: Duration
    var continuation: Fates
  }

  private struct Publication {
    var batch: Int
    var index: Int
    var id: String
  }

  private enum State: Equatable {
    case closed(openAt: Duration)
    case opening, selecting, serving
  }

  private let topology: AMQPTopology
  private let timeLimit: Duration
  private let capacity: Int
  private var isConnected = false
  private var isBlocked = false
  private var isClosing = false
  private var state = State.closed(openAt: .zero)
  private var reopening = ReconnectPolicy()
  private var batches: [Int: Batch] = [:]
  private var lastBatch = 0
  private var waiting = FirstInFirstOut<Publication>()
  private var window: ConfirmWindow<Publication>
  private var assembler = ContentAssembler(limit: 0)
  private var service = ServiceChannel()
  private var declaring: TopologyDeclaration?
  private var counting: [Int: Answer] = [:]
  private var declarers: [Answer] = []
  private var inquirers: [Answer] = []
  /// Whether to restore what is missing: whoever declared it once looks after it.
  private var keepsTopology = false
  private var replies: [ClientOutput] = []
  private var effects: [Effect] = []

  init(topology: AMQPTopology, window: Int, capacity: Int, timeLimit: Duration) {
    self.topology = topology
    self.timeLimit = timeLimit
    self.capacity = capacity
    self.window = ConfirmWindow(limit: window)
  }

  // MARK: What callers ask for

  /// Queues a batch; its fates are known within the time limit.
  mutating func publish(_ messages: [OutgoingMessage], now: Duration, _ continuation: Fates) -> Int {
    lastBatch += 1
    var batch = Batch(
      messages: messages, outcomes: Array(repeating: nil, count: messages.count), open: messages.count,
      deadline: now + timeLimit, continuation: continuation)
    for (index, message) in messages.enumerated() {
      if isClosing {
        batch.outcomes[index] = .unknown(QueueError(.closed, "the queue was closed"))
      } else if waiting.count >= capacity || message.body.count > TaskMessage.sizeLimit || message.id.utf8.count > 255 {
        batch.outcomes[index] = .refused
      } else {
        waiting.append(Publication(batch: lastBatch, index: index, id: message.id))
        continue
      }
      batch.open -= 1
    }
    batches[lastBatch] = batch
    finishIfSettled(lastBatch)
    return lastBatch
  }

  /// The caller no longer waits.
  mutating func abandon(_ batch: Int) { fail(batch, QueueError(.closed, "publishing was cancelled")) }

  mutating func declare(_ continuation: Answer) {
    if let obstacle { return answer(continuation, .failure(obstacle)) }
    declarers.append(continuation)
    if isConnected { startDeclaring() }
  }

  mutating func countDeadLetters(_ continuation: Answer) {
    if let obstacle { return answer(continuation, .failure(obstacle)) }
    guard isConnected else { return inquirers.append(continuation) }
    counting[service.request(.queueInquire(topology.deadLetterQueue))] = continuation
  }

  /// Why nothing can be asked at present.
  private var obstacle: QueueError? {
    if isClosing { return QueueError(.closed, "the queue was closed") }
    return isBlocked ? QueueError(.unreachable, Self.blockedReason) : nil
  }

  private static let blockedReason = "the broker takes no messages at present"

  // MARK: Connection

  var wantsConnection: Bool { true }

  mutating func connected(now: Duration) {
    isConnected = true
    isBlocked = false
    state = .closed(openAt: now)
    if keepsTopology || !declarers.isEmpty { startDeclaring() }
    for inquirer in inquirers { countDeadLetters(inquirer) }
    inquirers = []
  }

  mutating func disconnected(_ fault: LinkFault, now: Duration) -> Bool {
    let wasConnected = isConnected
    isConnected = false
    isBlocked = false
    state = .closed(openAt: now)
    assembler = ContentAssembler(limit: 0)
    replies = []
    let error = fault.queueError
    for publication in window.lose() { settle(publication, .unknown(error)) }
    // What was never sent may wait for the next connection, unless there is none to be had.
    if !wasConnected || isClosing { for batch in batches.keys.sorted() { fail(batch, error) } }
    _ = service.reset()
    declaring = nil
    failQuestions(error)
    return !isClosing
  }

  private mutating func failQuestions(_ error: QueueError) {
    for continuation in counting.sorted(by: { $0.key < $1.key }).map(\.value) + declarers + inquirers {
      answer(continuation, .failure(error))
    }
    (counting, declarers, inquirers) = ([:], [], [])
  }

  /// A blocked connection is not read by the broker: questions would wait for as long as it is short of memory.
  mutating func blocked(_ isBlocked: Bool) {
    self.isBlocked = isBlocked
    if isBlocked { failQuestions(QueueError(.unreachable, Self.blockedReason)) }
  }

  mutating func close(now: Duration) {
    isClosing = true
    for batch in batches.keys.sorted() { fail(batch, QueueError(.closed, "the queue was closed")) }
  }

  // MARK: Sending

  mutating func output(now: Duration) -> ClientOutput? {
    if !replies.isEmpty { return replies.removeFirst() }
    guard !isBlocked else { return nil }
    if let output = service.output(now: now) { return output }
    switch state {
    case .opening, .selecting: return nil
    case .closed(let openAt):
      guard openAt <= now, declaring == nil, !isClosing else { return nil }
      state = .opening
      return .method(channel: Self.channel, .channelOpen)
    case .serving: return nextPublication(now: now)
    }
  }

  private mutating func nextPublication(now: Duration) -> ClientOutput? {
    guard !isClosing, declaring == nil, window.hasRoom else { return nil }
    while let publication = waiting.popFirst() {
      // Those of a batch that ran out of time have nobody who waits.
      guard let batch = batches[publication.batch] else { continue }
      let message = batch.messages[publication.index]
      window.publish(publication, at: now)
      return .publish(
        channel: Self.channel, exchange: topology.exchange.name, routingKey: topology.routingKey(message.priority),
        message)
    }
    return nil
  }

  var awaited: [String] {
    let own: String? =
      switch state {
      case .opening: "channel.open"
      case .selecting: "confirm.select"
      case .closed, .serving: nil
      }
    return [own, service.awaits].compactMap { $0 }
  }

  var deadline: Duration? {
    var times = batches.values.map(\.deadline)
    if case .closed(let openAt) = state, isConnected, !isClosing { times.append(openAt) }
    return times.min()
  }

  mutating func tick(now: Duration) {
    let why = isBlocked ? Self.blockedReason : "the broker did not answer in time"
    for number in batches.filter({ $0.value.deadline <= now }).keys.sorted() {
      fail(number, QueueError(.unreachable, why))
    }
  }

  // MARK: Receiving

  mutating func received(_ frame: BrokerFrame, now: Duration) throws(LinkFault) {
    switch frame {
    case .method(ServiceChannel.number, let method):
      if let (number, answer) = try service.received(method) { answered(number, answer, now: now) }
    case .method(Self.channel, let method): try received(method, now: now)
    case .header(Self.channel, let header): if let content = try assembler.header(header) { try returned(content) }
    case .body(Self.channel, let bytes): if let content = try assembler.body(bytes) { try returned(content) }
    default: throw .violation("a frame on a channel that is not open")
    }
  }

  private mutating func received(_ method: BrokerMethod, now: Duration) throws(LinkFault) {
    guard !assembler.isCollecting else { throw .violation("a method inside a message") }
    switch (method, state) {
    case (.channelOpenOK, .opening):
      state = .selecting
      replies.append(.method(channel: Self.channel, .confirmSelect))
    case (.confirmSelectOK, .selecting): state = .serving
    case (.returned, .serving): try assembler.begin(method)
    case (.ack(let number, let multiple), .serving):
      settle(try window.settle(number, multiple: multiple, isAcknowledged: true, at: now))
    case (.nack(let number, let multiple), .serving):
      settle(try window.settle(number, multiple: multiple, isAcknowledged: false, at: now))
    case (.channelClose(let closure), .opening), (.channelClose(let closure), .selecting),
      (.channelClose(let closure), .serving):
      channelClosed(closure, now: now)
    default: throw .violation("a method out of turn")
    }
  }

  private mutating func returned(_ content: ContentAssembler.Content) throws(LinkFault) {
    try window.returned { $0.id == content.messageID }
    effects.append(.event(.returned(id: String(content.messageID.prefix(80)))))
    // A queue is missing.
    if keepsTopology, declaring == nil { startDeclaring() }
  }

  /// The exchange is missing, or we may not write to it.
  private mutating func channelClosed(_ closure: Closure, now: Duration) {
    replies.append(.method(channel: Self.channel, .channelCloseOK))
    assembler = ContentAssembler(limit: 0)
    let error = QueueError(
      closure.code == Closure.notFound ? .unreachable : .refused,
      "the broker closed the channel: \(closure.code) \(closure.text)")
    for publication in window.lose() { settle(publication, .unknown(error)) }
    let canMend = closure.code == Closure.notFound && keepsTopology
    if canMend { startDeclaring() } else { for batch in batches.keys.sorted() { fail(batch, error) } }
    let wait = canMend ? .zero : reopening.failed(afterHolding: .zero, jitter: 1)
    state = .closed(openAt: now + wait)
    effects.append(.event(.channelClosed(reason: error.message)))
  }

  private mutating func settle(_ settled: [ConfirmWindow<Publication>.Settled]) {
    for one in settled {
      switch one.fate {
      case .confirmed:
        effects.append(.event(.confirmed(latency: one.latency)))
        settle(one.publication, .confirmed)
      case .returned: settle(one.publication, .returned)
      case .refused:
        effects.append(.event(.refused))
        settle(one.publication, .refused)
      }
    }
    if !settled.isEmpty { reopening = ReconnectPolicy() }
  }

  private mutating func settle(_ publication: Publication, _ outcome: PublishOutcome) {
    guard batches[publication.batch]?.outcomes[publication.index] == .some(nil) else { return }
    batches[publication.batch]?.outcomes[publication.index] = outcome
    batches[publication.batch]?.open -= 1
    finishIfSettled(publication.batch)
  }

  private mutating func finishIfSettled(_ number: Int) {
    guard let batch = batches[number], batch.open == 0 else { return }
    batches[number] = nil
    effects.append(.published(batch.outcomes.compactMap { $0 }, batch.continuation))
  }

  private mutating func fail(_ number: Int, _ error: QueueError) {
    guard let batch = batches.removeValue(forKey: number) else { return }
    if batch.open > 0 { effects.append(.event(.unconfirmed(count: batch.open, reason: error.message))) }
    effects.append(.published(batch.outcomes.map { $0 ?? .unknown(error) }, batch.continuation))
  }

  // MARK: Topology

  private mutating func startDeclaring() {
    guard declaring == nil else { return }
    var declaration = TopologyDeclaration(topology)
    declaration.request(&service)
    declaring = declaration
  }

  private mutating func answered(_ number: Int, _ answer: ServiceChannel.Answer, now: Duration) {
    if let continuation = counting.removeValue(forKey: number) {
      return self.answer(continuation, Self.count(answer, of: topology.deadLetterQueue))
    }
    guard let result = declaring?.answered(number, answer) else { return }
    declaring = nil
    let waiting = declarers
    declarers = []
    switch result {
    case .success:
      if !waiting.isEmpty { keepsTopology = true }
    case .failure(let error): effects.append(.event(.topologyRefused(reason: error.message)))
    }
    for continuation in waiting { self.answer(continuation, result.map { 0 }) }
  }

  private static func count(_ answer: ServiceChannel.Answer, of queue: String) -> Result<Int, QueueError> {
    switch answer {
    case .granted(.queueDeclareOK(let messages)): .success(Int(messages))
    case .denied(let closure): .failure(QueueError(.refused, "queue \(queue): \(closure.code) \(closure.text)"))
    case .granted, .lost: .failure(QueueError(.unreachable, "the connection was lost"))
    }
  }

  private mutating func answer(_ continuation: Answer, _ result: Result<Int, QueueError>) {
    effects.append(.answered(result, continuation))
  }

  mutating func takeEffects() -> [Effect] {
    defer { effects = [] }
    return effects
  }
}
