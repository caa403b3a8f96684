import Diagnostics
import TensorFiles
import Testing

/// Damaged files may be read or refused with an `InputError`; all else (a trap, a hang, another error) fails the run.
struct FuzzTests {
  /// Numbers that lengths, counts and offsets like to break on.
  private static let awkward: [UInt64] = [
    0, 1, 7, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 32, 1 << 62, UInt64(Int64.max), 1 << 63, .max - 7, .max,
  ]

  private static func mutated(_ file: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
    var file = file
    for _ in 0..<Int.random(in: 1...3, using: &random) where !file.isEmpty {
      let place = Int.random(in: file.indices, using: &random)
      switch Int.random(in: 0..<6, using: &random) {
      case 0: file[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 1: file[place] = UInt8.random(in: 0...255, using: &random)
      case 2: file.remove(at: place)
      case 3: file.insert(file[Int.random(in: file.indices, using: &random)], at: place)
      case 4: file.removeSubrange(place..<min(file.count, place + Int.random(in: 1...16, using: &random)))
      default:
        let value = awkward.randomElement(using: &random) ?? 0
        let width = [2, 4, 8].randomElement(using: &random) ?? 8
        for index in 0..<width where place + index < file.count {
          file[place + index] = UInt8(truncatingIfNeeded: value >> (8 * index))
        }
      }
    }
    return file
  }

  private func fuzz(_ file: [UInt8], seed: UInt64, _ read: (ByteSource) throws -> Void) throws {
    var random = SeededGenerator(state: seed)
    var refused = 0
    for _ in 0..<3000 {
      do {
        try read(ByteSource(Self.mutated(file, &random), name: "m"))
      } catch let error as InputError {
        #expect(error.subject.hasPrefix("m"))
        refused += 1
      }
    }
    #expect(refused > 300)
  }

  private func readAll(_ file: some TensorCollection) throws {
    for name in file.tensorNames {
      let tensor = try file.tensor(named: name)
      switch tensor.type {
      case .float, .blocks: #expect(try tensor.floats().count == tensor.elementCount)
      case .integer, .boolean: #expect(try tensor.integers().count == tensor.elementCount)
      }
    }
  }

  @Test func safetensors() throws {
    try fuzz(ForeignFile.safetensors, seed: 1) { try readAll(SafetensorsFile($0)) }
  }

  @Test func npy() throws {
    try fuzz(ForeignFile.npyFloat32, seed: 2) { try readAll(NpyFile($0)) }
  }

  @Test(arguments: [ForeignFile.npzStored, ForeignFile.npzDeflated, ForeignFile.npzZip64])
  func npz(file: [UInt8]) throws {
    try fuzz(file, seed: UInt64(file.count)) { try readAll(NpzArchive(ZipArchive($0, inflationLimit: 1 << 16))) }
  }

  @Test func gguf() throws {
    try fuzz(ForeignFile.gguf, seed: 4) { source in
      let file = try GGUFFile(source)
      try readAll(file)
      // Each key asked for as everything: only the right type may answer.
      for key in file.metadata.keys {
        _ = try? file.metadata.integer(key)
        _ = try? file.metadata.float(key)
        _ = try? file.metadata.boolean(key)
        _ = try? file.metadata.string(key)
        _ = try? file.metadata.integers(key)
        _ = try? file.metadata.floats(key)
        _ = try? file.metadata.strings(key)
      }
    }
  }
}
