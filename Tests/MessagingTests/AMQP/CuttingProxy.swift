import Foundation
import Synchronization

/// Forwards a port of loopback to another, and can cut what runs through it, or hold it up.
final class CuttingProxy: Sendable {
  let port: UInt16
  private let listener: Int32
  private let connections = Connections()

  private final class Connections: Sendable {
    let state = Mutex<(descriptors: Set<Int32>, isHolding: Bool)>(([], false))
  }

  init(to target: UInt16) throws {
    (listener, port) = try Loopback.listen()
    Thread.detachNewThread { [listener, connections] in
      while true {
        let client = accept(listener, nil, nil)
        guard client >= 0 else { return }
        guard let server = try? Loopback.connect(target) else {
          close(client)
          continue
        }
        connections.state.withLock { $0.descriptors.formUnion([client, server]) }
        for (from, to) in [(client, server), (server, client)] {
          Thread.detachNewThread { Self.forward(from, to, isHolding: { connections.state.withLock { $0.isHolding } }) }
        }
      }
    }
  }

  deinit {
    cut()
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
  }

  private static func forward(_ from: Int32, _ to: Int32, isHolding: () -> Bool) {
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = recv(from, &buffer, buffer.count, 0)
      guard count > 0 else { break }
      while isHolding() { usleep(2000) }
      var sent = 0
      while sent < count {
        let step = buffer[sent..<count].withUnsafeBytes { send(to, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        guard step > 0 else { break }
        sent += step
      }
    }
    shutdown(from, Int32(SHUT_RDWR))
    shutdown(to, Int32(SHUT_RDWR))
  }

  /// Breaks every connection there is.
  func cut() {
    let descriptors = connections.state.withLock { state in
      defer { state.descriptors = [] }
      return state.descriptors
    }
    for descriptor in descriptors { shutdown(descriptor, Int32(SHUT_RDWR)) }
  }

  /// Lets nothing through, without a word, as a broken cable does.
  func hold(_ isHolding: Bool) { connections.state.withLock { $0.isHolding = isHolding } }
}

/// Sockets of 127.0.0.1.
enum Loopback {
  struct Failure: Error { var doing: String }

  static func listen(backlog: Int32 = 64) throws -> (descriptor: Int32, port: UInt16) {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = Self.address(0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && Foundation.listen(descriptor, backlog) == 0
          && getsockname(descriptor, $0, &length) == 0
      }
    }
    guard status else { throw Failure(doing: "listening") }
    return (descriptor, UInt16(bigEndian: address.sin_port))
  }

  static func connect(_ port: UInt16) throws -> Int32 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = Self.address(port)
    let status = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Foundation.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard status == 0 else {
      close(descriptor)
      throw Failure(doing: "connecting")
    }
    var one: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
    return descriptor
  }

  private static func address(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return address
  }
}
