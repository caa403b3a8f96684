import Foundation
import Messaging
import SweepRecords
import TestServers
import Testing

/// Certificates made for a test, and servers that show them.
private struct CertificateWorkshop {
  let folder: URL

  init() throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "certificates-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  func path(_ name: String) -> String { folder.appending(path: name).path }

  func remove() { try? FileManager.default.removeItem(at: folder) }

  @discardableResult
  private func openssl(_ arguments: [String]) throws -> Process {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/openssl")
    process.arguments = arguments
    process.currentDirectoryURL = folder
    process.standardOutput = Pipe()
    process.standardError = FileHandle.nullDevice
    process.standardInput = Pipe()
    try process.run()
    return process
  }

  private func run(_ arguments: [String]) throws {
    let process = try openssl(arguments)
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "openssl \(arguments)")
  }

  func authority(_ name: String) throws {
    try run([
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
      "/CN=\(name)", "-keyout", "\(name).key", "-out", "\(name).pem",
    ])
  }

  /// A server's certificate, which may be expired.
  func certificate(_ name: String, signedBy authority: String, host: String, days: Int) throws {
    try run([
      "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=\(host)", "-keyout",
      "\(name).key", "-out", "\(name).csr",
    ])
    try Data("subjectAltName=DNS:\(host)\n".utf8).write(to: folder.appending(path: "\(name).ext"))
    try run([
      "x509", "-req", "-in", "\(name).csr", "-CA", "\(authority).pem", "-CAkey", "\(authority).key",
      "-CAcreateserial", "-days", "\(days)", "-extfile", "\(name).ext", "-out", "\(name).pem",
    ])
  }

  /// A server on a free port that shows a certificate, and says nothing more.
  func serve(_ name: String, options: [String] = []) throws -> (Process, UInt16) {
    let process = try openssl(
      ["s_server", "-accept", "127.0.0.1:0", "-cert", "\(name).pem", "-key", "\(name).key"] + options)
    let output = try #require(process.standardOutput as? Pipe).fileHandleForReading
    var text = ""
    while !text.contains("ACCEPT"), case let data = output.availableData, !data.isEmpty {
      text += String(decoding: data, as: UTF8.self)
    }
    let port = try #require(text.firstMatch(of: /ACCEPT [^\n]*:(\d+)/)?.1)
    return (process, try #require(UInt16(port)))
  }
}

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
}
