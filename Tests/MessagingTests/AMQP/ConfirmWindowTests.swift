import Testing

@testable import Messaging

@Suite struct ConfirmWindowTests {
  private func window(_ count: Int, limit: Int = 100) -> ConfirmWindow<Int> {
    var window = ConfirmWindow<Int>(limit: limit)
    for number in 0..<count { window.publish(number + 1, at: .seconds(number)) }
    return window
  }

  @Test func countsFromOne() throws {
    var window = window(2)
    let settled = try window.settle(1, multiple: false, isAcknowledged: true, at: .seconds(5))
    #expect(settled.map(\.publication) == [1] && settled.map(\.fate) == [.confirmed])
    #expect(settled.map(\.latency) == [.seconds(5)])
    #expect(window.count == 1)
  }

  @Test func settlesAllUpToANumber() throws {
    var window = window(5)
    _ = try window.settle(2, multiple: false, isAcknowledged: true, at: .zero)
    #expect(try window.settle(4, multiple: true, isAcknowledged: false, at: .zero).map(\.publication) == [1, 3, 4])
    #expect(try window.settle(4, multiple: true, isAcknowledged: true, at: .zero).isEmpty)
    #expect(try window.settle(3, multiple: false, isAcknowledged: true, at: .zero).isEmpty)
    // Zero stands for all there are.
    window.publish(6, at: .zero)
    #expect(try window.settle(0, multiple: true, isAcknowledged: true, at: .zero).map(\.publication) == [5, 6])
    #expect(window.count == 0)
  }

  @Test func refusesNumbersThatWereNotPublished() {
    for (number, multiple) in [(0, false), (3, false), (3, true), (UInt64.max, true)] as [(UInt64, Bool)] {
      var window = window(2)
      #expect(throws: LinkFault.self) {
        try window.settle(number, multiple: multiple, isAcknowledged: true, at: .zero)
      }
    }
  }

  @Test func aReturnComesBeforeItsConfirmation() throws {
    var window = window(3)
    try window.returned { $0 >= 2 }
    try window.returned { $0 >= 2 }
    #expect(throws: LinkFault.self) { try window.returned { $0 >= 2 } }
    let settled = try window.settle(3, multiple: true, isAcknowledged: true, at: .zero)
    #expect(settled.map(\.fate) == [.confirmed, .returned, .returned])
  }

  @Test func isBounded() throws {
    var window = window(3, limit: 3)
    #expect(!window.hasRoom)
    _ = try window.settle(2, multiple: false, isAcknowledged: true, at: .zero)
    #expect(window.hasRoom)
  }

  @Test func whatIsLostIsUnknownAndCountingBeginsAnew() throws {
    var window = window(3)
    _ = try window.settle(2, multiple: false, isAcknowledged: true, at: .zero)
    #expect(window.lose() == [1, 3])
    window.publish(9, at: .zero)
    #expect(try window.settle(1, multiple: true, isAcknowledged: true, at: .zero).map(\.publication) == [9])
  }

  /// Against a plain list, for random words of a broker.
  @Test(arguments: 0..<20)
  func agreesWithAList(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var window = ConfirmWindow<Int>(limit: 30)
    var open: [Int] = []
    var published = 0
    for _ in 0..<400 {
      if window.hasRoom, Bool.random(using: &random) {
        published += 1
        window.publish(published, at: .zero)
        open.append(published)
      } else if published > 0 {
        let number = Int.random(in: 1...published, using: &random)
        let multiple = Bool.random(using: &random)
        let settled = try window.settle(UInt64(number), multiple: multiple, isAcknowledged: true, at: .zero)
        let expected = open.filter { multiple ? $0 <= number : $0 == number }
        #expect(settled.map(\.publication) == expected)
        open.removeAll { expected.contains($0) }
      }
      #expect(window.count == open.count)
    }
    #expect(window.lose() == open)
  }
}

/// SplitMix64.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
