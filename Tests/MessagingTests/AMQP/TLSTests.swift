import Foundation
import Messaging
import SweepRecords
import TestServers
import Testing

@Suite(.timeLimit(.minutes(4)))
struct TLSTests {
  private func error(_ settings: AMQPSettings) async throws -> QueueError {
    let queue = AMQPQueue(settings)
    let error = try await #require(throws: QueueError.self) { try await queue.consume(as: "a", prefetch: 1) }
    await queue.close()
    return error
  }

  @Test func worksWithATrustedPeer() async throws {
    let broker = try await TestServers.rabbitMQ()
    var settings = try AMQPSettings(parsing: "\(broker.tlsURI)?cacertfile=\(broker.certificateAuthority)")
    settings.queuePrefix = "tls-\(UUID().uuidString.prefix(8))"
    let queue = AMQPQueue(settings)
    try await queue.declareTopology()
    // Several of the library's read buffers, and of TLS's records.
    let messages = (0..<60).map {
      OutgoingMessage(id: "\($0):1", priority: .normal, body: Array(repeating: UInt8($0), count: 60_000))
    }
    #expect(await queue.publish(messages) == Array(repeating: .confirmed, count: 60))
    let consumer = try await queue.consume(as: "a", prefetch: 40)
    var got: [Delivery] = []
    while got.count < 60 {
      let next = try await consumer.next(upTo: 40, waiting: true)
      await consumer.acknowledge(next.map(\.tag))
      got += next
    }
    #expect(got.map(\.body) == messages.map(\.body))
    await queue.close()
  }

  @Test func refusesAPeerOfAnUnknownAuthority() async throws {
    let broker = try await TestServers.rabbitMQ()
    // Debian's authorities did not sign it.
    let settings = try AMQPSettings(parsing: broker.tlsURI)
    let error = try await error(settings)
    #expect(error.code == .refused && error.message.contains("not trusted"))
    let missing = try await self.error(try AMQPSettings(parsing: "\(broker.tlsURI)?cacertfile=/nowhere.pem"))
    #expect(missing.code == .refused && missing.message.contains("/nowhere.pem"))
  }

  @Test func plainAndTLSPortsAreToldApart() async throws {
    let broker = try await TestServers.rabbitMQ()
    var tls = try AMQPSettings(parsing: "\(broker.tlsURI)?cacertfile=\(broker.certificateAuthority)")
    var plain = try AMQPSettings(parsing: broker.uri)
    (tls.port, plain.port) = (plain.port, tls.port)
    (tls.connectLimit, plain.connectLimit) = (3, 3)
    let noTLS = try await error(tls)
    #expect(noTLS.code == .unreachable && noTLS.message.contains("amqps://"))
    #expect(try await error(plain).code == .unreachable)
  }

  @Test func verifiesDatesNamesAndVersions() async throws {
    let workshop = try CertificateWorkshop()
    defer { workshop.remove() }
    try workshop.authority("authority")
    try workshop.certificate("expired", signedBy: "authority", host: "localhost", days: -1)
    try workshop.certificate("other", signedBy: "authority", host: "elsewhere.example", days: 30)
    try workshop.certificate("good", signedBy: "authority", host: "localhost", days: 30)
    for (name, options, code, words) in [
      ("expired", [], .refused, "expired"), ("other", [], .refused, "does not name localhost"),
      ("good", ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], .unreachable, "TLS 1.2"),
      // A good one gets as far as the protocol, which this server does not speak.
      ("good", [], .unreachable, "did not answer in time"),
    ] as [(String, [String], QueueError.Code, String)] {
      let (server, port) = try workshop.serve(name, options: options)
      defer { server.terminate() }
      var settings = AMQPSettings(host: "localhost", port: port, user: "u", password: "p")
      settings.tls = .init(authorities: workshop.path("authority.pem"))
      settings.connectLimit = 1.5
      let error = try await error(settings)
      #expect(error.code == code && error.message.contains(words), "\(name): \(error)")
    }
  }
  /// A broker that lets nobody in without a certificate of an authority that it knows (`verify_peer`,
  /// `fail_if_no_peer_cert`).
  @Test func showsItsCertificateWhereTheBrokerWantsOne() async throws {
    let broker = try await TestServers.rabbitMQ()
    let workshop = try CertificateWorkshop()
    defer { workshop.remove() }
    for authority in ["clients", "strangers"] {
      try workshop.authority(authority)
      try workshop.certificate("of-\(authority)", signedBy: authority, host: "worker", days: 30)
    }
    try workshop.certificate("late", signedBy: "clients", host: "worker", days: -1)
    let (socket, port) = try Loopback.listen()
    close(socket)
    let server = URL(filePath: broker.certificateAuthority).deletingLastPathComponent().appending(path: "server").path
    let listener = "{\"127.0.0.1\", \(port)}"
    try await broker.control([
      "eval",
      """
      rabbit_networking:start_ssl_listener(\(listener), [{cacertfile, "\(workshop.path("clients.pem"))"},
        {certfile, "\(server).pem"}, {keyfile, "\(server).key"}, {verify, verify_peer},
        {fail_if_no_peer_cert, true}], 2).
      """,
    ])
    func settings(_ chain: String?, _ key: String? = nil) throws -> AMQPSettings {
      let certificate = chain.map {
        "&certfile=\(workshop.path("\($0).pem"))&keyfile=\(workshop.path("\(key ?? $0).key"))"
      }
      var settings = try AMQPSettings(
        parsing: "\(broker.tlsURI)?cacertfile=\(broker.certificateAuthority)\(certificate ?? "")")
      settings.port = port
      settings.queuePrefix = "mutual-\(UUID().uuidString.prefix(8))"
      return settings
    }
    let queue = AMQPQueue(try settings("of-clients"))
    try await queue.declareTopology()
    #expect(
      await queue.publish([OutgoingMessage(id: "1:1", priority: .normal, body: [1])]) == [.confirmed])
    let consumer = try await queue.consume(as: "a", prefetch: 1)
    #expect(try await consumer.next(upTo: 1, waiting: true).map(\.id) == ["1:1"])
    await queue.close()
    for chain in [nil, "of-strangers", "late"] {
      let error = try await error(try settings(chain))
      #expect(error.message.contains("certificate"), "\(chain ?? "none"): \(error)")
    }
    let mixed = try await error(try settings("of-clients", "of-strangers"))
    #expect(mixed.code == .refused && mixed.message.contains("not its key"))
    try await broker.control(["eval", "rabbit_networking:stop_tcp_listener(\(listener))."])
  }
}
