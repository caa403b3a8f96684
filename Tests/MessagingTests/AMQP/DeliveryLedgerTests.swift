import SweepRecords
import Testing

@testable import Messaging

@Suite struct DeliveryLedgerTests {
  private func ledger(
    prefetch: Int = 10, _ priorities: [SweepPriority] = []
  ) throws -> DeliveryLedger {
    var ledger = DeliveryLedger(prefetch: prefetch)
    for (index, priority) in priorities.enumerated() { try deliver(UInt64(index + 1), priority, to: &ledger) }
    return ledger
  }

  private func deliver(
    _ number: UInt64, _ priority: SweepPriority = .normal, to ledger: inout DeliveryLedger
  ) throws {
    let tag = try ledger.delivered(number)
    ledger.keep(Delivery(tag: tag, priority: priority, id: "\(number)", body: [], redelivered: false))
  }

  private func outputs(_ ledger: inout DeliveryLedger) -> [ClientMethod] {
    var outputs: [ClientMethod] = []
    while let output = ledger.output() { outputs.append(output) }
    return outputs
  }

  @Test func handsOutTheUrgentFirstWithinThePrefetch() throws {
    var ledger = try ledger(prefetch: 3, [.low, .normal, .high, .low, .high])
    #expect(ledger.take(upTo: 2).map(\.tag.number) == [3, 5])
    #expect(ledger.take(upTo: 9).map(\.tag.number) == [2])
    #expect(ledger.take(upTo: 9).isEmpty && ledger.room == 0)
    ledger.acknowledge(DeliveryTag(epoch: 1, number: 5))
    #expect(ledger.take(upTo: 9).map(\.tag.number) == [1])
  }

  @Test func acknowledgesRowsInOne() throws {
    var ledger = try ledger([.normal, .normal, .normal, .normal, .normal, .normal])
    let tags = ledger.take(upTo: 6).map(\.tag)
    for index in [1, 0, 2, 4] { ledger.acknowledge(tags[index]) }
    #expect(outputs(&ledger) == [.ack(3, multiple: true), .ack(5, multiple: false)])
    ledger.acknowledge(tags[3])
    // The fifth is settled already: this one stands alone.
    #expect(outputs(&ledger) == [.ack(4, multiple: false)])
    ledger.acknowledge(tags[5])
    #expect(outputs(&ledger) == [.ack(6, multiple: false)])
    #expect(!ledger.hasOutput && ledger.inHandCount == 0)
  }

  @Test func aRowNeverCoversWhatIsStillOpen() throws {
    var ledger = try ledger([.low, .normal, .normal])
    // The low one stays here: whoever acknowledged up to 3 would lose it.
    let tags = ledger.take(upTo: 2).map(\.tag)
    #expect(tags.map(\.number) == [2, 3])
    for tag in tags { ledger.acknowledge(tag) }
    #expect(outputs(&ledger) == [.ack(2, multiple: false), .ack(3, multiple: false)])
  }

  @Test func rejectionsGoBeforeRowsThatCoverThem() throws {
    var ledger = try ledger([.normal, .normal, .normal])
    let tags = ledger.take(upTo: 3).map(\.tag)
    ledger.acknowledge(tags[0])
    ledger.acknowledge(tags[2])
    ledger.reject(tags[1])
    #expect(outputs(&ledger) == [.reject(2), .ack(3, multiple: true)])
  }

  @Test func ignoresTagsOfOthersAndTwice() throws {
    var ledger = try ledger([.normal, .normal])
    let tag = try #require(ledger.take(upTo: 1).first?.tag)
    // Not in the caller's hands yet, of another epoch, never there.
    for (epoch, number) in [(1, 2), (0, 1), (2, 1), (1, 0), (1, 99)] as [(UInt64, UInt64)] {
      let tag = DeliveryTag(epoch: epoch, number: number)
      let taken = [ledger.acknowledge(tag), ledger.reject(tag)]
      #expect(taken == [false, false])
    }
    let taken = [ledger.acknowledge(tag), ledger.acknowledge(tag), ledger.reject(tag)]
    #expect(taken == [true, false, false])
    #expect(outputs(&ledger) == [.ack(1, multiple: false)])
  }

