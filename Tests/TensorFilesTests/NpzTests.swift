import TensorFiles
import Testing

struct NpzTests {
  private func open(_ bytes: [UInt8], inflationLimit: Int = 1 << 20) throws -> NpzArchive {
    try NpzArchive(ZipArchive(ByteSource(bytes, name: "x.npz"), inflationLimit: inflationLimit))
  }

  private func first(_ bytes: [UInt8]) throws -> TensorView {
    let archive = try open(bytes)
    return try archive.tensor(named: archive.tensorNames[0])
  }

  @Test func readsWhatNumpyWrites() throws {
    let stored = try open(ForeignFile.npzStored)
    #expect(stored.tensorNames == ["v", "n"])
    #expect(try stored.tensor(named: "v").floats() == [1, 2, 3])
    #expect(try stored.tensor(named: "v").source.name == "x.npz")
    #expect(try stored.tensor(named: "n").integers() == [7])
    #expect(refusal { _ = try stored.tensor(named: "w") }.contains(#"found "v", "n""#))
    let deflated = try open(ForeignFile.npzDeflated)
    #expect(try deflated.tensor(named: "v").floats() == (0..<64).map(Float.init))
    #expect(try deflated.tensor(named: "b").integers() == [1, 0])
    let wide = try open(ForeignFile.npzZip64)
    #expect(try wide.tensor(named: "b").integers() == [9, 8])
  }

  @Test func readsDescriptorsCommentsAndEmptyArchives() throws {
    var zip = ZipBuilder()
    #expect(try open(zip.finished()).tensorNames.isEmpty)
    zip.addDeflated("a.npy", npy([1, 2], shape: "(2,)"))
    zip.add("readme.txt", packed: [1])
    zip.add("dir/b.npy", packed: npy([3], shape: "(1,)"), flags: 8)
    let archive = try open(zip.finished(comment: "PK\u{5}\u{6} is not the end"))
    #expect(archive.tensorNames == ["a", "dir/b"])
    #expect(try archive.tensor(named: "a").floats() == [1, 2])
    #expect(try archive.tensor(named: "dir/b").floats() == [3])
  }

  @Test func refusesMembersThatLie() throws {
    let array = npy([1, 2], shape: "(2,)")
    func message(_ build: (inout ZipBuilder) -> Void) -> String {
      var zip = ZipBuilder()
      build(&zip)
      return refusal { _ = try first(zip.finished()) }
    }
    #expect(message { $0.add("a.npy", packed: array, flags: 1) }.contains("encrypted"))
    #expect(message { $0.add("a.npy", packed: array, method: 12) }.contains("method 12"))
    #expect(message { $0.add("a.npy", packed: array, size: 5) }.contains("a size of 5"))
    #expect(
      message { $0.add("a.npy", packed: array, packedSize: 0x7fff_0000) }.contains("before the central directory"))
    #expect(message { $0.add("a.npy", packed: array, offset: 0xffff_fff0) }.contains("before the central directory"))
    #expect(message { $0.add("a.npy", packed: array, offset: 3) }.contains("before the central directory"))
    #expect(message { $0.add("a.npy", packed: array, localName: "b.npy") }.contains("local header"))
    #expect(message { $0.add("a.npy", packed: array, size: 0xffff_ffff) }.contains("zip64 field"))
    #expect(
      message { $0.add("a.npy", packed: array, size: 0xffff_ffff, extra: [1, 0, 8, 0] + bytes(UInt64.max)) }
        .contains("damaged"))
    #expect(
      message {
        $0.add("a.npy", packed: array)
        $0.add("a.npy", packed: array)
      }.contains("found two"))
    #expect(message { $0.add("model/data.pkl", packed: [0]) }.contains("PyTorch"))
    #expect(message { $0.add("notes.txt", packed: [0]) }.contains("without any"))
  }

  @Test func refusesDeflateBombsAndDamage() throws {
    let zeros = npy([Float](repeating: 0, count: 100_000), shape: "(100000,)")
    func message(_ build: (inout ZipBuilder) -> Void) -> String {
      var zip = ZipBuilder()
      build(&zip)
      return refusal { _ = try first(zip.finished()) }
    }
    var honest = ZipBuilder()
    honest.addDeflated("a.npy", zeros)
    #expect(try first(honest.finished()).elementCount == 100_000)
    #expect(
      refusal { _ = try open(honest.finished(), inflationLimit: 1000).tensor(named: "a") }.contains(
        "at most 1000 bytes"))
    #expect(message { $0.addDeflated("a.npy", zeros, size: 1000) }.contains("damaged data"))
    #expect(message { $0.addDeflated("a.npy", zeros, size: UInt32(zeros.count + 1)) }.contains("damaged data"))
    #expect(message { $0.addDeflated("a.npy", [1, 2], size: 1_000_000) }.contains("can unpack to"))
    #expect(message { $0.addDeflated("a.npy", zeros, checksum: 1) }.contains("checksum"))
    #expect(message { $0.add("a.npy", packed: [0xff, 0xff, 0xff], method: 8, size: 3) }.contains("damaged data"))
    #expect(message { $0.add("a.npy", packed: [], method: 8, size: 0) }.contains("damaged data"))
  }

  @Test func refusesDirectoriesThatLie() {
    var zip = ZipBuilder()
    zip.add("a.npy", packed: npy([1], shape: "(1,)"))
    #expect(refusal { _ = try open(zip.finished(count: 2)) }.contains("central directory"))
    #expect(refusal { _ = try open(zip.finished(count: 0)) }.contains("central directory"))
    #expect(refusal { _ = try open(zip.finished(count: 65535)) }.contains("central directory"))
    #expect(refusal { _ = try open(zip.finished(start: 0xffff_fff0)) }.contains("central directory"))
    #expect(refusal { _ = try open(zip.finished(start: 1)) }.contains("central directory"))
    #expect(refusal { _ = try open(zip.finished(size: 10)) }.contains("central directory"))
    var broken = zip
    broken.directory[46] = 0xff
    #expect(refusal { _ = try open(broken.finished()) }.contains("UTF-8"))
    #expect(refusal { _ = try open([]) }.contains("no end record"))
  }

  @Test(arguments: [ForeignFile.npzStored, ForeignFile.npzDeflated, ForeignFile.npzZip64])
  func refusesEveryTruncation(whole: [UInt8]) {
    for length in whole.indices {
      #expect(refusal { _ = try open(Array(whole[..<length])) }.hasPrefix("x.npz"))
    }
  }
}
