internal import CRabbitMQ
internal import Foundation

/// A connection of librabbitmq, for the one thread that owns it. Nothing of the library's memory leaves this type: what
/// comes is copied before its buffers are released.
///
/// The library reads and writes frames. Its blocking calls, its heartbeats and its login are not used: each of them can
/// wait without end, or abort the process, on a peer that misbehaves.
struct BrokerSocket: ~Copyable {
  private let connection: amqp_connection_state_t
  /// Bytes that may be underway before sending could block.
  private let capacity: Int32
  let descriptor: Int32

  /// Opens a socket, with TLS where the settings say so, and sends the protocol header. Blocks the thread for at most
  /// `connectLimit`, and however long the system resolves names.
  init(_ settings: AMQPSettings) throws(LinkFault) {
    connection = try Self.greeted(settings)
    descriptor = amqp_get_sockfd(connection)
    capacity = Self.prepare(descriptor, settings)
  }

  private static func greeted(_ settings: AMQPSettings) throws(LinkFault) -> amqp_connection_state_t {
    guard let connection = amqp_new_connection() else { throw LinkFault("out of memory") }
    do throws(LinkFault) {
      try open(connection, settings)
      do throws(LinkFault) { try check(amqp_send_header(connection), "greeting the broker") } catch {
        throw error.beforeTheFirstWord(isTLS: settings.tls != nil)
      }
    } catch {
      amqp_destroy_connection(connection)
      throw error
    }
    return connection
  }

  deinit { amqp_destroy_connection(connection) }

  private static func open(_ connection: amqp_connection_state_t, _ settings: AMQPSettings) throws(LinkFault) {
    // The setters for TLS abort the process on a plain socket: both kinds stay within their branch.
    let socket: OpaquePointer
    if let tls = settings.tls {
      guard let made = amqp_ssl_socket_new(connection) else { throw LinkFault("TLS is not available") }
      try configure(made, tls)
      socket = made
    } else {
      guard let made = amqp_tcp_socket_new(connection) else { throw LinkFault("out of memory") }
      socket = made
    }
    var limit = timeval(settings.connectLimit)
    let status = amqp_socket_open_noblock(socket, settings.host, Int32(settings.port), &limit)
    guard status != AMQP_STATUS_OK.rawValue else { return }
    throw fault(opening: status, settings)
  }

