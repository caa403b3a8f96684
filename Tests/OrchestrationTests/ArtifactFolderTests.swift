import Diagnostics
import Foundation
import OrchestrationSupport
import Storage
import SweepRecords
import Testing

@testable import Orchestration

/// Artifacts on disk: whatever happens to the files, what is read is right or not there.
@Suite struct ArtifactFolderTests {
  private final class Disk: Sendable {
    let path = FileManager.default.temporaryDirectory.appending(path: "steerscope-\(UUID().uuidString)").path
    deinit { try? FileManager.default.removeItem(atPath: path) }

    func folder(_ capacity: Int = 1 << 20) throws -> ArtifactFolder {
      try ArtifactFolder(path: path, capacity: capacity)
    }

    func file(_ digest: Digest) -> String { "\(path)/\(digest.hex.prefix(2))/\(digest.hex.dropFirst(2))" }

    var size: Int {
      let files = FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []
      return files.reduce(0) { sum, name in
        let attributes = try? FileManager.default.attributesOfItem(atPath: "\(path)/\(name)")
        return sum + (attributes?[.type] as? FileAttributeType == .typeRegular ? attributes?[.size] as? Int ?? 0 : 0)
      }
    }

    func age(_ digest: Digest, by seconds: Double) throws {
      try FileManager.default.setAttributes(
        [.modificationDate: Date(timeIntervalSinceNow: -seconds)], ofItemAtPath: file(digest))
    }
  }

