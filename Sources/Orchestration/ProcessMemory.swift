internal import Foundation

/// How much memory this process uses, and how much it may.
package enum ProcessMemory {
  /// Bytes of the process's own that are in memory: what it allocated, not the pages of mapped files, which the kernel
  /// takes back when it needs them. Nil where it can't be told.
  package static var inUse: Int? {
    guard let text = read("/proc/self/statm") else { return nil }
    let pages = text.split(separator: " ").prefix(3).compactMap { Int($0) }
    guard pages.count == 3, pages[1] >= pages[2] else { return nil }
    return (pages[1] - pages[2]) * Int(getpagesize())
  }

  /// The most bytes that the process may use before the kernel ends it: its control group's limit, or the machine's
  /// memory.
  package static var available: Int {
    let physical = Int(clamping: ProcessInfo.processInfo.physicalMemory)
    return limits(of: read("/proc/self/cgroup") ?? "", root: "/sys/fs/cgroup").reduce(physical, min)
  }

  /// The limits of a process's control groups, of which it has several: a parent's binds its children.
  ///
  /// - Parameters:
  ///   - groups: the content of `/proc/PID/cgroup`.
  ///   - root: where control groups are mounted.
  static func limits(of groups: String, root: String) -> [Int] {
    groups.split(separator: "\n").flatMap { line -> [Int] in
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
      guard parts.count == 3 else { return [] }
      let isUnified = parts[0] == "0" && parts[1].isEmpty
      guard isUnified || parts[1].split(separator: ",").contains("memory") else { return [] }
      let (mount, file) = isUnified ? (root, "memory.max") : (root + "/memory", "memory.limit_in_bytes")
      var names = parts[2].split(separator: "/")
      var found: [Int] = []
      while true {
        let path = ([mount] + names.map(String.init) + [file]).joined(separator: "/")
        // "max", and a number near the largest, mean that there is none.
        if let text = read(path), let limit = Int(text.trimmingCharacters(in: .whitespacesAndNewlines)), limit > 0 {
          found.append(limit)
        }
        guard names.popLast() != nil else { return found }
      }
    }
  }

  private static func read(_ path: String) -> String? {
    FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
  }
}
