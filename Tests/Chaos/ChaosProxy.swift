import Foundation
import Synchronization

/// A network that fails: forwards TCP connections from a local port to a server, and freezes, strands or cuts them on
/// demand.
final class ChaosProxy: Sendable {
  private enum Mode { case forwarding, frozen }
  private struct State {
    var mode = Mode.forwarding
    var links: [Int: Link] = [:]
    var nextLink = 0
    var isClosed = false
  }
  /// A connection that goes through.
  private final class Link: Sendable {
    let client: Int32
    let server: Int32
    /// What the server says reaches nobody, what the client says is lost, and nobody is told.
    let isStranded = Mutex(false)
    let isOver = Mutex(false)
    init(client: Int32, server: Int32) {
      self.client = client
      self.server = server
    }
  }

  let port: Int
  private let target: (host: String, port: Int)
  private let listener: Int32
  private let state = Mutex(State())

  /// Listens on a free port of 127.0.0.1.
  init(host: String, port: Int) throws {
    target = (host, port)
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = try Self.address("127.0.0.1", 0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = withUnsafeMutableBytes(of: &address) { bytes -> Int32 in
      guard let pointer = bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self) else { return -1 }
      guard bind(listener, pointer, length) == 0, listen(listener, 64) == 0 else { return -1 }
      return getsockname(listener, pointer, &length)
    }
    guard bound == 0 else { throw ChaosError("the proxy can't listen: \(String(cString: strerror(errno)))") }
    self.listener = listener
    self.port = Int(UInt16(bigEndian: address.sin_port))
    Thread.detachNewThread { [self] in acceptLoop() }
  }

  private static func address(_ host: String, _ port: Int) throws -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    guard inet_pton(AF_INET, host, &address.sin_addr) == 1 else { throw ChaosError("\(host) is not an address") }
    return address
  }

  /// Bytes stop: both ends keep their connections and hear nothing. New connections are taken, and hear nothing either.
  func freeze() { state.withLock { $0.mode = .frozen } }
  /// Bytes go on where they stopped.
  func thaw() { state.withLock { $0.mode = .forwarding } }

  /// The server's ends of all connections close; the clients' stay open for ever and hear nothing: half-open TCP.
  func strand() -> Int {
    let links = takeLinks()
    for link in links {
      link.isStranded.withLock { $0 = true }
      shutdown(link.server, Int32(SHUT_RDWR))
    }
    return links.count
  }

  /// All connections are reset.
  func cut() -> Int {
    let links = takeLinks()
    for link in links {
      for end in [link.client, link.server] {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(end, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
        shutdown(end, Int32(SHUT_RDWR))
      }
    }
    return links.count
  }

  private func takeLinks() -> [Link] {
    state.withLock { state in
      defer { state.links = [:] }
      return Array(state.links.values)
    }
  }

  private var isFrozen: Bool { state.withLock { $0.mode == .frozen } }

  private func acceptLoop() {
    while true {
      let client = accept(listener, nil, nil)
      guard client >= 0 else {
        if errno == EINTR || errno == ECONNABORTED { continue }
        return
      }
      Thread.detachNewThread { [self] in open(client) }
    }
  }

  private func open(_ client: Int32) {
    while isFrozen { usleep(20_000) }
    let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard var address = try? Self.address(target.host, target.port) else { return }
    let connected = withUnsafeBytes(of: &address) { bytes -> Int32 in
      guard let pointer = bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self) else { return -1 }
      return connect(server, pointer, socklen_t(MemoryLayout<sockaddr_in>.size))
    }
    guard connected == 0 else {
      close(client)
      close(server)
      return
    }
    for end in [client, server] {
      var one: Int32 = 1
      setsockopt(end, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
    }
    let link = Link(client: client, server: server)
    let number = state.withLock { state in
      state.nextLink += 1
      state.links[state.nextLink] = link
      return state.nextLink
    }
    let answersEnd = DispatchSemaphore(value: 0)
    Thread.detachNewThread { [self] in
      pump(link, from: server, to: client)
      if !link.isStranded.withLock({ $0 }) { shutdown(client, Int32(SHUT_RDWR)) }
      answersEnd.signal()
    }
    pump(link, from: client, to: server)
    _ = state.withLock { $0.links.removeValue(forKey: number) }
    link.isOver.withLock { $0 = true }
    shutdown(server, Int32(SHUT_RDWR))
    // The numbers may be used anew only when nobody reads from them.
    answersEnd.wait()
    close(client)
    close(server)
  }

  /// Forwards one direction until an end closes.
  private func pump(_ link: Link, from source: Int32, to sink: Int32) {
    var buffer = [UInt8](repeating: 0, count: 65536)
    while !link.isOver.withLock({ $0 }) {
      let isStranded = link.isStranded.withLock { $0 }
      if isFrozen && !isStranded {
        usleep(20_000)
        continue
      }
      var poll = pollfd(fd: source, events: Int16(POLLIN), revents: 0)
      guard Glibc.poll(&poll, 1, 100) > 0 else { continue }
      let count = recv(source, &buffer, buffer.count, 0)
      guard count > 0 else { return }
      if isStranded { continue }
      var sent = 0
      while sent < count {
        let done = buffer.withUnsafeBytes { bytes in
          send(sink, bytes.baseAddress?.advanced(by: sent), count - sent, Int32(MSG_NOSIGNAL))
        }
        guard done > 0 else { return }
        sent += done
      }
    }
  }
}

/// What stopped the chaos run itself.
struct ChaosError: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}