  private func bytes(_ number: Int, count: Int = 1000) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ number) } + Array("\(number)".utf8)
  }

  @Test func whatIsKeptIsThereForOtherProcesses() throws {
    let disk = Disk()
    let digest = Digest(of: bytes(1))
    let folder = try disk.folder()
    #expect(folder.bytes(of: digest) == nil)
    folder.keep(bytes(1), as: digest)
    #expect(folder.bytes(of: digest) == bytes(1))
    #expect(try disk.folder().bytes(of: digest) == bytes(1))
    let empty = Digest(of: [UInt8]())
    folder.keep([], as: empty)
    #expect(folder.bytes(of: empty) == [])
  }

  @Test(arguments: [0, 1, 500, 1001]) func damageIsFoundAndCleared(_ length: Int) throws {
    let disk = Disk()
    let digest = Digest(of: bytes(1))
    let folder = try disk.folder()
    folder.keep(bytes(1), as: digest)
    var damaged = Array(bytes(1).prefix(length))
    if length == 1001 { damaged[7] ^= 1 }
    try Data(damaged).write(to: URL(fileURLWithPath: disk.file(digest)))
    #expect(folder.bytes(of: digest) == nil)
    #expect(!FileManager.default.fileExists(atPath: disk.file(digest)))
    folder.keep(bytes(1), as: digest)
    #expect(folder.bytes(of: digest) == bytes(1))
  }

  @Test func itStaysWithinItsCapacityAndDropsWhatWasUsedLongestAgo() throws {
    let disk = Disk()
    let folder = try disk.folder(20_000)
    let digests = (0..<19).map { Digest(of: bytes($0)) }
    for number in 0..<19 {
      folder.keep(bytes(number), as: digests[number])
      try disk.age(digests[number], by: Double(1000 - number))
    }
    #expect(disk.size > 19_000)
    // The first is used again, so the second is the oldest.
    #expect(folder.bytes(of: digests[0]) == bytes(0))
    for number in 100..<103 { folder.keep(bytes(number), as: Digest(of: bytes(number))) }
    #expect(disk.size <= 20_000)
    #expect(folder.bytes(of: digests[0]) == bytes(0))
    #expect(folder.bytes(of: digests[1]) == nil)
    #expect(folder.bytes(of: digests[18]) == bytes(18))
    #expect(folder.bytes(of: Digest(of: bytes(102))) == bytes(102))
    // What would take the place of all others is not kept.
    let large = bytes(7, count: 6000)
    folder.keep(large, as: Digest(of: large))
    #expect(folder.bytes(of: Digest(of: large)) == nil)
  }

  @Test func severalProcessesTogetherStayNearTheCapacity() throws {
    let disk = Disk()
    let folders = try (0..<4).map { _ in try disk.folder(100_000) }
    for number in 0..<400 { folders[number % 4].keep(bytes(number), as: Digest(of: bytes(number))) }
    #expect(disk.size <= 100_000 + 4 * 100_000 / 64 + 4000)
    #expect(disk.size > 60_000)
  }

  @Test func rubbishIsLeftAloneAndLeftoversGo() throws {
    let disk = Disk()
    let folder = try disk.folder(10_000)
    let digest = Digest(of: bytes(1))
    let place = URL(fileURLWithPath: disk.file(digest)).deletingLastPathComponent().path
    try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
    // A writer that was killed long ago, one that is at work, and what is none of ours.
    for name in ["partial-old", "partial-new", "notes.txt"] {
      try Data(bytes(2)).write(to: URL(fileURLWithPath: "\(place)/\(name)"))
    }
    try FileManager.default.setAttributes(
      [.modificationDate: Date(timeIntervalSinceNow: -7200)], ofItemAtPath: "\(place)/partial-old")
    try Data(bytes(3)).write(to: URL(fileURLWithPath: disk.path + "/README"))
    folder.keep(bytes(1), as: digest)
    let names = Set(try FileManager.default.contentsOfDirectory(atPath: place))
    #expect(names == ["partial-new", "notes.txt", String(digest.hex.dropFirst(2))])
    // A folder where the file should be, and a link to elsewhere.
    try FileManager.default.removeItem(atPath: disk.file(digest))
    try FileManager.default.createDirectory(atPath: disk.file(digest) + "/x", withIntermediateDirectories: true)
    #expect(folder.bytes(of: digest) == nil)
    folder.keep(bytes(1), as: digest)
    #expect(folder.bytes(of: digest) == nil)
    let other = Digest(of: bytes(4))
    folder.keep(bytes(4), as: other)
    let elsewhere = disk.path + "/elsewhere"
    try FileManager.default.moveItem(atPath: disk.file(other), toPath: elsewhere)
    try FileManager.default.createSymbolicLink(atPath: disk.file(other), withDestinationPath: elsewhere)
    #expect(folder.bytes(of: other) == nil)
  }

  @Test func aPlaceThatCannotBeWrittenKeepsNothing() throws {
    let disk = Disk()
    let folder = try disk.folder()
    let digest = Digest(of: bytes(1))
    // Its subfolder can't be made.
    try Data().write(to: URL(fileURLWithPath: "\(disk.path)/\(digest.hex.prefix(2))"))
    folder.keep(bytes(1), as: digest)
    #expect(folder.bytes(of: digest) == nil)
    // The whole folder is gone.
    try FileManager.default.removeItem(atPath: disk.path)
    folder.keep(bytes(1), as: digest)
    #expect(folder.bytes(of: digest) == nil)
    try Data().write(to: URL(fileURLWithPath: disk.path))
    #expect(throws: InputError.self) { try disk.folder() }
  }

  @Test func inputsComeFromDiskWhenTheyWereFetchedBefore() async throws {
    let disk = Disk()
    let world = try SweepWorld()
    try await world.submit()
    let work = TaskWork.extract(
      ExtractWork(
        model: ModelReference(digest: Digest(of: PretendSweep.model), weights: "as-stored", template: "raw"),
        layers: [1], contrast: .artifact(Digest(of: PretendSweep.contrast)), from: 0, to: 1, read: .answerMean))
    let files = [FileReference(digest: Digest(of: PretendSweep.model), locator: "model.gguf")]
    let first = InputFetcher(store: world.store, files: PretendFiles(), cacheCapacity: 0, folder: try disk.folder())
    let fetched = try await first.inputs(of: work, files: files)
    // A store that answers nothing any more.
    let mortality = Mortality(.beforeClaim)
    try? mortality.reach(.beforeClaim)
    let dead = MortalStore(inner: world.store, mortality: mortality)
    let second = InputFetcher(store: dead, files: PretendFiles(), cacheCapacity: 0, folder: try disk.folder())
    #expect(try await second.inputs(of: work, files: files).artifacts == fetched.artifacts)
    let third = InputFetcher(store: dead, files: PretendFiles(), cacheCapacity: 0, folder: nil)
    await #expect(throws: Mortality.Killed.self) { try await third.inputs(of: work, files: files) }
  }
}
