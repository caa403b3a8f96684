package import Diagnostics
internal import Foundation

/// The safetensors files of a folder as one collection: `model.safetensors`, or the shards that
/// `model.safetensors.index.json` lists, or else all `*.safetensors`.
package struct SafetensorsDirectory: TensorCollection {
  package let name: String
  /// The names, file by file in the order of the files' names.
  package let tensorNames: [String]
  /// The files, sorted by name.
  package let files: [SafetensorsFile]
  private let fileOfTensor: [String: Int]

  /// Maps and checks the files in the folder at `path`.
  package init(path: String) throws(InputError) {
    name = path
    let single = path + "/model.safetensors"
    let index = single + ".index.json"
    var listed: [String: String]?
    let paths: [String]
    if FileManager.default.fileExists(atPath: single) {
      paths = [single]
    } else if FileManager.default.fileExists(atPath: index) {
      let map = try Self.weightMap(index)
      listed = map
      paths = Set(map.values).sorted().map { "\(path)/\($0)" }
    } else {
      paths = try Self.safetensorsFiles(in: path)
    }
    var files: [SafetensorsFile] = []
    for path in paths { files.append(try SafetensorsFile(path: path)) }
    self.files = files
    (tensorNames, fileOfTensor) = try Self.merge(files)
    for (tensor, shard) in (listed ?? [:]).sorted(by: { $0.key < $1.key }) {
      let file = fileOfTensor[tensor].map { files[$0].name }
      guard file == "\(path)/\(shard)" else {
        throw InputError(
          "\(index): \"\(tensor)\"", expected: "a tensor of \(shard)", found: file ?? "none of that name")
      }
    }
  }

  package func contains(_ name: String) -> Bool { fileOfTensor[name] != nil }

  package func tensor(named name: String) throws(InputError) -> TensorView {
    guard let file = fileOfTensor[name] else { throw missing(name) }
    return try files[file].tensor(named: name)
  }

  private static func merge(_ files: [SafetensorsFile]) throws(InputError) -> ([String], [String: Int]) {
    var names: [String] = []
    var places: [String: Int] = [:]
    for (index, file) in files.enumerated() {
      for name in file.tensorNames {
        if let other = places.updateValue(index, forKey: name) {
          throw InputError(
            "\(file.name): tensor \"\(name)\"", expected: "a name of its own", found: "the same in \(files[other].name)"
          )
        }
        names.append(name)
      }
    }
    return (names, places)
  }

  private static func weightMap(_ path: String) throws(InputError) -> [String: String] {
    let source = try ByteSource(path: path)
    var scanner = JSONScanner(source.copy(0..<source.count), subject: path)
    var map: [String: String]?
    try scanner.object { scanner, key throws(InputError) in
      guard key == "weight_map" else { return try scanner.skipValue() }
      var weights: [String: String] = [:]
      try scanner.object { scanner, tensor throws(InputError) in
        let shard = try scanner.string()
        // A shard lies beside its index; a path could lead anywhere.
        guard !shard.contains("/"), !shard.utf8.contains(0), shard.hasSuffix(".safetensors") else {
          throw InputError(
            "\(path): \"\(tensor)\"", expected: "the name of a .safetensors file beside it", found: shard)
        }
        weights[tensor] = shard
      }
      map = weights
    }
    try scanner.end()
    guard let map, !map.isEmpty else {
      throw InputError(path, expected: "a weight_map that lists tensors", found: "none")
    }
    return map
  }

  private static func safetensorsFiles(in path: String) throws(InputError) -> [String] {
    let entries: [String]
    do {
      entries = try FileManager.default.contentsOfDirectory(atPath: path)
    } catch {
      throw InputError(path, expected: "a readable folder", found: "none, or no permission")
    }
    let files = entries.filter { $0.hasSuffix(".safetensors") }.sorted()
    guard !files.isEmpty else { throw InputError(path, expected: "safetensors files", found: "none in the folder") }
    return files.map { "\(path)/\($0)" }
  }
}
