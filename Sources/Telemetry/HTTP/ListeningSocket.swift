internal import Diagnostics
internal import Foundation
internal import Synchronization

/// A socket that waits for connections, and can be told to stop from any thread.
final class ListeningSocket: Sendable {
  private let file: Int32
  /// A byte in it wakes who waits for a connection.
  private let wake: (read: Int32, write: Int32)
  private let isClosed = Atomic(false)
  /// The port that it got.
  let port: UInt16

  /// - Parameter subject: the flag or variable that the address comes from.
  init(at address: ListenAddress, subject: String) throws(InputError) {
    guard let target = address.socketAddress else {
      throw InputError(subject, expected: "an address in figures", found: "\"\(address.host)\"")
    }
    let file = socket(target.isSix ? AF_INET6 : AF_INET, Connection.kind, 0)
    guard file >= 0 else { throw Self.error(errno, address, subject) }
    // Connections of a process before us, which the system still remembers, do not keep us from the port.
    var yes: Int32 = 1
    setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    var ends: [Int32] = [-1, -1]
    guard target.withPointer({ bind(file, $0, $1) }) == 0, listen(file, 64) == 0,
      pipe(&ends) == 0
    else {
      let code = errno
      close(file)
      throw Self.error(code, address, subject)
    }
    for end in ends { Self.keep(end) }
    self.file = file
    wake = (ends[0], ends[1])
    port = SocketAddress.port(of: file)
  }

  deinit {
    closeListener()
    for file in [wake.read, wake.write] { close(file) }
  }

  /// Lets go of the port; by the one who waits for connections, when it no longer does. Safe to repeat.
  func closeListener() {
    if !isClosed.exchange(true, ordering: .relaxed) { close(file) }
  }

  private static func error(_ code: Int32, _ address: ListenAddress, _ subject: String) -> InputError {
    switch code {
    case EADDRINUSE:
      InputError(
        subject, expected: "a port that is free", found: "\(address) is in use by another program",
        remedy: "choose another port, or 0 for any free one")
    case EADDRNOTAVAIL:
      InputError(
        subject, expected: "an address of this machine", found: address.host, remedy: "0.0.0.0 stands for all of them")
    case EACCES:
      InputError(
        subject, expected: "a port that this user may listen on", found: "\(address)",
        remedy: "choose one above 1023")
    default:
      InputError(subject, expected: "an address to listen on", found: "\(address): \(String(cString: strerror(code)))")
    }
  }

  /// Has a file never block and never be handed to child processes.
  private static func keep(_ file: Int32) {
    _ = fcntl(file, F_SETFL, fcntl(file, F_GETFL) | O_NONBLOCK)
    _ = fcntl(file, F_SETFD, FD_CLOEXEC)
  }

  /// Ends every wait, now and later. Safe to repeat.
  func stop() {
    var byte: UInt8 = 1
    _ = write(wake.write, &byte, 1)
  }

  /// The next connection, a file of the caller's; nil when stopped.
  func accept() -> Int32? {
    while true {
      var entries = [
        pollfd(fd: wake.read, events: Int16(POLLIN), revents: 0), pollfd(fd: file, events: Int16(POLLIN), revents: 0),
      ]
      if poll(&entries, 2, -1) < 0, errno != EINTR { return nil }
      if entries[0].revents != 0 { return nil }
      guard entries[1].revents != 0 else { continue }
      let taken = Foundation.accept(file, nil, nil)
      if taken >= 0 {
        Self.keep(taken)
        return taken
      }
      switch errno {
      case EMFILE, ENFILE, ENOBUFS, ENOMEM:
        // Others must let go first; the connection keeps waiting.
        var pause = [entries[0]]
        _ = poll(&pause, 1, 100)
      case EBADF, EINVAL, ENOTSOCK: return nil
      // The client went away before we came, or it was for someone else.
      default: continue
      }
    }
  }
}
