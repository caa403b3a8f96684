package import Diagnostics

#if canImport(Darwin)
  internal import Darwin
#else
  internal import Glibc
#endif

/// A regular file mapped into memory for reading.
///
/// The size is taken when the file is opened. A file that another process makes shorter while it is mapped ends this
/// process (SIGBUS) when the missing pages are read: files in use must be replaced (written beside and renamed), not
/// overwritten; `AtomicFile` does so.
package final class MappedFile: Sendable {
  /// The path as it was given.
  package let path: String
  /// Bytes in the file.
  package let size: Int
  // Sendable: the mapping is read-only and private, it is made in `init` and undone in `deinit`, and the address never
  // changes between them; all access is through spans that end before the object does.
  private nonisolated(unsafe) let base: UnsafeRawPointer?

  /// Maps the file at `path`; an `InputError` names the path where it is missing, unreadable or not a regular file.
  package init(path: String) throws(InputError) {
    guard !path.isEmpty, !path.utf8.contains(0) else {
      throw InputError(path.isEmpty ? "file" : path, expected: "a path", found: "an empty name or a zero byte")
    }
    // O_NONBLOCK: a named pipe must be refused, not waited for.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw InputError(path, expected: "a readable file", found: systemMessage(errno))
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw InputError(path, expected: "a readable file", found: systemMessage(errno))
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      let kind = status.st_mode & S_IFMT == S_IFDIR ? "a directory" : "something else"
      throw InputError(path, expected: "a regular file", found: kind)
    }
    self.path = path
    size = Int(status.st_size)
    guard size > 0 else {
      base = nil
      return
    }
    guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
      throw InputError(path, expected: "a file that can be mapped into memory", found: systemMessage(errno))
    }
    base = UnsafeRawPointer(address)
  }

  deinit {
    if let base { munmap(UnsafeMutableRawPointer(mutating: base), size) }
  }

  /// Gives the bytes of `range` (the whole file by default) to `body`, without copying.
  /// - Precondition: `range` lies within the file.
  package func withBytes<Result, Failure: Error>(
    _ range: Range<Int>? = nil, _ body: (RawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    defer { withExtendedLifetime(self) {} }
    let whole = UnsafeRawBufferPointer(start: base, count: size)
    guard let range else { return try body(whole.bytes) }
    return try body(whole.bytes.extracting(range))
  }
}

/// The system's words for an error number.
func systemMessage(_ code: Int32) -> String {
  String(cString: strerror(code))
}
