import Diagnostics
import Foundation
import LanguageModels
import Testing

@Suite struct ModelFilesTests {
  /// Runs `body` with a new folder that holds these files.
  private func folder(_ files: [String: String], _ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("files-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    for (name, text) in files { try Data(text.utf8).write(to: folder.appendingPathComponent(name)) }
    try body(folder.path)
  }

  private func error(_ path: String) throws -> InputError {
    try #require(#expect(throws: InputError.self) { try ModelFiles(path: path) })
  }

  @Test func aFolderIsItsConfigurationWeightsAndTokenizer() throws {
    let files = [
      "config.json": "{}", "model.safetensors": "", "tokenizer.json": "", "tokenizer_config.json": "", "README.md": "",
      "pytorch_model.bin": "",
    ]
    try folder(files) { path throws in
      let model = try ModelFiles(path: path + "/")
      let names = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
      #expect(model.all == names.map { "\(path)/\($0)" })
    }
  }

  @Test func shardsAreThoseOfTheIndexInOrder() throws {
    let index = #"{"weight_map": {"b": "model-2.safetensors", "a": "model-1.safetensors", "c": "model-2.safetensors"}}"#
    var files = [
      "config.json": "{}", "model.safetensors.index.json": index, "model-1.safetensors": "1", "other.safetensors": "",
    ]
    try folder(files) { path throws in
      let error = try error(path)
      #expect(error.subject == "\(path)/model-2.safetensors" && error.remedy.contains("incomplete"))
    }
    files["model-2.safetensors"] = "22"
    try folder(files) { path throws in
      let model = try ModelFiles(path: path)
      #expect(model.weights == ["\(path)/model-1.safetensors", "\(path)/model-2.safetensors"])
      #expect(model.weightBytes == 3)
    }
  }

  @Test(arguments: [
    #"{"weight_map": {"a": "../model.safetensors"}}"#, #"{"weight_map": {"a": "/etc/passwd"}}"#,
    #"{"weight_map": {"a": 3}}"#,
    #"{"weight_map": {}}"#, #"{"weight_map": []}"#, "{}", "",
  ]) func aBadIndexIsRefused(_ index: String) throws {
    try folder(["config.json": "{}", "model.safetensors.index.json": index]) { path throws in
      #expect(try error(path).subject.hasPrefix("\(path)/model.safetensors.index.json"))
    }
  }

  @Test func whatIsNoModelIsRefused() throws {
    #expect(try error("/no/such/place").found == "nothing there")
    try folder(["weights.bin": "", "small.gguf": "x"]) { path throws in
      #expect(try error("\(path)/weights.bin").expected.contains(".gguf"))
      #expect(try error(path).remedy.contains("small.gguf"))
      #expect(try ModelFiles(path: "\(path)/small.gguf").all == ["\(path)/small.gguf"])
    }
    try folder(["config.json": "{}"]) { path throws in #expect(try error(path).found == "neither") }
  }

  @Test func theDescriptionTellsSizeWithoutLoading() throws {
    let path = try TinyModel("llama").write()
    defer { try? FileManager.default.removeItem(atPath: path) }
    let (architecture, bytes) = try LanguageModel.describe(ModelFiles(path: path))
    let block = 2 * 24 * 24 + 2 * 12 * 24 + 3 * 36 * 24 + 2 * 24
    #expect(architecture.parameters == 4 * block + 40 * 24 + 24)
    // Outputs are packed in panels of 16.
    let packed = 2 * 32 * 24 + 2 * 16 * 24 + 2 * 48 * 24 + 32 * 36 + 2 * 24
    #expect(bytes == 4 * (4 * packed + 48 * 24 + 24))
    #expect(try LanguageModel.describe(ModelFiles(path: path), weights: .bfloat16).bytes < bytes)
  }
}
