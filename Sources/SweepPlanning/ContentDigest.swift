package import Diagnostics
internal import Foundation
package import SweepRecords

/// Digests of what lies on disk: of a file its bytes, of a directory the names and bytes of the files that readers look at.
package enum ContentDigest {
  /// The endings that belong to a model's or an SAE's directory; a README beside them changes nothing.
  static let endings = ["json", "safetensors", "npz", "npy", "gguf", "model", "txt", "jinja"]

  /// The digest of a file or directory. Reads everything once, in pieces of 8 MiB.
  ///
  /// - Throws: `InputError` for what can't be read.
  package static func of(path: String) throws(InputError) -> Digest {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
      throw InputError(path, expected: "a file or directory", found: "nothing there")
    }
    guard isDirectory.boolValue else { return try file(path) }
    let names = ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
    var lines = "steerscope directory\n"
    for name in names where !name.hasPrefix(".") && endings.contains(where: { name.hasSuffix("." + $0) }) {
      lines += "\(name)\n\(try file(path + "/" + name))\n"
    }
    return Digest(of: lines)
  }

  private static func file(_ path: String) throws(InputError) -> Digest {
    guard let handle = FileHandle(forReadingAtPath: path) else {
      throw InputError(path, expected: "a readable file", found: "one that can't be opened", remedy: "check its rights")
    }
    defer { try? handle.close() }
    var builder = DigestBuilder()
    do {
      while let piece = try handle.read(upToCount: 8 << 20), !piece.isEmpty { builder.update(piece.bytes) }
    } catch {
      throw InputError(path, expected: "a readable file", found: error.localizedDescription)
    }
    return builder.finish()
  }
}
