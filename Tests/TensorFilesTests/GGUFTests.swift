import TensorFiles
import Testing

struct GGUFTests {
  private func open(_ bytes: [UInt8]) throws -> GGUFFile { try GGUFFile(ByteSource(bytes, name: "x.gguf")) }

  @Test func readsWhatTheReferenceLibraryWrites() throws {
    let file = try open(ForeignFile.gguf)
    let metadata = file.metadata
    #expect(try metadata.string("general.architecture") == "controlvector")
    #expect(try metadata.string("controlvector.model_hint") == "llama")
    #expect(try metadata.integer("controlvector.layer_count") == 2)
    #expect(try metadata.strings("test.tokens") == ["a", "Ġb", ""])
    #expect(try metadata.floats("test.scores") == [0.5, -1])
    #expect(try metadata.integers("test.ids") == [1, 2, 3])
    #expect(try metadata.boolean("test.flag"))
    #expect(try metadata.float("test.double") == 0.1)
    #expect(try metadata.integer("test.small") == -3)
    #expect(file.tensorNames == ["direction.1", "direction.2", "m"])
    #expect(try file.tensor(named: "direction.2").floats() == [-1, 0.5, 2])
    #expect(try file.tensor(named: "m").shape == [2, 3])
    #expect(try file.tensor(named: "m").floats(rows: 1..<2) == [3, 4, 5])
    #expect(refusal { _ = try file.tensor(named: "n") }.contains("\"direction.1\""))
  }

