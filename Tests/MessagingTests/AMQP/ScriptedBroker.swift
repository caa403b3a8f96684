import Foundation
import Messaging
import Synchronization

/// A peer that speaks AMQP as a test wants it: a listener on loopback that runs a script for each connection.
final class ScriptedBroker: Sendable {
  let port: UInt16
  private let listener: Int32

  /// - Parameter script: runs on a thread of its own for each connection; its throwing ends the connection.
  init(_ script: @escaping @Sendable (PeerConnection) throws -> Void) throws {
    (listener, port) = try Loopback.listen()
    Thread.detachNewThread { [listener] in
      while true {
        let client = accept(listener, nil, nil)
        guard client >= 0 else { return }
        Thread.detachNewThread {
          let connection = PeerConnection(client)
          try? script(connection)
          connection.close()
        }
      }
    }
  }

  deinit {
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
  }

  /// Settings with time limits that a busy machine does not reach.
  var settings: AMQPSettings {
    var settings = AMQPSettings(host: "127.0.0.1", port: port, user: "u", password: "p")
    settings.connectLimit = 30
    settings.replyLimit = 30
    settings.publishLimit = 30
    return settings
  }
}

/// The broker's end of a connection.
final class PeerConnection: Sendable {
  struct Ended: Error {}

  private let descriptor: Int32
  /// How many more bytes may be sent; the connection ends after them.
  private let budget = Mutex<Int>(.max)
  private let publications = Mutex<UInt64>(0)

  init(_ descriptor: Int32) {
    self.descriptor = descriptor
    var limit = timeval(tv_sec: 20, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
  }

  func close() { Foundation.close(descriptor) }

  /// The number of the publication whose body came now, from 1.
  func nextPublication() -> UInt64 {
    publications.withLock { number in
      number += 1
      return number
    }
  }

  func cut(after bytes: Int) { budget.withLock { $0 = bytes } }

  /// Makes the kernel take little that is not read.
  func shrinkReceiveBuffer() {
    var size: Int32 = 4096
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4)
  }