  @Test func aNewChannelForgetsEverything() throws {
    var ledger = try ledger([.normal, .normal])
    let old = ledger.take(upTo: 1).map(\.tag)
    ledger.acknowledge(old[0])
    ledger.begin(epoch: 2)
    #expect(!ledger.hasOutput && ledger.bufferedCount == 0 && ledger.inHandCount == 0)
    try deliver(1, to: &ledger)
    let isTaken = ledger.acknowledge(old[0])
    #expect(!isTaken)
    #expect(ledger.take(upTo: 1).map(\.tag) == [DeliveryTag(epoch: 2, number: 1)])
  }

  @Test func refusesTagsOutOfOrder() throws {
    var ledger = try ledger([.normal])
    for number in [0, 1, 3, UInt64.max] as [UInt64] {
      #expect(throws: LinkFault.self) { try ledger.delivered(number) }
    }
  }

  @Test func givesBackWhatIsNotTaken() throws {
    var ledger = try ledger([.low, .high, .normal])
    _ = ledger.take(upTo: 1)
    ledger.giveBackBuffered()
    #expect(outputs(&ledger) == [.giveBack(1), .giveBack(3)])
    #expect(ledger.bufferedCount == 0)
  }

  @Test func aSmallerPrefetchGivesBackTheLeastUrgent() throws {
    var ledger = try ledger(prefetch: 8, [.low, .normal, .high, .normal, .low])
    let held = ledger.take(upTo: 1).map(\.tag)
    #expect(held.map(\.number) == [3])
    ledger.resize(to: 3)
    #expect(outputs(&ledger) == [.giveBack(1), .giveBack(5)])
    #expect(ledger.take(upTo: 9).map(\.tag.number) == [2, 4] && ledger.room == 0)
    ledger.resize(to: 1)
    #expect(!ledger.hasOutput && ledger.room == 0 && ledger.inHandCount == 3)
    ledger.resize(to: 0)
    #expect(ledger.prefetch == 1)
    let isHeld = ledger.acknowledge(held[0])
    #expect(isHeld)
  }

  @Test func aLargerPrefetchGivesNothingBack() throws {
    var ledger = try ledger(prefetch: 1, [.low, .normal, .normal])
    _ = ledger.take(upTo: 9)
    ledger.resize(to: 4)
    #expect(!ledger.hasOutput && ledger.room == 3)
    #expect(ledger.take(upTo: 9).map(\.tag.number) == [3, 1])
  }

  /// What a broker would have left, after random dealings: every tag is settled once, as the caller wished.
  @Test(arguments: 0..<30)
  func settlesEachTagOnce(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var ledger = DeliveryLedger(prefetch: 7)
    var next: UInt64 = 1
    var held: [DeliveryTag] = []
    var wished: [UInt64: String] = [:]
    var broker: [UInt64: String?] = [:]
    for _ in 0..<600 {
      switch Int.random(in: 0..<5, using: &random) {
      case 0, 1:
        try deliver(next, SweepPriority.allCases.randomElement(using: &random) ?? .normal, to: &ledger)
        broker[next] = .some(nil)
        next += 1
      case 2: held += ledger.take(upTo: Int.random(in: 1...4, using: &random)).map(\.tag)
      default:
        guard let tag = held.randomElement(using: &random) else { continue }
        held.removeAll { $0 == tag }
        if Int.random(in: 0..<4, using: &random) == 0 {
          ledger.reject(tag)
          wished[tag.number] = "reject"
        } else {
          ledger.acknowledge(tag)
          wished[tag.number] = "ack"
        }
      }
      guard Bool.random(using: &random) else { continue }
      try tell(&broker, outputs(&ledger))
    }
    try tell(&broker, outputs(&ledger))
    #expect(broker.compactMapValues { $0 } == wished)
  }

  private func tell(_ broker: inout [UInt64: String?], _ outputs: [ClientMethod]) throws {
    for output in outputs {
      switch output {
      case .ack(let tag, let multiple):
        let tags = multiple ? broker.filter { $0.key <= tag && $0.value == nil }.map(\.key) : [tag]
        #expect(!tags.isEmpty)
        for tag in tags {
          #expect(broker[tag] == .some(nil))
          broker[tag] = "ack"
        }
      case .reject(let tag):
        #expect(broker[tag] == .some(nil))
        broker[tag] = "reject"
      default: #expect(Bool(false), "\(output)")
      }
    }
  }
}
