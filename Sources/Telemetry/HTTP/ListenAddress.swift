internal import Foundation

/// Where a server of this process listens: an address of this machine, and a port.
package struct ListenAddress: Sendable, Equatable, CustomStringConvertible {
  /// Reached from this machine only.
  package static let loopback = "127.0.0.1"

  /// An IPv4 or IPv6 address in figures, without brackets.
  package let host: String
  /// 0 picks a free one.
  package let port: UInt16

  package init(host: String = loopback, port: UInt16) {
    self.host = host
    self.port = port
  }

  package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

  /// As the system wants it; nil where the host is not an address in figures.
  var socketAddress: SocketAddress? {
    var four = in_addr()
    var six = in6_addr()
    if inet_pton(AF_INET, host, &four) == 1 { return SocketAddress(four, port: port) }
    if inet_pton(AF_INET6, host, &six) == 1 { return SocketAddress(six, port: port) }
    return nil
  }
}

/// An IPv4 or IPv6 socket address.
struct SocketAddress {
  private var storage = sockaddr_storage()
  private let length: Int

  var isSix: Bool { Int32(storage.ss_family) == AF_INET6 }

  init(_ address: in_addr, port: UInt16) {
    length = MemoryLayout<sockaddr_in>.size
    var value = sockaddr_in()
    value.sin_family = sa_family_t(AF_INET)
    value.sin_port = port.bigEndian
    value.sin_addr = address
    withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: value, as: sockaddr_in.self) }
  }

  init(_ address: in6_addr, port: UInt16) {
    length = MemoryLayout<sockaddr_in6>.size
    var value = sockaddr_in6()
    value.sin6_family = sa_family_t(AF_INET6)
    value.sin6_port = port.bigEndian
    value.sin6_addr = address
    withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: value, as: sockaddr_in6.self) }
  }

  func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    withUnsafePointer(to: storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(length)) }
    }
  }

  /// The port that a bound socket got; 0 where the system does not tell.
  static func port(of file: Int32) -> UInt16 {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let isKnown = withUnsafeMutablePointer(to: &storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(file, $0, &length) } == 0
    }
    guard isKnown else { return 0 }
    // Both kinds keep the port at the same place.
    return withUnsafeBytes(of: storage) { UInt16(bigEndian: $0.load(as: sockaddr_in.self).sin_port) }
  }
}
