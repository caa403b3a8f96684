internal import Foundation

/// A TCP connection of one thread, never blocking for longer than it is told. At the C boundary: all socket calls of a
/// connection are here.
struct Connection: ~Copyable {
  enum Failure: Error {
    /// The other side went away.
    case closed
    /// The deadline came first.
    case late
    case failed(Int32)
  }

  private let file: Int32

  /// Takes a socket over.
  init(owning file: Int32) { self.file = file }

  deinit { _ = close(file) }

  /// Connects to an address.
  static func open(to address: ListenAddress, deadline: ContinuousClock.Instant) throws(Failure) -> Connection {
    guard let target = address.socketAddress else { throw .failed(EADDRNOTAVAIL) }
    let file = socket(target.isSix ? AF_INET6 : AF_INET, Self.kind, 0)
    guard file >= 0 else { throw .failed(errno) }
    let connection = Connection(owning: file)
    if target.withPointer({ connect(file, $0, $1) }) != 0 {
      guard errno == EINPROGRESS else { throw .failed(errno) }
      try connection.wait(for: POLLOUT, until: deadline)
      var code: Int32 = 0
      var length = socklen_t(MemoryLayout<Int32>.size)
      guard getsockopt(file, SOL_SOCKET, SO_ERROR, &code, &length) == 0, code == 0 else { throw .failed(code) }
    }
    return connection
  }

  /// A stream that does not block and is not handed to child processes.
  static let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)

  /// At least one byte and at most `limit`; nothing when the other side has said all.
  func receive(atMost limit: Int, until deadline: ContinuousClock.Instant) throws(Failure) -> [UInt8] {
    while true {
      var failure: Int32 = 0
      let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
        let received = recv(file, buffer.baseAddress, limit, 0)
        failure = received < 0 ? errno : 0
        count = max(0, received)
      }
      switch failure {
      case 0: return bytes
      case EAGAIN: try wait(for: POLLIN, until: deadline)
      case EINTR: continue
      case ECONNRESET, EPIPE: throw .closed
      default: throw .failed(failure)
      }
    }
  }

  func send(_ bytes: [UInt8], until deadline: ContinuousClock.Instant) throws(Failure) {
    var sent = 0
    while sent < bytes.count {
      let (count, failure) = bytes.withUnsafeBytes { buffer in
        let part = UnsafeRawBufferPointer(rebasing: buffer[sent...])
        let count = Foundation.send(file, part.baseAddress, part.count, Int32(MSG_NOSIGNAL))
        return (count, count < 0 ? errno : 0)
      }
      switch failure {
      case 0: sent += count
      case EAGAIN: try wait(for: POLLOUT, until: deadline)
      case EINTR: continue
      case ECONNRESET, EPIPE: throw .closed
      default: throw .failed(failure)
      }
    }
  }

  /// Says that nothing more will be sent, and waits a little for the other side to have read it: closing with unread
  /// bytes would make the system throw away what was sent.
  func finish(within limit: Duration) {
    guard shutdown(file, Int32(SHUT_WR)) == 0 else { return }
    let deadline = ContinuousClock.now + limit
    var left = 1 << 20
    while left > 0, let bytes = try? receive(atMost: 4096, until: deadline), !bytes.isEmpty { left -= bytes.count }
  }

  private func wait(for events: Int32, until deadline: ContinuousClock.Instant) throws(Failure) {
    while true {
      let left = ContinuousClock.now.duration(to: deadline)
      guard left > .zero else { throw .late }
      var entry = pollfd(fd: file, events: Int16(events), revents: 0)
      let ready = poll(&entry, 1, Int32(min(left / .milliseconds(1) + 1, 60_000)))
      if ready > 0 { return }
      if ready < 0, errno != EINTR { throw .failed(errno) }
    }
  }
}
