import Diagnostics
import Foundation
import TensorFiles
import Testing

struct MappedFileTests {
  @Test func givesBytesWithoutCopying() throws {
    try withTemporaryFolder { folder in
      try save([1, 2, 3, 4, 5], folder + "/f")
      let file = try MappedFile(path: folder + "/f")
      #expect(file.size == 5)
      #expect(file.withBytes { $0.byteCount } == 5)
      #expect(file.withBytes(1..<3) { bytes in bytes.withUnsafeBytes { Array($0) } } == [2, 3])
      #expect(file.withBytes(5..<5) { $0.byteCount } == 0)
    }
  }

  @Test func mapsAnEmptyFile() throws {
    try withTemporaryFolder { folder in
      try save([], folder + "/f")
      #expect(try MappedFile(path: folder + "/f").withBytes { $0.byteCount } == 0)
      #expect(refusal { _ = try SafetensorsFile(path: folder + "/f") }.contains("found 0 bytes"))
    }
  }

  @Test func refusesWhatIsNoFile() throws {
    try withTemporaryFolder { folder in
      #expect(refusal { _ = try MappedFile(path: folder) }.contains("a directory"))
      #expect(refusal { _ = try MappedFile(path: folder + "/none") }.contains("No such file"))
      #expect(refusal { _ = try MappedFile(path: "") }.contains("empty name"))
      #expect(refusal { _ = try MappedFile(path: folder + "/f\0g") }.contains("zero byte"))
      // Opening a pipe to read waits for a writer, unless it is refused first.
      #expect(mkfifo(folder + "/pipe", 0o600) == 0)
      #expect(refusal { _ = try MappedFile(path: folder + "/pipe") }.contains("something else"))
    }
  }

  @Test func keepsTheOldContentWhenTheFileIsReplaced() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/f"
      try AtomicFile.write([1, 2, 3], to: path)
      let old = try ByteSource(path: path)
      try AtomicFile.write([4], to: path)
      #expect(old.copy(0..<3) == [1, 2, 3])
      #expect(try ByteSource(path: path).copy(0..<1) == [4])
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["f"])
    }
  }

  @Test func leavesNothingBehindWhenWritingFails() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/f"
      try AtomicFile.write([1], to: path)
      let message = refusal {
        try AtomicFile.write(to: path) { file throws(InputError) in
          try file.append(([9, 9] as [UInt8]).span.bytes)
          _ = try MappedFile(path: folder + "/none")
        }
      }
      #expect(message.contains("No such file"))
      #expect(try ByteSource(path: path).copy(0..<1) == [1])
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["f"])
      #expect(refusal { try AtomicFile.write([1], to: folder + "/none/f") }.contains("No such file"))
      #expect(refusal { try AtomicFile.write([1], to: folder) }.contains("a regular file"))
    }
  }
}