  @Test func readsEveryMetadataType() throws {
    var builder = GGUFBuilder()
    builder.add("u8", type: 0, [255])
    builder.add("i8", type: 1, [255])
    builder.add("u16", type: 2, [255, 255])
    builder.add("i16", type: 3, [254, 255])
    builder.add("u32", type: 4, bytes(UInt32.max))
    builder.add("i32", type: 5, bytes(Int32.min))
    builder.add("f32", type: 6, bytes([1.5] as [Float]))
    builder.add("bool", type: 7, [1])
    builder.add("string", "é")
    builder.add("u64", type: 10, bytes(UInt64(Int.max)))
    builder.add("i64", type: 11, bytes(Int64.min))
    builder.add("f64", type: 12, bytes((-0.25).bitPattern))
    builder.add(
      "nested", array: 9, count: 2,
      bytes(0 as UInt32) + bytes(3 as UInt64) + [1, 2, 3] + bytes(8 as UInt32) + bytes(1 as UInt64)
        + GGUFBuilder.text("x"))
    builder.add("doubles", array: 12, count: 1, bytes(0.5.bitPattern))
    builder.add("empty", array: 8, count: 0, [])
    let metadata = try open(builder.finished()).metadata
    #expect(metadata.keys.count == 15)
    let integers = [
      "u8": 255, "i8": -1, "u16": 65535, "i16": -2, "u32": 4_294_967_295, "i32": -2_147_483_648, "u64": .max,
      "i64": .min,
    ]
    for (key, value) in integers { #expect(try metadata.integer(key) == value) }
    #expect(try metadata.float("f32") == 1.5)
    #expect(try metadata.float("f64") == -0.25)
    #expect(try metadata.boolean("bool"))
    #expect(try metadata.string("string") == "é")
    #expect(try metadata.floats("doubles") == [0.5])
    #expect(try metadata.strings("empty") == [])
    #expect(metadata.contains("nested") && !metadata.contains("none"))
  }

  @Test func typedReadersNameTheKey() throws {
    var builder = GGUFBuilder()
    builder.add("text", "x")
    builder.add("number", type: 4, bytes(7 as UInt32))
    builder.add("big", type: 10, bytes(UInt64.max))
    builder.add("latin", type: 8, bytes(1 as UInt64) + [0xe9])
    builder.add("latins", array: 8, count: 2, GGUFBuilder.text("a") + bytes(1 as UInt64) + [0xe9])
    let metadata = try open(builder.finished()).metadata
    #expect(
      refusal { _ = try metadata.integer("text") } == #"x.gguf: key "text": expected a whole number, found string"#)
    #expect(refusal { _ = try metadata.string("number") }.contains("found uint32"))
    #expect(refusal { _ = try metadata.strings("number") }.contains("a list of strings"))
    #expect(refusal { _ = try metadata.integers("latins") }.contains("found a list of string"))
    #expect(refusal { _ = try metadata.floats("latins") }.contains("a list of floating-point numbers"))
    #expect(refusal { _ = try metadata.float("number") }.contains("floating-point"))
    #expect(refusal { _ = try metadata.boolean("number") }.contains("true or false"))
    #expect(refusal { _ = try metadata.string("none") } == #"x.gguf: key "none": expected a string, found no such key"#)
    #expect(refusal { _ = try metadata.integer("big") }.contains("a larger one"))
    #expect(refusal { _ = try metadata.string("latin") }.contains("UTF-8"))
    #expect(refusal { _ = try metadata.strings("latins") }.contains("element 1"))
    #expect(try metadata.integerIfPresent("none") == nil)
    #expect(try metadata.stringsIfPresent("none") == nil)
  }

  private func message(_ finish: (GGUFBuilder) -> [UInt8] = { $0.finished() }, _ build: (inout GGUFBuilder) -> Void)
    -> String
  {
    var builder = GGUFBuilder()
    build(&builder)
    return refusal { _ = try open(finish(builder)) }
  }

  @Test func refusesMetadataThatLies() {
    #expect(refusal { _ = try open(Array("GGML".utf8)) }.contains("a GGUF file"))
    #expect(message({ $0.finished(version: 1) }) { _ in }.contains("found 1"))
    #expect(message({ $0.finished(version: 0x0300_0000) }) { _ in }.contains("big-endian"))
    #expect(message({ $0.finished(tensors: .max) }) { _ in }.contains("number of tensors"))
    #expect(message({ $0.finished(pairs: 1 << 60) }) { _ in }.contains("number of keys"))
    #expect(message { $0.add("a", array: 8, count: 1 << 61, []) }.contains("elements of key \"a\""))
    #expect(message { $0.add("a", array: 4, count: 1 << 62, []) }.contains("elements of key \"a\""))
    #expect(
      message { $0.add("a", array: 8, count: 1, bytes(UInt64.max) + [UInt8](repeating: 0, count: 64)) }.contains(
        "truncated"))
    #expect(message { $0.add("a", type: 8, bytes(UInt64.max)) }.contains("truncated"))
    #expect(message { $0.add("a", type: 13, []) }.contains("a value type from 0 to 12"))
    #expect(message { $0.add("a", array: 77, count: 0, []) }.contains("found 77"))
    #expect(
      message {
        $0.add("a", "x")
        $0.add("a", "y")
      }.contains("found two"))
    #expect(
      message {
        $0.pairs += bytes(1 as UInt64) + [0xff] + bytes(0 as UInt32) + [0]; $0.pairCount = 1
      }.contains("UTF-8"))
    let inner = bytes(9 as UInt32) + bytes(1 as UInt64)
    let deep = (0..<1000).flatMap { _ in inner } + bytes(0 as UInt32) + bytes(0 as UInt64)
    #expect(message { $0.add("a", array: 9, count: 1, deep) }.contains("less nesting"))
    #expect(message { $0.add("general.alignment", type: 4, bytes(0 as UInt32)) }.contains("power of two"))
    #expect(message { $0.add("general.alignment", type: 4, bytes(24 as UInt32)) }.contains("power of two"))
    #expect(message { $0.add("general.alignment", "32") }.contains("whole number"))
  }

  @Test func refusesTensorsThatLie() {
    let four = bytes([1, 2, 3, 4] as [Float])
    #expect(message { $0.tensor("t", [64], four) }.contains("256 bytes at offset 0"))
    #expect(message { $0.tensor("t", [4], offset: 64, four) }.contains("offset 64"))
    #expect(message { $0.tensor("t", [4], offset: UInt64.max - 31, four) }.contains("offset 1844674407370955"))
    #expect(message { $0.tensor("t", [4], offset: 4, four) }.contains("a multiple of 32"))
    #expect(message { $0.tensor("t", [1 << 32, 1 << 32], four) }.contains("below 2^63"))
    #expect(message { $0.tensor("t", [1 << 62], four) }.contains("below 2^63"))
    #expect(message { $0.tensor("t", [.max], four) }.contains("dimensions below 2^63"))
    #expect(message { $0.tensor("t", [1, 1, 1, 1, 1], four) }.contains("at most 4 dimensions"))
    #expect(message { $0.tensor("t", [48], type: 8, four) }.contains("a multiple of 32 elements (Q8_0)"))
    #expect(message { $0.tensor("t", [32], type: 23, four) }.contains("IQ4_XS (type 23)"))
    #expect(message { $0.tensor("t", [32], type: 999, four) }.contains("found type 999"))
    #expect(
      message {
        $0.tensor("t", [4], four)
        $0.tensor("t", [4], four)
      }.contains("found two"))
    #expect(
      message {
        $0.tensor("t", [4], four)
        $0.tensor("u", [4], offset: 0, four)
      }.contains("data shared"))
  }

  @Test func readsVersion2AndOtherAlignments() throws {
    var builder = GGUFBuilder()
    builder.add("general.alignment", type: 4, bytes(64 as UInt32))
    builder.tensor("t", [2, 1], bytes([1, 2] as [Float]))
    let file = try open(builder.finished(version: 2, alignment: 64))
    #expect(try file.tensor(named: "t").shape == [1, 2])
    #expect(try file.tensor(named: "t").floats() == [1, 2])
  }

  @Test func refusesEveryTruncation() {
    // The last 20 bytes are padding behind the last tensor (12 of 32 bytes), which a file may lack.
    let whole = ForeignFile.gguf
    for length in 0..<(whole.count - 20) {
      #expect(refusal { _ = try open(Array(whole[..<length])) }.hasPrefix("x.gguf"))
    }
  }

  @Test func opensVocabulariesOfAQuarterMillion() throws {
    var builder = GGUFBuilder()
    let token = GGUFBuilder.text("Ġtoken")
    var tokens: [UInt8] = []
    for _ in 0..<250_000 { tokens += token }
    builder.add("tokens", array: 8, count: 250_000, tokens)
    let strings = try open(builder.finished()).metadata.strings("tokens")
    #expect(strings.count == 250_000)
    #expect(strings.last == "Ġtoken")
  }
}
