import Diagnostics
import Foundation
import Orchestration
import OrchestrationSupport
import SweepRecords
import Testing

/// Files that tasks name by digest, and the memory of digests.
@Suite struct LocalFilesTests {
  /// A folder with one old file, a cache file's place, and how often digests were taken.
  private final class Disk: Sendable {
    let folder: URL
    let counted = Collected<String>()
    var file: URL { folder.appending(path: "model.gguf") }
    var cache: String { folder.appending(path: "cache/digests.json").path }

    init() throws {
      folder = FileManager.default.temporaryDirectory.appending(path: "steerscope-\(UUID().uuidString)")
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      try Data("weights".utf8).write(to: file)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    /// A memory in which everything on the disk has been there for `age` seconds.
    func memory(cached: Bool = true, age: Double = 3600) -> DigestMemory {
      DigestMemory(file: cached ? cache : nil, now: { Date().timeIntervalSince1970 + age }) {
        [counted] path throws(InputError) in
        guard let data = FileManager.default.contents(atPath: path) else {
          var isDirectory: ObjCBool = false
          guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
            throw InputError(path, expected: "a file", found: "nothing there")
          }
          counted.add(path)
          let names = ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
          return Digest(of: names.joined(separator: "\n"))
        }
        counted.add(path)
        return Digest(of: [UInt8](data))
      }
    }
  }

  private let weights = Digest(of: "weights")

  @Test func findsRelativeAndAbsoluteFiles() async throws {
    let disk = try Disk()
    let files = LocalFiles(folder: disk.folder.path, digests: disk.memory())
    let relative = try await files.path(of: FileReference(digest: weights, locator: "model.gguf"))
    let absolute = try await files.path(of: FileReference(digest: weights, locator: disk.file.path))
    #expect(relative == absolute && absolute == disk.file.path)
  }

  @Test(arguments: ["nothing.gguf", "", "a\u{0}b", "../../../../nowhere/at/all"])
  func whatIsNotThereIsThisMachinesFault(_ locator: String) async throws {
    let disk = try Disk()
    let files = LocalFiles(folder: disk.folder.path, digests: disk.memory())
    let fault = try await #require(throws: TaskFault.self) {
      try await files.path(of: FileReference(digest: weights, locator: locator))
    }
    #expect(fault.blame == .worker && fault.input == weights)
  }

  @Test func anotherFileIsThisMachinesFault() async throws {
    let disk = try Disk()
    let files = LocalFiles(folder: disk.folder.path, digests: disk.memory())
    let other = Digest(of: "other weights")
    let fault = try await #require(throws: TaskFault.self) {
      try await files.path(of: FileReference(digest: other, locator: "model.gguf"))
    }
    #expect(fault.blame == .worker && fault.input == other)
    #expect(fault.message.contains(other.short) && fault.message.contains(weights.short))
  }

  @Test func digestsOncePerMachine() throws {
    let disk = try Disk()
    let memory = disk.memory()
    for _ in 0..<3 { #expect(try memory.digest(of: disk.file.path) == weights) }
    // Another process, another spelling of the path.
    let detour = disk.folder.path + "/./cache/../model.gguf"
    #expect(try disk.memory().digest(of: detour) == weights)
    #expect(disk.counted.all.count == 1)
  }

  @Test func noticesChanges() throws {
    let disk = try Disk()
    let memory = disk.memory()
    _ = try memory.digest(of: disk.file.path)
    try Data("heavier".utf8).write(to: disk.file)
    #expect(try memory.digest(of: disk.file.path) == Digest(of: "heavier"))
    _ = try memory.digest(of: disk.folder.path)
    try Data().write(to: disk.folder.appending(path: "config.json"))
    _ = try memory.digest(of: disk.folder.path)
    #expect(disk.counted.all.count == 4)
  }

  @Test func doesNotTrustWhatChangedJustNow() throws {
    let disk = try Disk()
    let memory = disk.memory(age: 0)
    for _ in 0..<2 { _ = try memory.digest(of: disk.file.path) }
    #expect(disk.counted.all.count == 2)
  }

  @Test(arguments: ["", "{", "[1]", #"{"/x": 3}"#])
  func aDamagedMemoryCountsAsEmpty(_ content: String) throws {
    let disk = try Disk()
    let folder = URL(filePath: disk.cache).deletingLastPathComponent()
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try Data(content.utf8).write(to: URL(filePath: disk.cache))
    #expect(try disk.memory().digest(of: disk.file.path) == weights)
    #expect(try disk.memory().digest(of: disk.file.path) == weights)
    #expect(disk.counted.all.count == 1)
  }

  @Test func knowsItsPlace() {
    #expect(DigestMemory.standardFile(environment: ["XDG_CACHE_HOME": "/c"]) == "/c/steerscope/digests.json")
    #expect(DigestMemory.standardFile(environment: ["HOME": "/h"]) == "/h/.cache/steerscope/digests.json")
    #expect(DigestMemory.standardFile(environment: ["HOME": "h"]) == nil)
  }
}
