package import Diagnostics

#if canImport(Darwin)
  internal import Darwin
#else
  internal import Glibc
#endif

/// A file that appears whole or not at all: written beside its place, flushed to the disk, then renamed.
///
/// Processes that have the old file mapped keep the old content.
package struct AtomicFile: ~Copyable {
  private let path: String
  private let temporaryPath: String
  private let descriptor: Int32

  /// Writes the file at `path` with `body`; where that or the writing fails, what was at `path` stays as it was.
  package static func write(
    to path: String, _ body: (borrowing AtomicFile) throws(InputError) -> Void
  ) throws(InputError) {
    let (temporaryPath, descriptor) = try create(path)
    let file = AtomicFile(path: path, temporaryPath: temporaryPath, descriptor: descriptor)
    do throws(InputError) {
      try body(file)
      try file.finish()
    } catch {
      unlink(temporaryPath)
      throw error
    }
  }

  /// Writes an array as the file at `path`.
  package static func write(_ bytes: [UInt8], to path: String) throws(InputError) {
    try write(to: path) { file throws(InputError) in try file.append(bytes.span.bytes) }
  }

  /// Adds bytes at the end.
  package borrowing func append(_ bytes: RawSpan) throws(InputError) {
    let error = bytes.withUnsafeBytes { buffer -> Int32? in
      var rest = buffer[...]
      while !rest.isEmpty {
        // One call writes at most 2 GiB on Linux.
        let written = Self.writeSome(descriptor, UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 30)))
        if written < 0 {
          if errno == EINTR { continue }
          return errno
        }
        rest = rest.dropFirst(written)
      }
      return nil
    }
    if let error { throw failure(error) }
  }

  private init(path: String, temporaryPath: String, descriptor: Int32) {
    self.path = path
    self.temporaryPath = temporaryPath
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  private borrowing func finish() throws(InputError) {
    guard fsync(descriptor) == 0, rename(temporaryPath, path) == 0 else { throw failure(errno) }
    // The rename itself is on the disk once the folder is; folders that refuse are no reason to fail.
    let slash = path.lastIndex(of: "/")
    let folder = open(slash.map { String(path[...$0]) } ?? ".", O_RDONLY | O_CLOEXEC)
    if folder >= 0 {
      fsync(folder)
      close(folder)
    }
  }

  private static func create(_ path: String) throws(InputError) -> (temporaryPath: String, descriptor: Int32) {
    guard !path.isEmpty, !path.utf8.contains(0) else {
      throw InputError(path.isEmpty ? "file" : path, expected: "a path", found: "an empty name or a zero byte")
    }
    var status = stat()
    if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
      throw InputError(path, expected: "a regular file or a new one", found: "a folder or device")
    }
    // Leftovers of a killed process may have the first names.
    for attempt in 0..<1000 {
      let temporaryPath = "\(path).\(getpid()).\(attempt).partial"
      let descriptor = open(temporaryPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
      if descriptor >= 0 { return (temporaryPath, descriptor) }
      guard errno == EEXIST else { break }
    }
    throw InputError(path, expected: "a place to write a file", found: systemMessage(errno))
  }

  private borrowing func failure(_ code: Int32) -> InputError {
    InputError(path, expected: "room and permission to write", found: systemMessage(code))
  }

  /// The system's `write`, which the methods of that name hide.
  private static func writeSome(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
    #if canImport(Darwin)
      Darwin.write(descriptor, bytes.baseAddress, bytes.count)
    #else
      Glibc.write(descriptor, bytes.baseAddress, bytes.count)
    #endif
  }
}
