internal import CRabbitMQ

extension BrokerFrame {
  /// The library's own frame type for a protocol header, `A` (a macro that Swift does not see).
  private static let protocolHeaderFrame = Int32(UInt8(ascii: "A"))

  /// Copies a frame out of the library's memory.
  init(_ frame: amqp_frame_t) throws(LinkFault) {
    let channel = frame.channel
    switch Int32(frame.frame_type) {
    case AMQP_FRAME_METHOD: self = .method(channel: channel, try BrokerMethod(frame.payload.method))
    case AMQP_FRAME_HEADER:
      guard Int32(frame.payload.properties.class_id) == AMQP_BASIC_CLASS,
        let properties = frame.payload.properties.decoded?.assumingMemoryBound(to: amqp_basic_properties_t.self)
      else { throw .violation("a content header of another class") }
      let hasID = properties.pointee._flags & UInt32(AMQP_BASIC_MESSAGE_ID_FLAG) != 0
      self = .header(
        channel: channel,
        ContentHeader(
          size: frame.payload.properties.body_size, messageID: hasID ? String(properties.pointee.message_id) : ""))
    case AMQP_FRAME_BODY:
      let fragment = frame.payload.body_fragment
      self = .body(
        channel: channel, Array(UnsafeRawBufferPointer(start: fragment.bytes, count: fragment.len)))
    case Self.protocolHeaderFrame:
      let header = frame.payload.protocol_header
      self = .protocolHeader(
        major: Int(header.protocol_version_major), minor: Int(header.protocol_version_minor))
    default: throw .violation("a frame of unknown type \(frame.frame_type)")
    }
  }
}

extension BrokerMethod {
  fileprivate init(_ method: amqp_method_t) throws(LinkFault) {
    guard let memory = method.decoded else {
      self = .other(method.id)
      return
    }
    func read<Value>(_ type: Value.Type) -> Value { memory.assumingMemoryBound(to: type).pointee }
    switch method.id {
    case AMQP_CONNECTION_START_METHOD: self = Self.start(read(amqp_connection_start_t.self))
    case AMQP_CONNECTION_TUNE_METHOD:
      let tune = read(amqp_connection_tune_t.self)
      self = .tune(frameMax: tune.frame_max, heartbeat: tune.heartbeat)
    case AMQP_CONNECTION_OPEN_OK_METHOD: self = .openOK
    case AMQP_CONNECTION_CLOSE_METHOD:
      let close = read(amqp_connection_close_t.self)
      self = .connectionClose(Closure(code: close.reply_code, text: String(close.reply_text)))
    case AMQP_CONNECTION_CLOSE_OK_METHOD: self = .connectionCloseOK
    case AMQP_CONNECTION_BLOCKED_METHOD: self = .blocked(reason: String(read(amqp_connection_blocked_t.self).reason))
    case AMQP_CONNECTION_UNBLOCKED_METHOD: self = .unblocked
    case AMQP_CHANNEL_OPEN_OK_METHOD: self = .channelOpenOK
    case AMQP_CHANNEL_CLOSE_METHOD:
      let close = read(amqp_channel_close_t.self)
      self = .channelClose(Closure(code: close.reply_code, text: String(close.reply_text)))
    case AMQP_CHANNEL_CLOSE_OK_METHOD: self = .channelCloseOK
    case AMQP_EXCHANGE_DECLARE_OK_METHOD: self = .exchangeDeclareOK
    case AMQP_QUEUE_DECLARE_OK_METHOD:
      self = .queueDeclareOK(messages: read(amqp_queue_declare_ok_t.self).message_count)
    case AMQP_QUEUE_BIND_OK_METHOD: self = .queueBindOK
    case AMQP_CONFIRM_SELECT_OK_METHOD: self = .confirmSelectOK
    case AMQP_BASIC_ACK_METHOD:
      let ack = read(amqp_basic_ack_t.self)
      self = .ack(ack.delivery_tag, multiple: ack.multiple != 0)
    case AMQP_BASIC_NACK_METHOD:
      let nack = read(amqp_basic_nack_t.self)
      self = .nack(nack.delivery_tag, multiple: nack.multiple != 0)
    case AMQP_BASIC_RETURN_METHOD:
      let returned = read(amqp_basic_return_t.self)
      self = .returned(Closure(code: returned.reply_code, text: String(returned.reply_text)))
    case AMQP_BASIC_QOS_OK_METHOD: self = .qosOK
    case AMQP_BASIC_CONSUME_OK_METHOD: self = .consumeOK(tag: String(read(amqp_basic_consume_ok_t.self).consumer_tag))
    case AMQP_BASIC_CANCEL_OK_METHOD: self = .cancelOK(tag: String(read(amqp_basic_cancel_ok_t.self).consumer_tag))
    case AMQP_BASIC_CANCEL_METHOD: self = .cancel(tag: String(read(amqp_basic_cancel_t.self).consumer_tag))
    case AMQP_BASIC_DELIVER_METHOD:
      let deliver = read(amqp_basic_deliver_t.self)
      self = .deliver(
        consumer: String(deliver.consumer_tag), tag: deliver.delivery_tag, redelivered: deliver.redelivered != 0)
    default: self = .other(method.id)
    }
  }

  private static func start(_ start: amqp_connection_start_t) -> BrokerMethod {
    let properties = UnsafeBufferPointer(
      start: start.server_properties.entries, count: Int(start.server_properties.num_entries))
    func text(_ name: String) -> String? {
      let kinds = [AMQP_FIELD_KIND_UTF8, AMQP_FIELD_KIND_BYTES].map { UInt8($0.rawValue) }
      return properties.first { kinds.contains($0.value.kind) && String($0.key) == name }
        .map { String($0.value.value.bytes) }
    }
    return .start(
      major: Int(start.version_major), minor: Int(start.version_minor), mechanisms: String(start.mechanisms),
      broker: [text("product"), text("version")].compactMap { $0 }.joined(separator: " "))
  }
}
