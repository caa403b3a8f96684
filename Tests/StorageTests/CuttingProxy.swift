import Foundation
import Synchronization

/// Stands between a client and a server on loopback, and cuts the connection at a chosen word of the client's.
final class CuttingProxy: Sendable {
  enum Cut: Sendable {
    /// The word does not reach the server.
    case before
    /// The server does what it is told, and its answer is lost.
    case after
  }

  let port: UInt16
  private let listener: Int32
  private let upstream: UInt16
  private let orders = Mutex<(cut: Cut, word: [UInt8])?>(nil)

  init(to upstream: Int) throws {
    self.upstream = UInt16(upstream)
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = Self.loopback(0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && listen(descriptor, 16) == 0 && getsockname(descriptor, $0, &length) == 0
      }
    }
    guard bound else { throw POSIXError(.EADDRINUSE) }
    listener = descriptor
    port = UInt16(bigEndian: address.sin_port)
    Thread.detachNewThread { [self] in accept() }
  }

  func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

  /// Cuts the next connection on which a client says the word, once.
  func cut(_ cut: Cut, at word: String) { orders.withLock { $0 = (cut, Array(word.utf8)) } }

  private static func loopback(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return address
  }

  private func accept() {
    while true {
      let client = Foundation.accept(listener, nil, nil)
      if client < 0 {
        close(listener)
        return
      }
      let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      var address = Self.loopback(upstream)
      let isOpen = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
      }
      let pair = Pair(client: client, server: server)
      if !isOpen { pair.cut() }
      Thread.detachNewThread { [self] in forward(pair) }
      Thread.detachNewThread { [self] in answer(pair) }
    }
  }

  private func answer(_ pair: Pair) {
    pair.pump(from: pair.server, to: pair.client) { _ in !pair.isDeaf.withLock { $0 } }
    pair.cut()
  }

  private func forward(_ pair: Pair) {
    pair.pump(from: pair.client, to: pair.server) { [self] bytes in
      let cut = orders.withLock { orders -> Cut? in
        guard let (cut, word) = orders, bytes.firstRange(of: word) != nil else { return nil }
        orders = nil
        return cut
      }
      if cut == .after { pair.isDeaf.withLock { $0 = true } }
      return cut != .before
    }
    pair.cut()
  }

  private final class Pair: Sendable {
    let client: Int32
    let server: Int32
    let isDeaf = Mutex(false)
    init(client: Int32, server: Int32) { (self.client, self.server) = (client, server) }
    deinit { for descriptor in [client, server] { close(descriptor) } }
    func cut() { for descriptor in [client, server] { shutdown(descriptor, Int32(SHUT_RDWR)) } }

    /// Passes bytes on as long as there are any, and the filter lets them through.
    func pump(from source: Int32, to target: Int32, filter: ([UInt8]) -> Bool) {
      var buffer = [UInt8](repeating: 0, count: 1 << 16)
      while true {
        let count = recv(source, &buffer, buffer.count, 0)
        guard count > 0, filter(Array(buffer[..<count])) else { return }
        var sent = 0
        while sent < count {
          let more = buffer.withUnsafeBytes {
            send(target, $0.baseAddress.map { $0 + sent }, count - sent, Int32(MSG_NOSIGNAL))
          }
          guard more > 0 else { return }
          sent += more
        }
      }
    }
  }
}
