/// What the broker sends, decoded and copied out of the library's memory. Untrusted.
enum BrokerFrame: Sendable, Equatable {
  case method(channel: UInt16, BrokerMethod)
  /// Announces a message's body: its length, and the properties that we read.
  case header(channel: UInt16, ContentHeader)
  case body(channel: UInt16, [UInt8])
  /// The broker speaks another protocol version.
  case protocolHeader(major: Int, minor: Int)
}

struct ContentHeader: Sendable, Equatable {
  var size: UInt64
  var messageID = ""
}

/// Why a channel or a connection was closed.
struct Closure: Sendable, Equatable {
  var code: UInt16
  var text: String

  /// Reply codes of AMQP 0-9-1.
  static let success: UInt16 = 200
  static let accessRefused: UInt16 = 403
  static let notFound: UInt16 = 404
  static let preconditionFailed: UInt16 = 406
  static let notAllowed: UInt16 = 530
}

enum BrokerMethod: Sendable, Equatable {
  // Connection.
  case start(major: Int, minor: Int, mechanisms: String, broker: String)
  case tune(frameMax: UInt32, heartbeat: UInt16)
  case openOK
  case connectionClose(Closure)
  case connectionCloseOK
  case blocked(reason: String)
  case unblocked
  // Channel.
  case channelOpenOK
  case channelClose(Closure)
  case channelCloseOK
  // Topology.
  case exchangeDeclareOK
  case queueDeclareOK(messages: UInt32)
  case queueBindOK
  // Publishing.
  case confirmSelectOK
  case ack(UInt64, multiple: Bool)
  case nack(UInt64, multiple: Bool)
  case returned(Closure)
  // Consuming.
  case qosOK
  case consumeOK(tag: String)
  case cancelOK(tag: String)
  case cancel(tag: String)
  case deliver(consumer: String, tag: UInt64, redelivered: Bool)
  /// Nothing that we asked for.
  case other(UInt32)
}

enum ClientMethod: Sendable, Equatable {
  // Connection.
  case startOK(ClientIdentity)
  case tuneOK(frameMax: UInt32, heartbeat: UInt16)
  case open(virtualHost: String)
  case connectionClose
  case connectionCloseOK
  // Channel.
  case channelOpen
  case channelCloseOK
  // Topology.
  case exchangeDeclare(AMQPTopology.Exchange)
  case queueDeclare(AMQPTopology.Queue)
  case queueInquire(String)
  case queueBind(AMQPTopology.Binding)
  // Publishing.
  case confirmSelect
  // Consuming.
  case qos(prefetch: UInt16)
  case consume(queue: String, tag: String)
  case cancel(tag: String)
  case ack(UInt64, multiple: Bool)
  /// To the dead letters.
  case reject(UInt64)
  /// Back to the queue, unused.
  case giveBack(UInt64)
}

/// Who we say we are when we log in.
struct ClientIdentity: Sendable, Equatable {
  var user: String
  var password: String
  var connectionName: String
  var version: String
}

/// Something to send, in the order in which it is handed out.
enum ClientOutput: Sendable, Equatable {
  case method(channel: UInt16, ClientMethod)
  case publish(channel: UInt16, exchange: String, routingKey: String, OutgoingMessage)
  case heartbeat

  /// About how many bytes it takes on the wire, at most.
  var size: Int {
    switch self {
    case .method: 1024
    case .publish(_, _, _, let message): message.body.count + 1024
    case .heartbeat: 8
    }
  }
}

/// Why a connection can't go on.
struct LinkFault: Error, Sendable, Equatable {
  /// `refused` where trying again would bring the same answer; else `unreachable`.
  var code: QueueError.Code
  var message: String

  init(_ code: QueueError.Code, _ message: String) {
    self.code = code
    self.message = message
  }

  /// What may work later.
  init(_ message: String) { self.init(.unreachable, message) }

  /// A broker's own words for closing a connection.
  init(_ closure: Closure) {
    let refusals = [Closure.accessRefused, Closure.notAllowed]
    self.init(
      refusals.contains(closure.code) ? .refused : .unreachable,
      "the broker closed the connection: \(closure.code) \(closure.text)")
  }

  /// The same, of a broker that has not said anything yet. With TLS 1.3 it looks at a client's certificate when the client
  /// has done its part of the handshake.
  func beforeTheFirstWord(isTLS: Bool) -> LinkFault {
    guard isTLS, code == .unreachable else { return self }
    return LinkFault(
      "\(message) before the broker's first word: does it want another certificate of its clients (certfile=, keyfile=)?"
    )
  }

  static func violation(_ what: String) -> LinkFault { LinkFault("the broker broke the protocol: \(what)") }

  var queueError: QueueError { QueueError(code, message) }
}
