internal import Diagnostics
internal import Foundation

/// The folder that an export fills.
enum ExportFolder {
  /// Makes a folder and those above it, where they are missing.
  static func make(_ path: String) throws(InputError) {
    var isDirectory: ObjCBool = false
    let exists = FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
    if exists, isDirectory.boolValue { return }
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw InputError(
        path, expected: "a folder that can be made", found: exists ? "a file of that name" : "a place where none can be",
        remedy: "name another")
    }
  }
}
