package import Messaging
internal import Orchestration
internal import SweepRecords
internal import Synchronization

/// A queue that does all that a queue may do: loses, repeats, reorders, refuses, returns, and lets others publish
/// rubbish.
package final class UnreliableQueue: TaskQueue {
  package let inner = InProcessQueue()
  private let generator: Mutex<SeededGenerator>

  package init(seed: UInt64) { generator = Mutex(SeededGenerator(seed: seed)) }

  package static let rubbish: [[UInt8]] = [
    [], Array("{".utf8), [0xff, 0xfe], Array(#"{"schema":2,"task":"moved"}"#.utf8),
    Array(#"{"schema":1,"sweep":"x","task":999999,"dispatch":1,"kind":"score"}"#.utf8),
    Array(repeating: UInt8(ascii: "x"), count: TaskMessage.sizeLimit + 1),
  ]

  package func publish(_ messages: [OutgoingMessage]) async -> [PublishOutcome] {
    var arriving: [OutgoingMessage] = []
    let outcomes: [PublishOutcome] = generator.withLock { generator in
      let outcomes = messages.map { message -> PublishOutcome in
        let lost = QueueError(.unreachable, "the connection was lost")
        switch Int.random(in: 0..<10, using: &generator) {
        case 0: return .confirmed
        case 1: return .returned
        case 2: return .refused
        case 3: return .unknown(lost)
        case 4:
          arriving.append(message)
          return .unknown(lost)
        case 5:
          arriving += [message, message, message]
          return .confirmed
        case 6:
          let body = Self.rubbish.randomElement(using: &generator) ?? []
          arriving += [message, OutgoingMessage(id: message.id, priority: message.priority, body: body)]
          return .confirmed
        default:
          arriving.append(message)
          return .confirmed
        }
      }
      arriving.shuffle(using: &generator)
      return outcomes
    }
    _ = await inner.publish(arriving)
    let breaks = generator.withLock { generator in Int.random(in: 0..<12, using: &generator) == 0 }
    if breaks { inner.disconnect() }
    return outcomes
  }

  package func consume(as name: String, prefetch: Int) async throws(QueueError) -> any TaskConsumer {
    try await inner.consume(as: name, prefetch: prefetch)
  }
}
