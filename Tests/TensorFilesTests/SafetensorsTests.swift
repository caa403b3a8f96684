import Diagnostics
import TensorFiles
import Testing

/// The bytes of a safetensors file with this header, taken literally, and these data.
func safetensors(_ header: String, data: [UInt8] = [], length: UInt64? = nil) -> [UInt8] {
  let text = Array(header.utf8)
  return (0..<8).map { UInt8(truncatingIfNeeded: (length ?? UInt64(text.count)) >> (8 * $0)) } + text + data
}

struct SafetensorsTests {
  @Test func readsOneTensorAndItsMetadata() throws {
    let header = #"{"__metadata__":{"layer":"14"},"v":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#
    let file = try SafetensorsFile(
      bytes: safetensors(header, data: [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]), name: "memory")
    #expect(file.metadata == ["layer": "14"])
    #expect(try file.tensor(named: "v").floats() == [1, -2])
  }
}
