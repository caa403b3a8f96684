internal import Diagnostics
internal import Experiments
internal import Foundation
internal import Kernels
internal import LanguageModels
internal import Steering
internal import TensorFiles

/// Reading the files that flags name.
enum Inputs {
  /// A small file's bytes.
  static func bytes(_ path: String) throws(InputError) -> [UInt8] {
    var isDirectory: ObjCBool = false
    let exists = FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
    guard exists, !isDirectory.boolValue else {
      throw InputError(
        path.isEmpty ? "file" : path, expected: "a readable file",
        found: isDirectory.boolValue ? "a directory" : path.isEmpty ? "an empty name" : "no such file")
    }
    guard let data = FileManager.default.contents(atPath: path) else {
      throw InputError(
        path, expected: "a readable file", found: "one that can't be read", remedy: "check its permissions")
    }
    return [UInt8](data)
  }

  /// The first `limit` pairs of a contrast set (all where that is nil) as tokens, each short enough for the model.
  static func pairs(
    _ path: String, limit: Int?, for prompted: PromptedModel
  ) throws(InputError) -> (set: ContrastSet, pairs: [TokenizedPair]) {
    let set = try ContrastSet(json: try bytes(path), name: path)
    let count = min(set.pairs.count, try Lists.count(limit ?? .max, flag: "--limit"))
    let pairs = try set.tokenized(0..<count, template: prompted.template, tokenizer: prompted.tokenizer)
    try check(pairs, of: path, context: prompted.model.architecture.contextLength)
    return (set, pairs)
  }

  /// Throws for the first pair that is longer than a model's context.
  static func check(_ pairs: [TokenizedPair], of path: String, context: Int) throws(InputError) {
    for (index, pair) in pairs.enumerated() {
      let tokens = pair.prompt.count + max(pair.positive.count, pair.negative.count)
      guard tokens <= context else {
        throw InputError(
          "\(path): item \(index)", expected: "at most \(context) tokens, the model's context", found: "\(tokens)",
          remedy: "shorten the text")
      }
    }
  }

  /// A matrix [n, d] from `PATH:NAME`.
  static func matrix(_ locator: TensorLocator, width: Int?) throws(InputError) -> Matrix {
    let read = try locator.matrix(width: width)
    return Matrix(rows: read.rows, columns: read.columns, elements: read.values)
  }
}

/// Places that flags name for results, looked at before the work begins.
enum Outputs {
  /// Throws where no file can be written at `path`.
  static func check(file path: String, flag: String = "--output") throws(InputError) {
    guard !path.isEmpty else { throw InputError(flag, expected: "a file to write", found: "an empty name") }
    guard !isDirectory(path) else {
      throw InputError("\(flag) \(path)", expected: "a file to write", found: "a directory")
    }
    try check(folder: folder(of: path), subject: "\(flag) \(path)")
  }

  /// Throws where no directory can be made or filled at `path`.
  static func check(directory path: String, flag: String = "--output") throws(InputError) {
    guard !path.isEmpty else { throw InputError(flag, expected: "a directory to write", found: "an empty name") }
    let subject = "\(flag) \(path)"
    var place = path
    while !FileManager.default.fileExists(atPath: place), !place.isEmpty, place != "/" {
      place = folder(of: place)
    }
    guard place.isEmpty || isDirectory(place) else {
      throw InputError(subject, expected: "a directory to write", found: "a file at \(place)", remedy: "name another")
    }
    try check(folder: place, subject: subject)
  }

  private static func check(folder: String, subject: String) throws(InputError) {
    let folder = folder.isEmpty ? "." : folder
    guard isDirectory(folder) else {
      throw InputError(
        subject, expected: "a folder \(folder) to write in", found: "none", remedy: "make it, or name another")
    }
    guard access(folder, W_OK) == 0 else {
      throw InputError(
        subject, expected: "a folder that may be written", found: "\(folder): \(String(cString: strerror(errno)))",
        remedy: "name another")
    }
  }

  /// What stands before the last slash: "" for a name alone. (Foundation's own crashes on names of one letter.)
  private static func folder(of path: String) -> String {
    let trimmed = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    guard let slash = trimmed.lastIndex(of: "/") else { return "" }
    return slash == trimmed.startIndex ? "/" : String(trimmed[..<slash])
  }

  private static func isDirectory(_ path: String) -> Bool {
    var isDirectory: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) && isDirectory.boolValue
  }
}
