import Foundation
import TensorFiles
import Testing

/// Every ggml type against ggml's own Python library (see Tests/Golden/README.md), to the bit.
struct QuantisedGoldenTests {
  private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Golden").path

  @Test func equalsTheReferenceToTheBit() throws {
    let stored = try GGUFFile(path: Self.folder + "/quants.gguf")
    let expected = try SafetensorsFile(path: Self.folder + "/quants.safetensors")
    let types = "F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q4_K Q5_K Q6_K".split(separator: " ").map(String.init)
    #expect(Set(stored.tensorNames) == Set(types))
    for name in types {
      let tensor = try stored.tensor(named: name)
      let reference = try expected.tensor(named: name)
      #expect(tensor.type.name == name)
      #expect(tensor.shape == [4, 512] && reference.shape == [4, 512])
      let values = try reference.floats().map(\.bitPattern)
      #expect(try tensor.floats(requireFinite: true).map(\.bitPattern) == values, "\(name)")
      #expect(try tensor.floats(rows: 1..<3).map(\.bitPattern) == Array(values[512..<1536]), "\(name)")
    }
  }
}
