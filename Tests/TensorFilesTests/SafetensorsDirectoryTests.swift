import Foundation
import TensorFiles
import Testing

struct SafetensorsDirectoryTests {
  /// A file with one float32 tensor for each name.
  private func write(_ names: [String], _ path: String) throws {
    var writer = SafetensorsWriter()
    for (index, name) in names.enumerated() { try writer.add(name, shape: [1], floats: [Float(index)]) }
    try writer.write(to: path)
  }

  private func index(_ map: String, _ folder: String) throws {
    let text = #"{"metadata": {"total_size": 1.5e3, "x": [null, {"y": "z"}]}, "weight_map": {\#(map)}}"#
    try save(Array(text.utf8), folder + "/model.safetensors.index.json")
  }

  @Test func followsTheIndex() throws {
    try withTemporaryFolder { folder in
      try write(["a", "b"], folder + "/model-1.safetensors")
      try write(["c"], folder + "/model-2.safetensors")
      try write(["stray"], folder + "/other.safetensors")
      try index(#""a": "model-1.safetensors", "b": "model-1.safetensors", "c": "model-2.safetensors""#, folder)
      let model = try SafetensorsDirectory(path: folder)
      #expect(model.tensorNames == ["a", "b", "c"])
      #expect(try model.tensor(named: "b").floats() == [1])
      #expect(!model.contains("stray"))
      #expect(refusal { _ = try model.tensor(named: "d") }.contains("\"a\", \"b\", \"c\""))
    }
  }

  @Test func prefersTheSingleFileAndElseTakesAll() throws {
    try withTemporaryFolder { folder in
      try write(["a"], folder + "/x.safetensors")
      try write(["b"], folder + "/y.safetensors")
      #expect(try SafetensorsDirectory(path: folder).tensorNames == ["a", "b"])
      try write(["m"], folder + "/model.safetensors")
      #expect(try SafetensorsDirectory(path: folder).tensorNames == ["m"])
    }
  }

  @Test func refusesNamesTwiceAndFoldersWithout() throws {
    try withTemporaryFolder { folder in
      #expect(refusal { _ = try SafetensorsDirectory(path: folder) }.contains("none in the folder"))
      #expect(refusal { _ = try SafetensorsDirectory(path: folder + "/missing") }.contains("readable folder"))
      try write(["a"], folder + "/x.safetensors")
      try write(["a"], folder + "/y.safetensors")
      #expect(refusal { _ = try SafetensorsDirectory(path: folder) }.contains("the same in"))
    }
  }

  @Test(arguments: [
    (#""a": "../model-1.safetensors""#, "beside it"), (#""a": "model-1.bin""#, "beside it"),
    (#""a": "model-9.safetensors""#, "readable file"), (#""z": "model-1.safetensors""#, "none of that name"),
    ("", "weight_map"), (#""a": "model-1.safetensors", "a": "model-1.safetensors""#, "second \"a\""),
    (#""a": 1"#, "'\"'"),
  ])
  func refusesIndexesThatLie(map: String, words: String) throws {
    try withTemporaryFolder { folder in
      try write(["a"], folder + "/model-1.safetensors")
      try index(map, folder)
      let message = refusal { _ = try SafetensorsDirectory(path: folder) }
      #expect(message.contains(words), "\(message)")
    }
  }

  @Test func refusesBottomlessNesting() throws {
    try withTemporaryFolder { folder in
      let text = #"{"metadata": "# + String(repeating: "[", count: 100_000)
      try save(Array(text.utf8), folder + "/model.safetensors.index.json")
      #expect(refusal { _ = try SafetensorsDirectory(path: folder) }.contains("less nesting"))
    }
  }
}
