internal import CRabbitMQ

extension ClientMethod {
  /// Lays the method out as the library wants it, for the length of a call.
  ///
  /// - Parameter call: sends a method of an id, which points to its arguments. Returns the library's status.
  func send(_ call: (UInt32, UnsafeMutableRawPointer) -> Int32) -> Int32 {
    LibraryMemory.lend { send(call, $0) }
  }

  private func send(_ call: (UInt32, UnsafeMutableRawPointer) -> Int32, _ memory: LibraryMemory) -> Int32 {
    func with<Arguments>(_ id: UInt32, _ arguments: Arguments) -> Int32 {
      var arguments = arguments
      return withUnsafeMutablePointer(to: &arguments) { call(id, UnsafeMutableRawPointer($0)) }
    }
    switch self {
    case .startOK(let identity): return with(AMQP_CONNECTION_START_OK_METHOD, identity.arguments(memory))
    case .tuneOK(let frameMax, let heartbeat):
      return with(
        AMQP_CONNECTION_TUNE_OK_METHOD,
        amqp_connection_tune_ok_t(channel_max: 2, frame_max: frameMax, heartbeat: heartbeat))
    case .open(let virtualHost):
      return with(
        AMQP_CONNECTION_OPEN_METHOD,
        amqp_connection_open_t(virtual_host: memory.bytes(virtualHost), capabilities: amqp_empty_bytes, insist: 0))
    case .connectionClose:
      return with(
        AMQP_CONNECTION_CLOSE_METHOD,
        amqp_connection_close_t(
          reply_code: Closure.success, reply_text: memory.bytes("goodbye"), class_id: 0, method_id: 0))
    case .connectionCloseOK: return with(AMQP_CONNECTION_CLOSE_OK_METHOD, amqp_connection_close_ok_t())
    case .channelOpen: return with(AMQP_CHANNEL_OPEN_METHOD, amqp_channel_open_t(out_of_band: amqp_empty_bytes))
    case .channelCloseOK: return with(AMQP_CHANNEL_CLOSE_OK_METHOD, amqp_channel_close_ok_t())
    case .exchangeDeclare(let exchange):
      return with(
        AMQP_EXCHANGE_DECLARE_METHOD,
        amqp_exchange_declare_t(
          ticket: 0, exchange: memory.bytes(exchange.name), type: memory.bytes("direct"), passive: 0, durable: 1,
          auto_delete: 0, internal: 0, nowait: 0, arguments: amqp_empty_table))
    case .queueDeclare(let queue):
      return with(
        AMQP_QUEUE_DECLARE_METHOD, Self.declaration(memory, queue.name, isPassive: false, queue.arguments))
    case .queueInquire(let name):
      return with(AMQP_QUEUE_DECLARE_METHOD, Self.declaration(memory, name, isPassive: true, []))
    case .queueBind(let binding):
      return with(
        AMQP_QUEUE_BIND_METHOD,
        amqp_queue_bind_t(
          ticket: 0, queue: memory.bytes(binding.queue), exchange: memory.bytes(binding.exchange),
          routing_key: memory.bytes(binding.routingKey), nowait: 0, arguments: amqp_empty_table))
    case .confirmSelect: return with(AMQP_CONFIRM_SELECT_METHOD, amqp_confirm_select_t(nowait: 0))
    case .qos(let prefetch):
      return with(
        AMQP_BASIC_QOS_METHOD, amqp_basic_qos_t(prefetch_size: 0, prefetch_count: prefetch, global: 0))
    case .consume(let queue, let tag):
      return with(
        AMQP_BASIC_CONSUME_METHOD,
        amqp_basic_consume_t(
          ticket: 0, queue: memory.bytes(queue), consumer_tag: memory.bytes(tag), no_local: 0, no_ack: 0,
          exclusive: 0, nowait: 0, arguments: amqp_empty_table))
    case .cancel(let tag):
      return with(AMQP_BASIC_CANCEL_METHOD, amqp_basic_cancel_t(consumer_tag: memory.bytes(tag), nowait: 0))
    case .ack(let tag, let multiple):
      return with(AMQP_BASIC_ACK_METHOD, amqp_basic_ack_t(delivery_tag: tag, multiple: multiple ? 1 : 0))
    case .reject(let tag): return with(AMQP_BASIC_REJECT_METHOD, amqp_basic_reject_t(delivery_tag: tag, requeue: 0))
    case .giveBack(let tag):
      // A rejection counts as a failure on every version; this does not on the newer ones.
      return with(AMQP_BASIC_NACK_METHOD, amqp_basic_nack_t(delivery_tag: tag, multiple: 0, requeue: 1))
    }
  }

  private static func declaration(
    _ memory: LibraryMemory, _ name: String, isPassive: Bool,
    _ arguments: [(name: String, value: AMQPTopology.Argument)]
  ) -> amqp_queue_declare_t {
    let entries = arguments.map { argument in
      switch argument.value {
      case .text(let text): memory.entry(argument.name, text: text)
      case .number(let number): memory.entry(argument.name, number: number)
      }
    }
    return amqp_queue_declare_t(
      ticket: 0, queue: memory.bytes(name), passive: isPassive ? 1 : 0, durable: 1, exclusive: 0, auto_delete: 0,
      nowait: 0, arguments: memory.table(entries))
  }
}

extension ClientIdentity {
  fileprivate func arguments(_ memory: LibraryMemory) -> amqp_connection_start_ok_t {
    let capabilities = [
      "authentication_failure_close", "basic.nack", "connection.blocked", "consumer_cancel_notify",
      "publisher_confirms",
    ]
    let properties = memory.table([
      memory.entry("product", text: "steerscope"), memory.entry("version", text: version),
      memory.entry("connection_name", text: String(connectionName.prefix(200))),
      memory.entry("capabilities", table: memory.table(capabilities.map { memory.entry($0, flag: true) })),
    ])
    return amqp_connection_start_ok_t(
      client_properties: properties, mechanism: memory.bytes("PLAIN"),
      response: memory.bytes("\0\(user)\0\(password)"), locale: memory.bytes("en_US"))
  }
}

extension OutgoingMessage {
  /// Lends the message's properties and body in the library's form.
  ///
  /// - Parameter timestamp: seconds since 1970.
  func send(
    timestamp: UInt64, memory: LibraryMemory,
    _ call: (UnsafePointer<amqp_basic_properties_t>, amqp_bytes_t) -> Int32
  ) -> Int32 {
    var properties = amqp_basic_properties_t()
    properties._flags = UInt32(
      AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG
        | AMQP_BASIC_TIMESTAMP_FLAG | AMQP_BASIC_APP_ID_FLAG)
    properties.content_type = memory.bytes("application/json")
    // Dead-lettered copies keep it.
    properties.delivery_mode = 2
    properties.message_id = memory.bytes(id)
    properties.timestamp = timestamp
    properties.app_id = memory.bytes("steerscope")
    return body.withUnsafeBytes { bytes in
      // The library does not write to what it publishes.
      let lent = amqp_bytes_t(len: bytes.count, bytes: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
      return call(&properties, lent)
    }
  }
}
