import SweepRecords
import Testing

@testable import Messaging

@Suite struct SubscriptionListTests {
  /// Takes the steps of one queue, as far as `last`.
  private func subscribe(_ priority: SweepPriority, _ list: inout SubscriptionList, request: Int) throws {
    #expect(list.next(now: .zero, wantsMore: true) == .probe(priority))
    list.took(.probe(priority), request: request)
    #expect(list.isAsking && list.next(now: .zero, wantsMore: true) == nil)
    let probed = list.probed(request, isThere: true, now: .zero)
    #expect(probed == priority)
    #expect(list.next(now: .zero, wantsMore: true) == .consume(priority))
    list.took(.consume(priority))
    try list.consumed(priority)
    #expect(list.next(now: .zero, wantsMore: false) == .settle(priority))
    list.took(.settle(priority))
    try list.settled()
  }

  private func subscribed() throws -> SubscriptionList {
    var list = SubscriptionList()
    for (index, priority) in SweepPriority.allCases.enumerated() {
      try subscribe(priority, &list, request: index)
    }
    #expect(list.next(now: .zero, wantsMore: true) == nil && list.retryAt == nil && list.hasActive)
    return list
  }

  @Test func goesByUrgencyOneStepAtATime() throws { _ = try subscribed() }

  @Test func asksTheLessUrgentOnlyIfMoreIsWanted() throws {
    var list = SubscriptionList()
    try subscribe(.high, &list, request: 1)
    #expect(list.next(now: .zero, wantsMore: false) == nil && !list.isAsking)
    #expect(list.next(now: .zero, wantsMore: true) == .probe(.normal))
  }

  @Test func missingQueuesWaitLongerEachTimeAndHoldUpNobody() throws {
    var list = SubscriptionList()
    list.took(.probe(.high), request: 1)
    var probed = list.probed(1, isThere: false, now: .zero)
    #expect(probed == .high)
    #expect(list.next(now: .zero, wantsMore: true) == .probe(.normal))
    #expect(list.next(now: .milliseconds(200), wantsMore: true) == .probe(.high))
    list.took(.probe(.high), request: 2)
    probed = list.probed(1, isThere: true, now: .zero)
    #expect(probed == nil)
    probed = list.probed(2, isThere: false, now: .seconds(1))
    #expect(list.next(now: .milliseconds(1399), wantsMore: true) == .probe(.normal))
    #expect(list.next(now: .milliseconds(1400), wantsMore: true) == .probe(.high))
  }

  @Test func aCancelledQueueIsTriedAgain() throws {
    var list = try subscribed()
    let known = [list.cancelled(.normal, now: .zero), list.cancelled(.normal, now: .zero)]
    #expect(known == [true, false])
    #expect(list.next(now: .zero, wantsMore: true) == nil && list.retryAt == .milliseconds(200))
    #expect(list.next(now: .milliseconds(200), wantsMore: true) == .probe(.normal))
  }

  @Test func aCancelMayComeWhileItSettles() throws {
    var list = SubscriptionList()
    list.took(.probe(.high), request: 1)
    _ = list.probed(1, isThere: true, now: .zero)
    list.took(.consume(.high))
    try list.consumed(.high)
    list.took(.settle(.high))
    let isKnown = list.cancelled(.high, now: .zero)
    #expect(isKnown && list.isAsking)
    try list.settled()
    #expect(!list.hasActive && list.next(now: .seconds(1), wantsMore: true) == .probe(.high))
  }

  @Test func restsAndResumes() throws {
    var list = try subscribed()
    var cancelled: [SweepPriority] = []
    while let priority = list.nextToCancel() { cancelled.append(priority) }
    #expect(cancelled == [.high, .normal, .low])
    #expect(list.next(now: .seconds(9), wantsMore: true) == nil && !list.hasActive)
    list.resume()
    #expect(list.next(now: .zero, wantsMore: true) == .probe(.high))
  }

  @Test func refusesAnswersWithoutQuestions() throws {
    var list = try subscribed()
    #expect(throws: LinkFault.self) { try list.settled() }
    for priority in [nil, .high, .low] as [SweepPriority?] {
      #expect(throws: LinkFault.self) { try list.consumed(priority) }
    }
  }
}

@Suite struct ServiceChannelTests {
  private let close = Closure(code: 406, text: "inequivalent")

  private func outputs(_ channel: inout ServiceChannel) -> [ClientMethod] {
    var methods: [ClientMethod] = []
    while case .method(2, let method)? = channel.output(now: .zero) { methods.append(method) }
    return methods
  }

  @Test func asksOneThingAtATime() throws {
    var channel = ServiceChannel()
    #expect(outputs(&channel).isEmpty && channel.awaits == nil)
    let numbers = [channel.request(.queueInquire("a")), channel.request(.queueInquire("b"))]
    #expect(outputs(&channel) == [.channelOpen] && channel.awaits != nil)
    #expect(try channel.received(.channelOpenOK) == nil)
    #expect(outputs(&channel) == [.queueInquire("a")])
    let first = try #require(try channel.received(.queueDeclareOK(messages: 3)))
    #expect(first.number == numbers[0] && first.answer == .granted(.queueDeclareOK(messages: 3)))
    #expect(outputs(&channel) == [.queueInquire("b")])
  }

  @Test func aDenialClosesTheChannelOnly() throws {
    var channel = ServiceChannel()
    let number = channel.request(.queueInquire("a"))
    _ = channel.request(.queueInquire("b"))
    _ = outputs(&channel)
    _ = try channel.received(.channelOpenOK)
    _ = outputs(&channel)
    let denied = try #require(try channel.received(.channelClose(close)))
    #expect(denied.number == number && denied.answer == .denied(close))
    #expect(outputs(&channel) == [.channelCloseOK, .channelOpen])
    _ = try channel.received(.channelOpenOK)
    #expect(outputs(&channel) == [.queueInquire("b")])
  }

  @Test func aLostConnectionLosesTheQuestions() throws {
    var channel = ServiceChannel()
    let numbers = [channel.request(.queueInquire("a")), channel.request(.queueInquire("b"))]
    _ = outputs(&channel)
    _ = try channel.received(.channelOpenOK)
    _ = outputs(&channel)
    let lost = channel.reset()
    #expect(lost == numbers && outputs(&channel).isEmpty && channel.awaits == nil)
  }

  @Test func refusesAnswersWithoutQuestions() throws {
    for method in [BrokerMethod.channelOpenOK, .queueDeclareOK(messages: 1), .qosOK, .channelCloseOK] {
      var channel = ServiceChannel()
      #expect(throws: LinkFault.self) { try channel.received(method) }
    }
    var channel = ServiceChannel()
    _ = channel.request(.queueInquire("a"))
    _ = outputs(&channel)
    _ = try channel.received(.channelOpenOK)
    _ = outputs(&channel)
    #expect(throws: LinkFault.self) { try channel.received(.exchangeDeclareOK) }
  }
}
