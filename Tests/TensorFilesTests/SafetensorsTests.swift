import Diagnostics
import Foundation
import Kernels
import TensorFiles
import Testing

struct SafetensorsTests {
  static let v = #""v":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#

  @Test func readsOneTensorAndItsMetadata() throws {
    let header = #"{"__metadata__":{"layer":"14","a\n\"\u00e9\ud83d\ude00":""},\#(Self.v)} "#
    let file = try SafetensorsFile(bytes: safetensors(header, data: bytes([1, -2] as [Float])), name: "memory")
    #expect(file.metadata == ["layer": "14", "a\n\"é😀": ""])
    #expect(file.tensorNames == ["v"])
    #expect(file.contains("v") && !file.contains("w"))
    #expect(try file.tensor(named: "v").floats() == [1, -2])
    #expect(
      refusal { _ = try file.tensor(named: "w") }.contains(#"tensor "w": expected a tensor of this name, found "v""#))
  }

  @Test func readsWhatTheReferenceLibraryWrites() throws {
    let file = try SafetensorsFile(bytes: ForeignFile.safetensors, name: "memory")
    #expect(file.metadata == ["layer": "14", "note": "café \"x\""])
    #expect(Set(file.tensorNames) == ["v", "ids", "h"])
    #expect(try file.tensor(named: "v").floats() == [1, 2])
    #expect(try file.tensor(named: "ids").integers() == [3, 4])
    #expect(try file.tensor(named: "ids").shape == [2, 1])
    #expect(try file.tensor(named: "h").floats() == [0.5])
  }

  @Test func acceptsNoTensorsScalarsAndEmptyOnes() throws {
    #expect(try SafetensorsFile(bytes: safetensors("{}"), name: "m").tensorNames.isEmpty)
    let header =
      #"{"s":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"e":{"dtype":"F16","shape":[3,0],"data_offsets":[8,8]}}"#
    let file = try SafetensorsFile(bytes: safetensors(header, data: bytes(7 as UInt64)), name: "m")
    #expect(try file.tensor(named: "s").integers() == [7])
    #expect(try file.tensor(named: "e").floats() == [])
  }

  @Test(arguments: [
    (
      #"{"v":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"v":{"dtype":"F32","shape":[0],"data_offsets":[8,8]}}"#,
      "second \"v\""
    ),
    (#"{"v":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, "second \"dtype\""),
    (#"{"v":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}}"#, "F8_E4M3"),
    (#"{"v":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, "shape [3]"),
    (#"{"v":{"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]}}"#, "shape"),
    (#"{"v":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#, "shape"),
    (#"{"v":{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]}}"#, "below 2^63"),
    (#"{"v":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#, "whole number"),
    (#"{"v":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}"#, "']'"),
    (#"{"v":{"dtype":"F32","shape":[02],"data_offsets":[0,8]}}"#, "leading zeros"),
    (#"{"v":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, "rising"),
    (#"{"v":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#, "within"),
    (#"{"v":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}"#, "at most 2"),
    (#"{"v":{"dtype":"F32","shape":[2],"data_offsets":[0]}}"#, "two data_offsets"),
    (#"{"v":{"dtype":"F32","shape":[2]}}"#, "without"),
    (#"{"v":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"scale":2}}"#, "\"scale\""),
    (#"{"v":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, "damaged or was written twice"),
    (#"{"v":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, "starts at offset 0"),
    (
      #"{"v":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"U8","shape":[1],"data_offsets":[7,8]}}"#,
      "offset 8"
    ),
    (#"{"__metadata__":{"n":1},"v":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, "'\"'"),
    (#"{"v":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} x"#, "the end"),
    (#"{"v":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},}"#, "'\"'"),
    (#"{"v\ud83d":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, "escapes"),
    (#"{"v\x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, "escapes"),
    ("{\"v\n\":{}}", "control characters"),
    ("[]", "'{'"), ("", "the end"), ("{\"v\\", "the end of a string"),
  ])
  func refusesLies(header: String, names words: String) {
    let message = refusal {
      _ = try SafetensorsFile(bytes: safetensors(header, data: [UInt8](repeating: 1, count: 8)), name: "x.safetensors")
    }
    #expect(message.hasPrefix("x.safetensors") && message.contains(words), "\(message)")
  }

  @Test func refusesNamesThatAreNotUTF8() {
    var file = safetensors("{\(Self.v)}", data: bytes([1, 2] as [Float]))
    file[10] = 0xff
    #expect(refusal { _ = try SafetensorsFile(bytes: file, name: "m") }.contains("UTF-8"))
  }

  @Test(arguments: [9, 1 << 40, UInt64.max])
  func refusesAHeaderLengthBeyondTheFile(length: UInt64) {
    let file = safetensors("{}", length: length)
    #expect(refusal { _ = try SafetensorsFile(bytes: file, name: "m") }.contains("header length of \(length)"))
  }

  @Test func refusesEveryTruncation() {
    let whole = safetensors("{\(Self.v)}", data: bytes([1, 2] as [Float]))
    for length in whole.indices {
      #expect(refusal { _ = try SafetensorsFile(bytes: Array(whole[..<length]), name: "m") }.hasPrefix("m"))
    }
  }

  @Test func writesWhatItReads() throws {
    var writer = SafetensorsWriter(metadata: ["layer": "14", "quoted \"\\": "line\nbreak é"])
    try writer.add("layer.14", shape: [2, 2], floats: [1, 2, 3, -.infinity])
    try writer.add("ids", shape: [2], integers: [-1, .max])
    try writer.add("half", type: .float(.bfloat16), shape: [1], bytes: [0x80, 0x3f])
    let file = try SafetensorsFile(bytes: writer.bytes(), name: "m")
    #expect(file.metadata == writer.metadata)
    // Wide elements first keep all of them aligned.
    #expect(file.tensorNames == ["ids", "layer.14", "half"])
    let data = try file.tensor(named: "ids").byteRange.lowerBound
    #expect(data % 8 == 0)
    #expect(try file.tensor(named: "layer.14").floats() == [1, 2, 3, -.infinity])
    #expect(try file.tensor(named: "layer.14").shape == [2, 2])
    #expect(try file.tensor(named: "ids").integers() == [-1, .max])
    #expect(try file.tensor(named: "half").floats() == [1])
  }

  @Test func orderOfAddingDoesNotShow() throws {
    var first = SafetensorsWriter(metadata: ["a": "1", "b": "2"])
    try first.add("x", shape: [1], floats: [1])
    try first.add("y", shape: [1], floats: [2])
    var second = SafetensorsWriter()
    try second.add("y", shape: [1], floats: [2])
    try second.add("x", shape: [1], floats: [1])
    second.metadata = ["b": "2", "a": "1"]
    #expect(first.bytes() == second.bytes())
    try withTemporaryFolder { folder in
      try first.write(to: folder + "/f.safetensors")
      let written = try ByteSource(path: folder + "/f.safetensors")
      #expect(written.copy(0..<written.count) == first.bytes())
    }
  }

  @Test func copiesTensorsOfOtherFiles() throws {
    let source = try SafetensorsFile(bytes: ForeignFile.safetensors, name: "m")
    var writer = SafetensorsWriter()
    try writer.add("renamed", copyOf: source.tensor(named: "h"))
    let copy = try SafetensorsFile(bytes: writer.bytes(), name: "m").tensor(named: "renamed")
    #expect(copy.type == .float(.float16))
    #expect(try copy.floats() == [0.5])
  }

  @Test func refusesNamesTwiceReservedNamesAndForeignTypes() throws {
    var writer = SafetensorsWriter()
    try writer.add("x", shape: [1], floats: [1])
    #expect(refusal { try writer.add("x", shape: [1], floats: [1]) }.contains("name of its own"))
    #expect(refusal { try writer.add("__metadata__", shape: [1], floats: [1]) }.contains("__metadata__"))
    let block = [UInt8](repeating: 0, count: 34)
    #expect(refusal { try writer.add("q", type: .blocks(.q8_0), shape: [32], bytes: block) }.contains("Q8_0"))
  }
}
