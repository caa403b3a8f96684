package import Diagnostics
internal import Foundation
package import SweepRecords
internal import Synchronization

/// Digests of files, taken once per machine: remembered by path, size, time of change and inode, in memory and in a
/// file
/// of the user's cache folder.
package final class DigestMemory: Sendable {
  /// How digests are taken: of a file's bytes, or of a directory's files.
  package typealias Digester = @Sendable (_ path: String) throws(InputError) -> Digest

  private struct Entry: Codable, Sendable {
    /// What the path looked like when it was digested.
    var fingerprint: Digest
    var digest: Digest
  }

  private let file: String?
  private let digester: Digester
  private let now: @Sendable () -> Double
  private let entries: Mutex<[String: Entry]>
  /// The most paths that are remembered.
  static let limit = 10_000

  /// - Parameters:
  ///   - file: where to remember beyond the process's end; nil for nowhere. A damaged one counts as empty.
  ///   - now: seconds since 1970, by the clock of the file system.
  package init(
    file: String?, now: @escaping @Sendable () -> Double = { Date().timeIntervalSince1970 },
    digester: @escaping Digester
  ) {
    self.file = file
    self.now = now
    self.digester = digester
    entries = Mutex(Self.read(file))
  }

  /// The file in the user's cache folder: `$XDG_CACHE_HOME/steerscope/digests.json`; nil where there is no such folder.
  package static func standardFile(environment: [String: String]) -> String? {
    if let folder = environment["XDG_CACHE_HOME"], folder.hasPrefix("/") { return folder + "/steerscope/digests.json" }
    if let home = environment["HOME"], home.hasPrefix("/") { return home + "/.cache/steerscope/digests.json" }
    return nil
  }

  /// The digest of what lies at a path: from memory where it has not changed since.
  package func digest(of path: String) throws(InputError) -> Digest {
    let path = URL(filePath: path).standardizedFileURL.path(percentEncoded: false)
    let before = fingerprint(of: path)
    let known = entries.withLock { $0[path] }
    if let known, known.fingerprint == before?.digest { return known.digest }
    let digest = try digester(path)
    // What changed while it was read, or so shortly before that a later change could bear the same time, is not
    // remembered.
    if let before, before.digest == fingerprint(of: path)?.digest, before.changed < now() - 2 {
      remember(Entry(fingerprint: before.digest, digest: digest), path)
    }
    return digest
  }

  private func remember(_ entry: Entry, _ path: String) {
    // Other processes may have added theirs meanwhile.
    let stored = Self.read(file)
    let all = entries.withLock { entries in
      entries.merge(stored) { mine, _ in mine }
      if entries.count >= Self.limit { entries = [:] }
      entries[path] = entry
      return entries
    }
    guard let file, let data = try? JSONEncoder().encode(all) else { return }
    let folder = URL(filePath: file).deletingLastPathComponent()
    // Not being able to remember costs time later, nothing else.
    try? FileManager.default.createDirectory(
      at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    try? data.write(to: URL(filePath: file), options: .atomic)
  }

  private static func read(_ file: String?) -> [String: Entry] {
    guard let file, let size = try? FileManager.default.attributesOfItem(atPath: file)[.size] as? Int, size < 16 << 20,
      let data = FileManager.default.contents(atPath: file)
    else { return [:] }
    return (try? JSONDecoder().decode([String: Entry].self, from: data)) ?? [:]
  }

  /// What a file, or a directory with its entries, looks like from outside, and when it last changed; nil where it
  /// can't
  /// be looked at.
  private func fingerprint(of path: String) -> (digest: Digest, changed: Double)? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    var text = Self.line(".", status)
    var changed = Self.changed(status)
    if status.st_mode & S_IFMT == S_IFDIR {
      guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else { return nil }
      for name in names.sorted() {
        guard stat(path + "/" + name, &status) == 0 else { continue }
        text += Self.line(name, status)
        changed = max(changed, Self.changed(status))
      }
    }
    return (Digest(of: text), changed)
  }

  private static func line(_ name: String, _ status: stat) -> String {
    let (modified, changed) = (status.st_mtim, status.st_ctim)
    return "\(name)\u{0}\(status.st_dev) \(status.st_ino) \(status.st_size) \(modified.tv_sec).\(modified.tv_nsec) "
      + "\(changed.tv_sec).\(changed.tv_nsec)\n"
  }

  private static func changed(_ status: stat) -> Double {
    Double(max(status.st_mtim.tv_sec, status.st_ctim.tv_sec))
  }
}