  private static func configure(_ socket: OpaquePointer, _ tls: AMQPSettings.TLS) throws(LinkFault) {
    amqp_ssl_socket_set_verify_peer(socket, 1)
    amqp_ssl_socket_set_verify_hostname(socket, 1)
    guard amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST) == AMQP_STATUS_OK.rawValue else {
      throw LinkFault(.refused, "TLS 1.2 is not available")
    }
    guard amqp_ssl_socket_set_cacert(socket, tls.authorities) == AMQP_STATUS_OK.rawValue else {
      throw LinkFault(
        .refused, "no certificates of authorities in \(tls.authorities): name a PEM file by cacertfile=")
    }
    guard let (chain, key) = tls.certificate else { return }
    guard amqp_ssl_socket_set_key(socket, chain, key) == AMQP_STATUS_OK.rawValue else {
      throw LinkFault(.refused, "no certificate in \(chain), or not its key in \(key)")
    }
  }

  private static func fault(opening status: Int32, _ settings: AMQPSettings) -> LinkFault {
    let place = "\(settings.host):\(settings.port)"
    return switch amqp_status_enum(rawValue: status) {
    case AMQP_STATUS_SSL_PEER_VERIFY_FAILED:
      LinkFault(
        .refused,
        "the certificate of \(place) is not trusted, or expired (authorities: \(settings.tls?.authorities ?? "none"))")
    case AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED:
      LinkFault(.refused, "the certificate of \(place) does not name \(settings.host)")
    case AMQP_STATUS_SSL_CONNECTION_FAILED, AMQP_STATUS_SSL_ERROR:
      LinkFault(
        "\(place) does not speak TLS 1.2 or newer with us: is it the port for amqps://, and does it want a certificate "
          + "of its clients (certfile=, keyfile=)?")
    case AMQP_STATUS_HOSTNAME_RESOLUTION_FAILED: LinkFault("no address for host \(settings.host)")
    case AMQP_STATUS_TIMEOUT: LinkFault("\(place) did not answer in time")
    default: LinkFault("can't connect to \(place): \(text(status))")
    }
  }

  /// Lets the system notice a dead peer, and makes room for more than one message. Returns how many bytes may be
  /// underway before another message could block.
  private static func prepare(_ descriptor: Int32, _ settings: AMQPSettings) -> Int32 {
    let patience = Int32(clamping: settings.heartbeat == 0 ? 60 : Int(settings.heartbeat) * 2)
    set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
    set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPIDLE, max(1, patience / 2))
    set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPINTVL, max(1, patience / 6))
    set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPCNT, 3)
    set(descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, patience * 1000)
    set(descriptor, SOL_SOCKET, SO_SNDBUF, 512 * 1024)
    var size: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    getsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, &length)
    // The system counts its own bookkeeping, too.
    return max(size / 4, 1)
  }

  private static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
    var value = value
    setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
  }

  // MARK: Sending

  /// How many bytes can be sent without waiting for the peer.
  var room: Int {
    let underway = steerscope_unacknowledged_bytes(descriptor)
    return underway < 0 ? Int(capacity) : Int(capacity - underway)
  }

  /// Uses frames of the negotiated size; only between frames.
  func tune(frameMax: UInt32) throws(LinkFault) {
    // The library aborts the process in the middle of a frame.
    guard amqp_release_buffers_ok(connection) != 0 else { throw .violation("more after connection.tune") }
    try Self.check(amqp_tune_connection(connection, 2, Int32(frameMax), 0), "tuning")
  }

  /// - Parameter timestamp: seconds since 1970, for messages.
  func send(_ output: ClientOutput, timestamp: UInt64) throws(LinkFault) {
    switch output {
    case .method(let channel, let method):
      try Self.check(method.send { amqp_send_method(connection, channel, $0, $1) }, "sending")
    case .publish(let channel, let exchange, let routingKey, let message):
      let status = LibraryMemory.lend { memory in
        message.send(timestamp: timestamp, memory: memory) { properties, body in
          amqp_basic_publish(
            connection, channel, memory.bytes(exchange), memory.bytes(routingKey), 1, 0, properties, body)
        }
      }
      try Self.check(status, "publishing")
    case .heartbeat:
      var frame = amqp_frame_t()
      frame.frame_type = UInt8(AMQP_FRAME_HEARTBEAT)
      try Self.check(amqp_send_frame(connection, &frame), "sending a heartbeat")
    }
  }

  // MARK: Receiving

  /// The next frame that is there, without waiting. After nil the socket was read empty, TLS's own buffer included.
  func receive() throws(LinkFault) -> BrokerFrame? {
    var frame = amqp_frame_t()
    var none = timeval()
    let status = amqp_simple_wait_frame_noblock(connection, &frame, &none)
    if status == AMQP_STATUS_TIMEOUT.rawValue { return nil }
    try Self.check(status, "receiving")
    defer { amqp_maybe_release_buffers(connection) }
    return try BrokerFrame(frame)
  }

  private static func check(_ status: Int32, _ doing: String) throws(LinkFault) {
    guard status != AMQP_STATUS_OK.rawValue else { return }
    switch amqp_status_enum(rawValue: status) {
    case AMQP_STATUS_BAD_AMQP_DATA, AMQP_STATUS_UNKNOWN_METHOD, AMQP_STATUS_UNKNOWN_CLASS:
      throw .violation("a frame that can't be read")
    case AMQP_STATUS_CONNECTION_CLOSED, AMQP_STATUS_SOCKET_ERROR, AMQP_STATUS_SOCKET_CLOSED, AMQP_STATUS_SSL_ERROR:
      throw LinkFault("the connection broke")
    default: throw LinkFault("\(doing): \(text(status))")
    }
  }

  private static func text(_ status: Int32) -> String { String(cString: amqp_error_string2(status)) }
}

extension timeval {
  fileprivate init(_ seconds: Double) {
    self.init(tv_sec: Int(seconds), tv_usec: Int((seconds - seconds.rounded(.down)) * 1e6))
  }
}
