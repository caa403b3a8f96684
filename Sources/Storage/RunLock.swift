package import Diagnostics
internal import Foundation

/// The right to run sweeps on a database file: one process at a time has it, until it lets go or dies, however it dies.
///
/// A lock of the operating system on a file beside the database (`PATH.run-lock`), which stays there, empty of meaning.
package struct RunLock: ~Copyable {
  private let descriptor: Int32

  /// Takes the lock for the database at `path`, or throws `InputError` when another process has it.
  package init(database path: String) throws(InputError) {
    let file = Self.canonical(path) + ".run-lock"
    let descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else {
      throw InputError(
        file, expected: "a file that can be made beside the database", found: String(cString: strerror(errno)),
        remedy: "check that its folder exists and may be written")
    }
    var code = flock(descriptor, LOCK_EX | LOCK_NB)
    while code != 0, errno == EINTR { code = flock(descriptor, LOCK_EX | LOCK_NB) }
    guard code == 0 else {
      let reason = errno
      let holder = Self.holder(descriptor)
      close(descriptor)
      throw InputError(
        path, expected: "a database on which no run is under way",
        found: reason == EWOULDBLOCK
          ? "one\(holder)" : "a lock that can't be had: \(String(cString: strerror(reason)))",
        remedy: "wait for it, or stop it; `steerscope status` shows how far it is")
    }
    self.descriptor = descriptor
    // For the message of whoever comes second.
    let note = Array("\(getpid())\n".utf8)
    _ = ftruncate(descriptor, 0)
    _ = pwrite(descriptor, note, note.count, 0)
  }

  deinit { close(descriptor) }

  /// The same file by whatever name it is called, so that there is one lock.
  private static func canonical(_ path: String) -> String {
    let url = URL(fileURLWithPath: path)
    if let real = realpath(path, nil) {
      defer { free(real) }
      return String(cString: real)
    }
    guard let folder = realpath(url.deletingLastPathComponent().path, nil) else { return path }
    defer { free(folder) }
    return String(cString: folder) + "/" + url.lastPathComponent
  }

  private static func holder(_ descriptor: Int32) -> String {
    var bytes = [UInt8](repeating: 0, count: 32)
    let count = pread(descriptor, &bytes, bytes.count, 0)
    let text = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    return Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)).map { " (process \($0))" } ?? ""
  }
}
