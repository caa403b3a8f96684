package import Diagnostics
internal import Foundation
package import SweepRecords
internal import Synchronization

/// Artifacts on this machine's disk, shared by its processes: a file each, named by digest and checked when it is read.
///
/// It may be deleted, damaged or full at any time: then artifacts come from the database again. What was used longest
/// ago goes first; several processes together may exceed the capacity by a sixty-fourth each.
package final class ArtifactFolder: Sendable {
  private let path: String
  private let capacity: Int
  /// Bytes in the folder when it was last looked through, and those written since.
  private let known = Mutex<(size: Int?, written: Int)>((nil, 0))

  /// - Parameter capacity: the most bytes.
  /// - Throws: when the folder can't be made.
  package init(path: String, capacity: Int) throws(InputError) {
    self.path = path
    self.capacity = max(0, capacity)
    do {
      try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    } catch {
      throw InputError(
        path, expected: "a folder for the cache", found: error.localizedDescription,
        remedy: "name another with --cache, or none with --cache-size 0")
    }
  }

  /// An artifact's bytes; nil where it is not here, or was damaged.
  package func bytes(of digest: Digest) -> [UInt8]? {
    let file = place(of: digest)
    let descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size <= capacity else {
      return nil
    }
    let size = Int(status.st_size)
    var bytes = [UInt8](repeating: 0, count: size)
    var filled = 0
    while filled < size {
      let count = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress?.advanced(by: filled), size - filled) }
      guard count > 0 else { break }
      filled += count
    }
    guard filled == size, Digest(of: bytes) == digest else {
      unlink(file)
      return nil
    }
    // The time of the last use, which eviction goes by.
    futimens(descriptor, nil)
    return bytes
  }

  /// Keeps an artifact, if there is room for it or can be made. A disk that is full or fails keeps nothing.
  package func keep(_ bytes: [UInt8], as digest: Digest) {
    guard bytes.count <= capacity / 4 else { return }
    makeRoom(for: bytes.count)
    let file = place(of: digest)
    let folder = URL(fileURLWithPath: file).deletingLastPathComponent().path
    mkdir(folder, 0o700)
    let partial = "\(folder)/\(Self.partialPrefix)\(UUID().uuidString)"
    let descriptor = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { return }
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress?.advanced(by: written), $0.count - written) }
      guard count > 0 else { break }
      written += count
    }
    // No sync: what a power cut spoils is found by its digest.
    guard close(descriptor) == 0, written == bytes.count, rename(partial, file) == 0 else {
      unlink(partial)
      return
    }
    known.withLock { $0.written += bytes.count }
  }

  private static let partialPrefix = "partial-"
  /// Seconds after which a file that is still partial was left by a process that is gone.
  private static let abandonedAfter = 3600.0

  private func place(of digest: Digest) -> String {
    let name = digest.hex
    return "\(path)/\(name.prefix(2))/\(name.dropFirst(2))"
  }

  /// Deletes what was used longest ago where the capacity would be exceeded, down to three quarters of it.
  private func makeRoom(for bytes: Int) {
    known.withLock { known in
      if let size = known.size, known.written <= capacity / 64, size + known.written + bytes <= capacity { return }
      var files = look()
      var size = files.reduce(0) { $0 + $1.size }
      if size + bytes > capacity {
        files.sort { $0.used < $1.used }
        for file in files where size + bytes > capacity / 4 * 3 && unlink(file.path) == 0 { size -= file.size }
      }
      known = (size, 0)
    }
  }

  /// The artifacts that are there; deletes what writers that are gone have left. Files of other names are none of ours.
  private func look() -> [(path: String, size: Int, used: Double)] {
    let now = Date().timeIntervalSince1970
    var found: [(path: String, size: Int, used: Double)] = []
    for folder in Self.names(in: path) where folder.count == 2 && folder.allSatisfy(\.isHexDigit) {
      for name in Self.names(in: "\(path)/\(folder)") {
        let file = "\(path)/\(folder)/\(name)"
        var status = stat()
        guard lstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { continue }
        let used = Double(status.st_mtim.tv_sec) + Double(status.st_mtim.tv_nsec) * 1e-9
        if name.hasPrefix(Self.partialPrefix) {
          if used < now - Self.abandonedAfter { unlink(file) }
        } else if name.count == 62, name.allSatisfy(\.isHexDigit) {
          found.append((file, Int(status.st_size), used))
        }
      }
    }
    return found
  }

  private static func names(in folder: String) -> [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
  }
}
