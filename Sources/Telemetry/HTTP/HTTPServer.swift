package import Diagnostics
internal import Foundation
internal import Synchronization

/// A small HTTP/1.1 server for pages of this process: GET and HEAD, one request a connection, each connection on a
/// thread of its own for as long as it lasts. What a client sends, or does not send, costs at most what `Limits` says.
package final class HTTPServer: Sendable {
  package struct Limits: Sendable {
    /// Bytes of a request's head.
    package var head = 16 << 10
    /// Connections at once; more are told to come back.
    package var connections = 32
    /// From the connection to the end of the head.
    package var receiving: Duration = .seconds(5)
    /// For the answer to be found.
    package var answering: Duration = .seconds(20)
    /// For the client to take it.
    package var sending: Duration = .seconds(10)

    package init() {}
  }

  /// Where it listens, with the port that it got.
  package let address: ListenAddress
  private let limits: Limits
  private let respond: @Sendable (HTTPRequest) async -> HTTPResponse
  private let listener: ListeningSocket
  private let connections = Mutex(0)

  /// Listens, so that a port in use is known before any work begins; connections wait until `run`.
  ///
  /// - Parameters:
  ///   - subject: the flag or variable that the address comes from.
  ///   - respond: finds the answer to a request; when it takes too long its task is cancelled.
  package init(
    at address: ListenAddress, subject: String, limits: Limits = Limits(),
    respond: @escaping @Sendable (HTTPRequest) async -> HTTPResponse
  ) throws(InputError) {
    self.limits = limits
    self.respond = respond
    listener = try ListeningSocket(at: address, subject: subject)
    self.address = ListenAddress(host: address.host, port: listener.port)
  }

  /// Serves until its task is cancelled. Called once.
  package func run() async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        Self.thread { [self] in
          while let file = listener.accept() { take(file) }
          listener.closeListener()
          continuation.resume()
        }
      }
    } onCancel: {
      listener.stop()
    }
  }

  /// Deals with a connection on a thread of its own, or turns it away.
  private func take(_ file: Int32) {
    let isFree = connections.withLock { count in
      guard count < limits.connections else { return false }
      count += 1
      return true
    }
    guard isFree else {
      // What does not fit into the socket's buffer is not worth a wait.
      let busy = HTTPResponse(.unavailable, text: "too many connections").bytes(withBody: true)
      let connection = Connection(owning: file)
      do { try connection.send(busy, until: .now) } catch { return }
      return
    }
    Self.thread { [self] in
      serve(Connection(owning: file))
      connections.withLock { $0 -= 1 }
    }
  }

  /// One request and its answer. A client that goes away is none of our business.
  private func serve(_ connection: consuming Connection) {
    do {
      let request = try Self.request(from: connection, limits)
      let answer = answer(to: request)
      try connection.send(answer.bytes(withBody: request.method != "HEAD"), until: .now + limits.sending)
    } catch let refusal as HTTPResponse {
      do { try connection.send(refusal.bytes(withBody: true), until: .now + limits.sending) } catch { return }
    } catch {
      return
    }
    connection.finish(within: .seconds(1))
  }

  private static func request(from connection: borrowing Connection, _ limits: Limits) throws -> HTTPRequest {
    let deadline = ContinuousClock.now + limits.receiving
    var head: [UInt8] = []
    while true {
      let bytes: [UInt8]
      do throws(Connection.Failure) {
        bytes = try connection.receive(atMost: 4096, until: deadline)
      } catch {
        guard case .late = error else { throw error }
        throw HTTPResponse.failure(.requestTimeout, "the request did not come in time")
      }
      guard !bytes.isEmpty else { throw Connection.Failure.closed }
      // The end may lie across two pieces.
      let searched = max(0, head.count - 3)
      head += bytes
      if let end = endOfHead(in: head, from: searched) { return try HTTPRequest(parsing: Array(head[..<end])) }
      guard head.count < limits.head else {
        throw HTTPResponse.failure(.headersTooLarge, "more than \(limits.head) bytes of headers")
      }
    }
  }

  /// Where the empty line after the headers ends.
  private static func endOfHead(in bytes: [UInt8], from start: Int) -> Int? {
    for index in start..<bytes.count where bytes[index] == UInt8(ascii: "\n") {
      if index > 0, bytes[index - 1] == UInt8(ascii: "\n") { return index + 1 }
      if index > 1, bytes[index - 1] == UInt8(ascii: "\r"), bytes[index - 2] == UInt8(ascii: "\n") { return index + 1 }
    }
    return nil
  }

  /// Waits on this connection's thread for an answer that is found elsewhere.
  private func answer(to request: HTTPRequest) -> HTTPResponse {
    let found = DispatchSemaphore(value: 0)
    let answer = Answer()
    let task = Task { [respond] in
      let response = await respond(request)
      answer.response.withLock { $0 = response }
      found.signal()
    }
    if found.wait(timeout: .now() + .nanoseconds(Int(limits.answering / .nanoseconds(1)))) == .timedOut {
      task.cancel()
      return .failure(.unavailable, "no answer in time")
    }
    return answer.response.withLock { $0 } ?? .failure(.internalError, "no answer")
  }

  private final class Answer: Sendable {
    let response = Mutex<HTTPResponse?>(nil)
  }

  private static func thread(_ body: @escaping @Sendable () -> Void) {
    let thread = Thread(block: body)
    thread.name = "http"
    thread.stackSize = 512 << 10
    thread.start()
  }
}
