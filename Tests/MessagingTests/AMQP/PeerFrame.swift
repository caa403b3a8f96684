/// A frame of AMQP 0-9-1 as it is on the wire: the tests' own encoder and decoder, independent of the library's.
struct PeerFrame: Equatable {
  enum Kind: UInt8 { case method = 1, header = 2, body = 3, heartbeat = 8 }

  var kind: UInt8
  var channel: UInt16
  var payload: [UInt8]

  init(_ kind: Kind, _ channel: UInt16, _ payload: [UInt8]) {
    self.kind = kind.rawValue
    self.channel = channel
    self.payload = payload
  }

  /// A method with its arguments.
  init(_ method: PeerMethod, _ channel: UInt16, _ arguments: (inout PeerBytes) -> Void = { _ in }) {
    var bytes = PeerBytes()
    bytes.u32(method.rawValue)
    arguments(&bytes)
    self.init(.method, channel, bytes.all)
  }

  static let heartbeat = PeerFrame(.heartbeat, 0, [])

  /// A content header of the class basic.
  static func header(_ channel: UInt16, size: UInt64, messageID: String? = nil) -> PeerFrame {
    var bytes = PeerBytes()
    bytes.u16(60)
    bytes.u16(0)
    bytes.u64(size)
    bytes.u16(messageID == nil ? 0 : 1 << 7)
    if let messageID { bytes.short(messageID) }
    return PeerFrame(.header, channel, bytes.all)
  }

  static func body(_ channel: UInt16, _ bytes: [UInt8]) -> PeerFrame { PeerFrame(.body, channel, bytes) }

  /// Nil for another kind of frame.
  var method: PeerMethod? {
    guard kind == Kind.method.rawValue, payload.count >= 4 else { return nil }
    return PeerMethod(rawValue: payload[..<4].reduce(0) { $0 << 8 | UInt32($1) })
  }

  var arguments: PeerReader { PeerReader(bytes: payload.dropFirst(4)) }

  var bytes: [UInt8] {
    var all = PeerBytes()
    all.u8(kind)
    all.u16(channel)
    all.u32(UInt32(payload.count))
    all.all += payload
    all.u8(0xce)
    return all.all
  }
}

/// Class and method ids.
enum PeerMethod: UInt32 {
  case start = 0x000a_000a, startOK = 0x000a_000b, tune = 0x000a_001e, tuneOK = 0x000a_001f, open = 0x000a_0028
  case openOK = 0x000a_0029, connectionClose = 0x000a_0032, connectionCloseOK = 0x000a_0033
  case blocked = 0x000a_003c, unblocked = 0x000a_003d
  case channelOpen = 0x0014_000a, channelOpenOK = 0x0014_000b, channelClose = 0x0014_0028, channelCloseOK = 0x0014_0029
  case exchangeDeclare = 0x0028_000a, exchangeDeclareOK = 0x0028_000b
  case queueDeclare = 0x0032_000a, queueDeclareOK = 0x0032_000b, queueBind = 0x0032_0014, queueBindOK = 0x0032_0015
  case qos = 0x003c_000a, qosOK = 0x003c_000b, consume = 0x003c_0014, consumeOK = 0x003c_0015
  case cancel = 0x003c_001e, cancelOK = 0x003c_001f, publish = 0x003c_0028, returned = 0x003c_0032
  case deliver = 0x003c_003c, ack = 0x003c_0050, reject = 0x003c_005a, nack = 0x003c_0078
  case confirmSelect = 0x0055_000a, confirmSelectOK = 0x0055_000b
}

struct PeerBytes {
  var all: [UInt8] = []

  mutating func u8(_ value: UInt8) { all.append(value) }
  mutating func u16(_ value: UInt16) { for shift in [8, 0] { all.append(UInt8(truncatingIfNeeded: value >> shift)) } }
  mutating func u32(_ value: UInt32) {
    for shift in stride(from: 24, through: 0, by: -8) { all.append(UInt8(truncatingIfNeeded: value >> shift)) }
  }
  mutating func u64(_ value: UInt64) {
    u32(UInt32(truncatingIfNeeded: value >> 32))
    u32(UInt32(truncatingIfNeeded: value))
  }
  mutating func short(_ text: String) {
    u8(UInt8(text.utf8.count))
    all += text.utf8
  }
  mutating func long(_ bytes: [UInt8]) {
    u32(UInt32(bytes.count))
    all += bytes
  }
}

struct PeerReader {
  var bytes: ArraySlice<UInt8>

  mutating func number(_ count: Int) -> UInt64 {
    defer { bytes = bytes.dropFirst(count) }
    return bytes.prefix(count).reduce(0) { $0 << 8 | UInt64($1) }
  }
  mutating func short() -> String {
    let count = Int(number(1))
    defer { bytes = bytes.dropFirst(count) }
    return String(decoding: bytes.prefix(count), as: UTF8.self)
  }
  mutating func long() -> [UInt8] {
    let count = Int(number(4))
    defer { bytes = bytes.dropFirst(count) }
    return Array(bytes.prefix(count))
  }
}
