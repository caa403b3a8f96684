import CPostgreSQL
import CRabbitMQ
import CRabbitMQLogin
import Foundation
import Messaging

/// What the two libraries do on this machine with nothing around them: the floor under a task.
enum BareLibraries {
  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  // MARK: libpq

  /// The two durable commits of a task, claim and finish, by prepared statements on `threads` connections at once.
  ///
  /// - Returns: tasks per second.
  static func commits(uri: String, tasks: Int, threads: Int) async throws -> Double {
    let setUp = try connect(uri)
    try run(setUp, "DROP TABLE IF EXISTS bare")
    try run(setUp, "CREATE TABLE bare (id bigint PRIMARY KEY, state text NOT NULL, token bigint, worker text)")
    try run(setUp, "INSERT INTO bare SELECT i, 'queued', 0, '' FROM generate_series(1, \(tasks)) i")
    try run(setUp, "CHECKPOINT")
    PQfinish(setUp)
    let clock = ContinuousClock()
    let start = clock.now
    try await withThrowingTaskGroup(of: Void.self) { group in
      for thread in 0..<threads {
        group.addTask {
          try await onThread {
            let connection = try connect(uri)
            defer { PQfinish(connection) }
            for id in stride(from: thread + 1, through: tasks, by: threads) {
              try run(
                connection, "UPDATE bare SET state = 'running', token = token + 1, worker = 'me' WHERE id = \(id)")
              try run(connection, "UPDATE bare SET state = 'done' WHERE id = \(id) AND token = 1 AND worker = 'me'")
            }
          }
        }
      }
      try await group.waitForAll()
    }
    return Double(tasks) / (start.duration(to: clock.now) / .seconds(1))
  }

  private static func connect(_ uri: String) throws -> OpaquePointer {
    guard let connection = PQconnectdb(uri), PQstatus(connection) == CONNECTION_OK else {
      throw Failure(description: "no connection to PostgreSQL")
    }
    return connection
  }

  private static func run(_ connection: OpaquePointer, _ sql: String) throws {
    let result = PQexec(connection, sql)
    defer { PQclear(result) }
    guard PQresultStatus(result) == PGRES_COMMAND_OK else {
      throw Failure(description: String(cString: PQerrorMessage(connection)))
    }
  }

  // MARK: librabbitmq

  /// Persistent messages to a durable quorum queue: published with confirms in a window, and at the same time consumed
  /// and acknowledged one by one.
  ///
  /// - Returns: messages per second from the first publication to the last acknowledgement.
  static func messages(_ settings: AMQPSettings, count: Int, window: Int = 64) async throws -> Double {
    let declaring = try Channel(settings)
    declaring.declare()
    let clock = ContinuousClock()
    let start = clock.now
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await onThread { try Channel(settings).publish(count, window: window) } }
      group.addTask { try await onThread { try Channel(settings).consume(count) } }
      try await group.waitForAll()
    }
    return Double(count) / (start.duration(to: clock.now) / .seconds(1))
  }

  /// A connection with one channel, used by one thread.
  private final class Channel {
    private let connection: OpaquePointer
    /// Memory that outlives every call.
    private let queue = strdup("bare")

    init(_ settings: AMQPSettings) throws {
      guard let connection = amqp_new_connection(), let socket = amqp_tcp_socket_new(connection),
        amqp_socket_open(socket, settings.host, Int32(settings.port)) == 0
      else { throw Failure(description: "no connection to RabbitMQ") }
      self.connection = connection
      let login = steerscope_plain_login(connection, settings.virtualHost, settings.user, settings.password)
      guard login.reply_type == AMQP_RESPONSE_NORMAL else { throw Failure(description: "RabbitMQ refuses us") }
      amqp_channel_open(connection, 1)
    }

    deinit {
      amqp_destroy_connection(connection)
      free(queue)
    }

    private var name: amqp_bytes_t { amqp_cstring_bytes(queue) }

    func declare() {
      let type = strdup("quorum")
      let key = strdup("x-queue-type")
      defer {
        free(type)
        free(key)
      }
      var entry = amqp_table_entry_t()
      entry.key = amqp_cstring_bytes(key)
      entry.value.kind = UInt8(AMQP_FIELD_KIND_UTF8.rawValue)
      entry.value.value.bytes = amqp_cstring_bytes(type)
      withUnsafeMutablePointer(to: &entry) { pointer in
        _ = amqp_queue_declare(
          connection, 1, name, 0, 1, 0, 0, amqp_table_t(num_entries: 1, entries: pointer))
      }
    }

    func publish(_ count: Int, window: Int) throws {
      amqp_confirm_select(connection, 1)
      var body = [UInt8](repeating: 0x7b, count: 200)
      var properties = amqp_basic_properties_t()
      properties._flags = UInt32(AMQP_BASIC_DELIVERY_MODE_FLAG)
      properties.delivery_mode = 2
      var confirmed = 0
      for number in 1...count {
        let status = body.withUnsafeMutableBytes { bytes in
          amqp_basic_publish(
            connection, 1, amqp_empty_bytes, name, 0, 0, &properties,
            amqp_bytes_t(len: bytes.count, bytes: bytes.baseAddress))
        }
        guard status == 0 else { throw Failure(description: "not published") }
        while number - confirmed >= window { confirmed = try confirmation(after: confirmed) }
      }
      while confirmed < count { confirmed = try confirmation(after: confirmed) }
    }

    /// The number of the newest message that is confirmed with all before it.
    private func confirmation(after confirmed: Int) throws -> Int {
      var frame = amqp_frame_t()
      guard amqp_simple_wait_frame(connection, &frame) == 0, frame.frame_type == UInt8(AMQP_FRAME_METHOD),
        frame.payload.method.id == AMQP_BASIC_ACK_METHOD,
        let ack = frame.payload.method.decoded?.assumingMemoryBound(to: amqp_basic_ack_t.self).pointee
      else { throw Failure(description: "not confirmed") }
      amqp_maybe_release_buffers(connection)
      return ack.multiple != 0 ? Int(ack.delivery_tag) : max(confirmed + 1, 0)
    }

    func consume(_ count: Int) throws {
      amqp_basic_qos(connection, 1, 0, 128, 0)
      amqp_basic_consume(connection, 1, name, amqp_empty_bytes, 0, 0, 0, amqp_empty_table)
      for _ in 0..<count {
        amqp_maybe_release_buffers(connection)
        var envelope = amqp_envelope_t()
        let reply = amqp_consume_message(connection, &envelope, nil, 0)
        guard reply.reply_type == AMQP_RESPONSE_NORMAL else { throw Failure(description: "not delivered") }
        amqp_basic_ack(connection, 1, envelope.delivery_tag, 0)
        amqp_destroy_envelope(&envelope)
      }
    }
  }
}

/// Runs what blocks on a thread of its own.
func onThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
  try await withCheckedThrowingContinuation { continuation in
    Thread.detachNewThread { continuation.resume(with: Swift.Result { try body() }) }
  }
}
