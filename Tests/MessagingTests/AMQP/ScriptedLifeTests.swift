import Diagnostics
import Foundation
import Messaging
import SweepRecords
import Synchronization
import Testing

private func message(_ number: Int, _ priority: SweepPriority = .normal) -> OutgoingMessage {
  OutgoingMessage(id: "\(number):1", priority: priority, body: Array("body \(number)".utf8))
}

/// Heartbeats, closes at odd moments, and what is left afterwards.
@Suite(.timeLimit(.minutes(1)))
struct ScriptedLifeTests {
  @Test func noticesASilentPeerAndSpeaksItself() async throws {
    let seen = Seen()
    let broker = try ScriptedBroker.behaving(heartbeat: 1, seen) { _, _ in false }
    let log = EventLog()
    let consumer = try await AMQPQueue(broker.settings, observer: log.observer).consume(as: "w", prefetch: 1)
    #expect(
      await log.has {
        if case .lost(_, let reason) = $0 { reason.contains("no heartbeat") } else { false }
      })
    #expect(seen.all.count { $0.kind == PeerFrame.Kind.heartbeat.rawValue } >= 2)
    await consumer.close()
  }

  @Test func heartbeatsKeepAConnection() async throws {
    let broker = try ScriptedBroker.behaving(heartbeat: 1) { peer, frame in
      if frame.kind == PeerFrame.Kind.heartbeat.rawValue { try peer.send(.heartbeat) }
      return false
    }
    let log = EventLog()
    let consumer = try await AMQPQueue(broker.settings, observer: log.observer).consume(as: "w", prefetch: 1)
    try await Task.sleep(for: .seconds(2.5))
    #expect(!log.contains { if case .lost = $0 { true } else { false } })
    await consumer.close()
  }

  @Test(arguments: [PeerMethod.channelOpen, .qos, .queueDeclare, .consume, .confirmSelect, .publish])
  func survivesACloseAtAnOddMoment(_ method: PeerMethod) async throws {
    let isFirst = Mutex(true)
    let broker = try ScriptedBroker.behaving { peer, frame in
      if frame.kind == PeerFrame.Kind.body.rawValue { try peer.send(PeerConnection.ack(peer.nextPublication())) }
      guard frame.method == method,
        isFirst.withLock({ first in
          defer { first = false }
          return first
        })
      else { return false }
      try peer.send(PeerConnection.closing(.connectionClose, 0, 320, "CONNECTION_FORCED"))
      try peer.await(.connectionCloseOK)
      throw PeerConnection.Ended()
    }
    let queue = AMQPQueue(broker.settings)
    if [.confirmSelect, .publish].contains(method) {
      let first = await queue.publish([message(1)])
      // What was not sent yet goes out on the next connection.
      #expect(first == [.confirmed] || method == .publish)
      #expect(await queue.publish([message(2)]) == [.confirmed])
    } else {
      let error = try await #require(throws: QueueError.self) { try await queue.consume(as: "w", prefetch: 1) }
      #expect(error.code == .unreachable && error.message.contains("320 CONNECTION_FORCED"))
      await (try queue.consume(as: "w", prefetch: 1)).close()
    }
    await queue.close()
  }

  @Test func closesEvenIfThePeerDoesNotAnswer() async throws {
    let broker = try ScriptedBroker.behaving { _, frame in frame.method == .connectionClose }
    let queue = AMQPQueue(broker.settings)
    let consumer = try await queue.consume(as: "w", prefetch: 1)
    let start = ContinuousClock.now
    await consumer.close()
    #expect(ContinuousClock.now - start < .seconds(25))
    await #expect(throws: QueueError.self) { try await consumer.next(upTo: 1, waiting: true) }
  }

  /// Threads and descriptors come and go with their connections.
  @Test func leavesNothingBehind() async throws {
    let broker = try ScriptedBroker.behaving { _, _ in false }
    func descriptors() throws -> Int { try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count }
    let before = try descriptors()
    for round in 0..<40 {
      let queue = AMQPQueue(broker.settings)
      try await queue.declareTopology()
      let consumer = try await queue.consume(as: "w", prefetch: 1)
      // Some are closed, some only dropped.
      if round % 2 == 0 {
        await consumer.close()
        await queue.close()
      }
    }
    // Other tests run beside this one.
    #expect(try await eventually(within: .seconds(15)) { try descriptors() < before + 60 })
  }
}