  func send(_ bytes: [UInt8]) throws {
    let allowed = budget.withLock { budget in
      let allowed = min(budget, bytes.count)
      budget -= allowed
      return allowed
    }
    var sent = 0
    while sent < allowed {
      let step = bytes[sent..<allowed].withUnsafeBytes {
        Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard step > 0 else { throw Ended() }
      sent += step
    }
    if allowed < bytes.count { throw Ended() }
  }

  func send(_ frames: PeerFrame...) throws { try send(frames.flatMap(\.bytes)) }

  func receive(_ count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var got = 0
    while got < count {
      let step = bytes[got...].withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
      guard step > 0 else { throw Ended() }
      got += step
    }
    return bytes
  }

  func receiveFrame() throws -> PeerFrame {
    let head = try receive(7)
    let size = head[3...].reduce(0) { $0 << 8 | Int($1) }
    let payload = try receive(size + 1)
    guard payload.last == 0xce else { throw Ended() }
    var frame = PeerFrame(.method, UInt16(head[1]) << 8 | UInt16(head[2]), Array(payload.dropLast()))
    frame.kind = head[0]
    return frame
  }

  /// Waits for a method; other frames are let go.
  @discardableResult
  func await(_ method: PeerMethod) throws -> PeerFrame {
    while true {
      let frame = try receiveFrame()
      if frame.method == method { return frame }
    }
  }

  // MARK: What a well-behaved broker does

  /// The handshake up to connection.open-ok. Returns the client's start-ok.
  @discardableResult
  func greet(
    mechanisms: String = "PLAIN AMQPLAIN", minor: UInt8 = 9, frameMax: UInt32 = 131_072, heartbeat: UInt16 = 0
  ) throws -> PeerFrame {
    guard try receive(8) == Array("AMQP".utf8) + [0, 0, 9, 1] else { throw Ended() }
    try send(Self.start(mechanisms: mechanisms, minor: minor))
    let answer = try `await`(.startOK)
    try send(
      PeerFrame(.tune, 0) { bytes in
        bytes.u16(2047)
        bytes.u32(frameMax)
        bytes.u16(heartbeat)
      })
    try `await`(.open)
    try send(PeerFrame(.openOK, 0) { $0.short("") })
    return answer
  }

  static func start(mechanisms: String = "PLAIN", minor: UInt8 = 9, properties: [UInt8] = []) -> PeerFrame {
    PeerFrame(.start, 0) { bytes in
      bytes.u8(0)
      bytes.u8(minor)
      bytes.long(properties)
      bytes.long(Array(mechanisms.utf8))
      bytes.long(Array("en_US".utf8))
    }
  }

  /// Answers what needs an answer, until the connection ends.
  ///
  /// - Parameter special: sees each frame first; true: it is dealt with.
  func serve(_ special: (PeerFrame) throws -> Bool = { _ in false }) throws {
    while true {
      let frame = try receiveFrame()
      if try special(frame) { continue }
      guard let method = frame.method else { continue }
      try answer(method, frame)
      if method == .connectionClose { return }
    }
  }

  func answer(_ method: PeerMethod, _ frame: PeerFrame) throws {
    var arguments = frame.arguments
    switch method {
    case .channelOpen: try send(PeerFrame(.channelOpenOK, frame.channel) { $0.u32(0) })
    case .exchangeDeclare: try send(PeerFrame(.exchangeDeclareOK, frame.channel))
    case .queueDeclare:
      _ = arguments.number(2)
      let name = arguments.short()
      try send(
        PeerFrame(.queueDeclareOK, frame.channel) { bytes in
          bytes.short(name)
          bytes.u32(0)
          bytes.u32(0)
        })
    case .queueBind: try send(PeerFrame(.queueBindOK, frame.channel))
    case .confirmSelect: try send(PeerFrame(.confirmSelectOK, frame.channel))
    case .qos: try send(PeerFrame(.qosOK, frame.channel))
    case .consume, .cancel:
      _ = arguments.number(method == .consume ? 2 : 0)
      if method == .consume { _ = arguments.short() }
      let tag = arguments.short()
      try send(PeerFrame(method == .consume ? .consumeOK : .cancelOK, frame.channel) { $0.short(tag) })
    case .connectionClose: try send(PeerFrame(.connectionCloseOK, 0))
    default: break
    }
  }

  static func closing(_ method: PeerMethod, _ channel: UInt16, _ code: UInt16, _ text: String) -> PeerFrame {
    PeerFrame(method, channel) { bytes in
      bytes.u16(code)
      bytes.short(text)
      bytes.u16(0)
      bytes.u16(0)
    }
  }

  /// A delivery's three frames.
  static func delivery(
    _ consumer: String, tag: UInt64, body: [UInt8], id: String = "1:1", redelivered: Bool = false
  ) -> [UInt8] {
    let head = PeerFrame(.deliver, 1) { bytes in
      bytes.short(consumer)
      bytes.u64(tag)
      bytes.u8(redelivered ? 1 : 0)
      bytes.short("steerscope.tasks")
      bytes.short("normal")
    }
    let content = [PeerFrame.header(1, size: UInt64(body.count), messageID: id)]
    let bodies = stride(from: 0, to: body.count, by: 100_000).map {
      PeerFrame.body(1, Array(body[$0..<min($0 + 100_000, body.count)]))
    }
    return ([head] + content + bodies).flatMap(\.bytes)
  }

  static func ack(_ tag: UInt64, multiple: Bool = false) -> PeerFrame {
    PeerFrame(.ack, 1) { bytes in
      bytes.u64(tag)
      bytes.u8(multiple ? 1 : 0)
    }
  }

  static func nack(_ tag: UInt64) -> PeerFrame {
    PeerFrame(.nack, 1) { bytes in
      bytes.u64(tag)
      bytes.u8(0)
    }
  }

  static func returned(id: String) -> [UInt8] {
    let head = PeerFrame(.returned, 1) { bytes in
      bytes.u16(312)
      bytes.short("NO_ROUTE")
      bytes.short("steerscope.tasks")
      bytes.short("normal")
    }
    return [head, .header(1, size: 2, messageID: id), .body(1, [1, 2])].flatMap(\.bytes)
  }
}
