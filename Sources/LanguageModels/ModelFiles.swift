package import Diagnostics
internal import Foundation

/// The files that make up a model: a folder in the layout of Hugging Face, or one GGUF file.
package struct ModelFiles: Sendable, Equatable {
  /// The folder or file that was named.
  package let path: String
  /// The path of `config.json`; nil for GGUF, which carries its own description.
  package let configuration: String?
  /// The files that hold weights, sorted.
  package let weights: [String]
  /// `tokenizer.json` and `tokenizer_config.json`, those that are there; empty for GGUF.
  package let tokenizer: [String]

  /// Everything that makes up the model, for digests: the same files in the same order wherever they lie.
  package var all: [String] { (configuration.map { [$0] } ?? []) + weights + tokenizer }

  /// Finds the files of the model at `path`.
  ///
  /// - Throws: `InputError` where there is no model: neither a `.gguf` file nor a folder with `config.json` and
  ///   `model.safetensors` or `model.safetensors.index.json` with all files it names.
  package init(path: String) throws(InputError) {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw InputError(path, expected: "a model: a folder with config.json, or a .gguf file", found: "nothing there")
    }
    self.path = path
    guard isFolder.boolValue else {
      guard path.lowercased().hasSuffix(".gguf") else {
        throw InputError(path, expected: "a folder with config.json, or a .gguf file", found: "another file")
      }
      (configuration, weights, tokenizer) = (nil, [path], [])
      return
    }
    let folder = path.hasSuffix("/") ? String(path.dropLast()) : path
    let configuration = "\(folder)/config.json"
    guard ModelFiles.isFile(configuration) else {
      let ggufs = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).filter {
        $0.hasSuffix(".gguf")
      }
      throw InputError(
        path, expected: "config.json in the folder", found: "none",
        remedy: ggufs.isEmpty ? "" : "name a GGUF file itself: \(ggufs.sorted()[0])")
    }
    self.configuration = configuration
    weights = try ModelFiles.weightFiles(folder)
    tokenizer = ["tokenizer.json", "tokenizer_config.json"].map { "\(folder)/\($0)" }.filter(ModelFiles.isFile)
  }

  /// Bytes of all weight files.
  package var weightBytes: Int {
    weights.reduce(0) { total, file in
      let size = try? FileManager.default.attributesOfItem(atPath: file)[.size] as? Int
      return total + (size ?? 0)
    }
  }

  private static func isFile(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && !isFolder.boolValue
  }

  private static func weightFiles(_ folder: String) throws(InputError) -> [String] {
    let single = "\(folder)/model.safetensors"
    let index = "\(folder)/model.safetensors.index.json"
    guard isFile(index) else {
      guard isFile(single) else {
        throw InputError(
          folder, expected: "model.safetensors or model.safetensors.index.json", found: "neither",
          remedy: "weights in other formats must be converted to safetensors")
      }
      return [single]
    }
    guard let map = try Configuration.json(path: index).object("weight_map") else {
      throw InputError("\(index): weight_map", expected: "an object from tensor names to files", found: "no such key")
    }
    var shards: Set<String> = []
    for (tensor, value) in map.values {
      guard case .text(let file) = value, file.hasSuffix(".safetensors"), !file.contains("/"), !file.contains("\0")
      else {
        throw map.wrong(tensor, expected: "the name of a .safetensors file in the same folder")
      }
      shards.insert(file)
    }
    guard !shards.isEmpty else { throw InputError("\(index): weight_map", expected: "files", found: "none") }
    let paths = shards.sorted().map { "\(folder)/\($0)" }
    if let missing = paths.first(where: { !isFile($0) }) {
      throw InputError(
        missing, expected: "a file that \(index) names", found: "none", remedy: "the download is incomplete")
    }
    return paths
  }
}
