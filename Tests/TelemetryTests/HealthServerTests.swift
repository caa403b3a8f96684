import Diagnostics
import Foundation
import Synchronization
import Testing

@testable import Telemetry

@Suite struct HealthServerTests {
  /// Runs a server on a port of its own for as long as the body runs.
  private func serving<Result: Sendable>(
    _ metrics: Metrics = Metrics(), limits: HTTPServer.Limits = HTTPServer.Limits(),
    liveness: @escaping HealthServer.Check = { [] }, readiness: @escaping HealthServer.Check = { [] },
    _ body: (ListenAddress) async throws -> Result
  ) async throws -> Result {
    let server = try HealthServer(
      at: ListenAddress(port: 0), subject: "--metrics-port", metrics: metrics, limits: limits, liveness: liveness,
      readiness: readiness)
    #expect(server.address.port != 0)
    return try await withThrowingTaskGroup { group in
      group.addTask { await server.run() }
      defer { group.cancelAll() }
      return try await body(server.address)
    }
  }

  /// Waits on a thread of its own: the server answers on those that tasks share.
  private func elsewhere<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
    await withCheckedContinuation { continuation in
      Thread { continuation.resume(returning: body()) }.start()
    }
  }

  private func get(_ path: String, at address: ListenAddress) async -> HTTPProbe.Reply? {
    await elsewhere { HTTPProbe.get(path, at: address, within: .seconds(20)) }
  }

  /// Sends bytes as they are and returns all that comes back before the other side closes; nil when it did not.
  private func send(_ bytes: [UInt8], at address: ListenAddress, closing: Bool = false) async -> String? {
    await elsewhere {
      let deadline = ContinuousClock.now + .seconds(20)
      guard let connection = try? Connection.open(to: address, deadline: deadline) else { return nil }
      // The server may answer and close before it has read all.
      try? connection.send(bytes, until: deadline)
      if closing { connection.finish(within: .zero) }
      var reply: [UInt8] = []
      while let more = try? connection.receive(atMost: 4096, until: deadline) {
        if more.isEmpty { return String(decoding: reply, as: UTF8.self) }
        reply += more
      }
      return ContinuousClock.now < deadline ? String(decoding: reply, as: UTF8.self) : nil
    }
  }

  @Test func metricsAreServed() async throws {
    let metrics = Metrics()
    metrics.counter("things_total", "Things.").increment(by: 3)
    try await serving(metrics) { address in
      let reply = try #require(await get("/metrics", at: address))
      #expect(reply.status == 200)
      #expect(try PrometheusParser(reply.text).value("things_total") == 3)
      let raw = try #require(await send(Array("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".utf8), at: address))
      #expect(raw.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"))
      let head = try #require(await send(Array("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n".utf8), at: address))
      #expect(head.hasSuffix("\r\n\r\n"))
      #expect(await get("/nothing", at: address)?.status == 404)
    }
  }

  private final class Reasons: Sendable {
    let now = Mutex<[String]>([])
  }

  @Test func readinessGivesItsReasons() async throws {
    let unready = Reasons()
    let dead = Reasons()
    try await serving(
      liveness: { dead.now.withLock { $0 } }, readiness: { unready.now.withLock { $0 } }
    ) { address in
      #expect(await get("/readyz", at: address) == HTTPProbe.Reply(status: 200, text: "ready\n"))
      #expect(await get("/livez", at: address) == HTTPProbe.Reply(status: 200, text: "alive\n"))
      unready.now.withLock { $0 = ["no broker", "model.gguf is missing"] }
      let text = "no broker\nmodel.gguf is missing\n"
      #expect(await get("/readyz", at: address) == HTTPProbe.Reply(status: 503, text: text))
      #expect(await get("/livez", at: address)?.status == 200)
      #expect(await get("/metrics", at: address)?.text.contains("\nsteerscope_ready 0\n") == true)
      unready.now.withLock { $0 = [] }
      #expect(await get("/metrics", at: address)?.text.contains("\nsteerscope_ready 1\n") == true)
      dead.now.withLock { $0 = ["stuck"] }
      #expect(await get("/livez", at: address)?.status == 503)
    }
  }

  @Test func aCheckThatHangsIsNotReady() async throws {
    var limits = HTTPServer.Limits()
    limits.answering = .milliseconds(50)
    try await serving(
      limits: limits,
      readiness: {
        try? await Task.sleep(for: .seconds(3600))
        return []
      }
    ) { address in
      #expect(await get("/readyz", at: address)?.status == 503)
      #expect(await get("/livez", at: address)?.status == 200)
    }
  }

  @Test func aPortInUseIsABadSetting() async throws {
    try await serving { address in
      do throws(InputError) {
        _ = try HealthServer(at: address, subject: "--metrics-port", metrics: Metrics(), readiness: { [] })
        Issue.record("two servers at one port")
      } catch {
        #expect(error.subject == "--metrics-port")
        #expect(error.found.contains(address.description))
      }
    }
  }

  @Test func anAddressOfAnotherMachineIsABadSetting() {
    #expect(throws: InputError.self) {
      try HTTPServer(at: ListenAddress(host: "192.0.2.1", port: 0), subject: "--metrics-port") { _ in
        HTTPResponse(text: "")
      }
    }
  }

  @Test func aStoppedServerLetsThePortGo() async throws {
    let address = try await serving { address in address }
    // The thread that listens lets go when it has ended.
    let again = try HTTPServer(at: address, subject: "port") { _ in HTTPResponse(text: "again") }
    await withTaskGroup { group in
      group.addTask { await again.run() }
      #expect(await get("/", at: address)?.text == "again\n")
      group.cancelAll()
    }
  }

  /// Whatever is sent, the server answers the next one.
  @Test func nonsenseDoesNotHarm() async throws {
    try await serving { address in
      let cases: [(bytes: [UInt8], status: String?)] = [
        (Array("\r\n\r\n".utf8), "400"), (Array("GET / HTTP/1.1\r\n\r\n".utf8), "400"),
        (Array(repeating: 0, count: 100) + Array("\r\n\r\n".utf8), "400"),
        (Array("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabcdefghi".utf8), "405"),
        (Array("GET / HTTP/1.1\r\nX: ".utf8) + Array(repeating: 65, count: 1 << 20), "431"),
        (Array(repeating: 65, count: 4 << 20), "431"), ([0x16, 0x03, 0x01, 0x02, 0x00], nil), ([], nil),
      ]
      for (bytes, status) in cases {
        let reply = await send(bytes, at: address, closing: status == nil)
        if let status {
          #expect(reply?.hasPrefix("HTTP/1.1 \(status) ") == true, "\(bytes.prefix(40)): \(reply ?? "nothing")")
        } else {
          #expect(reply == "")
        }
        #expect(await get("/livez", at: address)?.status == 200)
      }
    }
  }

  @Test func slowClientsAreLeftBehind() async throws {
    var limits = HTTPServer.Limits()
    limits.receiving = .milliseconds(100)
    limits.connections = 4
    try await serving(limits: limits) { address in
      // They begin a request and never end it, more of them than there are places.
      let slow = await withTaskGroup(of: String?.self) { group in
        for _ in 0..<8 { group.addTask { await send(Array("GET / HTTP/1.1\r\n".utf8), at: address) } }
        return await group.reduce(into: []) { $0.append($1) }
      }
      for reply in slow {
        let isTurnedAway = reply?.hasPrefix("HTTP/1.1 408 ") == true || reply?.hasPrefix("HTTP/1.1 503 ") == true
        #expect(isTurnedAway, "\(reply ?? "nothing")")
      }
      #expect(await get("/livez", at: address)?.status == 200)
    }
  }

  /// A client that never takes its answer, which is larger than the system keeps for it.
  @Test func whoDoesNotReadIsLeftBehind() async throws {
    var limits = HTTPServer.Limits()
    limits.sending = .milliseconds(100)
    limits.connections = 1
    let metrics = Metrics()
    metrics.gauge("large", String(repeating: "x", count: 16 << 20)).set(1)
    try await serving(metrics, limits: limits) { address in
      let left = await elsewhere {
        let deadline = ContinuousClock.now + .seconds(20)
        guard let deaf = try? Connection.open(to: address, deadline: deadline) else { return false }
        try? deaf.send(Array("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".utf8), until: deadline)
        while ContinuousClock.now < deadline {
          if HTTPProbe.get("/livez", at: address, within: .seconds(5))?.status == 200 { return true }
          Thread.sleep(forTimeInterval: 0.05)
        }
        return false
      }
      #expect(left)
    }
  }

  @Test func manyAtOnceAreAllAnswered() async throws {
    var limits = HTTPServer.Limits()
    limits.connections = 64
    try await serving(limits: limits) { address in
      let answered = await withTaskGroup(of: Int.self) { group in
        for _ in 0..<32 { group.addTask { await get("/livez", at: address)?.status == 200 ? 1 : 0 } }
        return await group.reduce(0, +)
      }
      #expect(answered == 32)
    }
  }

  @Test func probesTakeNothingForAnAnswer() async {
    #expect(HTTPProbe.parse(Array("HTTP/1.1 200 OK\r\n\r\nready".utf8)) == HTTPProbe.Reply(status: 200, text: "ready"))
    for text in ["", "HTTP/1.1", "HTTP/1.1 200 OK", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n"] {
      #expect(HTTPProbe.parse(Array(text.utf8)) == nil)
    }
    #expect(HTTPProbe.parse(Array("HTTP/1.1 503 No\r\n\r\na\u{1B}[2Jb\n".utf8))?.text == "a\u{FFFD}[2Jb\n")
    #expect(await get("/livez", at: ListenAddress(port: 1)) == nil)
  }
}
