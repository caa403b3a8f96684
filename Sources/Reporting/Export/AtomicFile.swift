internal import Diagnostics
internal import Foundation

/// Files that are complete or not there.
enum AtomicFile {
  /// Writes to a temporary file beside the target and renames it. Throws `InputError` that names the path.
  static func write(_ bytes: [UInt8], to path: String) throws(InputError) {
    do {
      try Data(bytes).write(to: URL(fileURLWithPath: path), options: .atomic)
    } catch {
      throw InputError(
        path, expected: "a file that can be written", found: reason(error),
        remedy: "check that its folder exists, may be written and has room")
    }
  }

  /// Makes a folder and those above it, where they are missing.
  static func makeFolder(_ path: String) throws(InputError) {
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw InputError(
        path, expected: "a folder that can be made", found: reason(error), remedy: "name another, or free the path")
    }
  }

  private static func reason(_ error: any Error) -> String {
    let error = error as NSError
    let cause = error.userInfo[NSUnderlyingErrorKey] as? NSError
    let code = cause?.domain == NSPOSIXErrorDomain ? cause?.code : error.domain == NSPOSIXErrorDomain ? error.code : nil
    guard let code else { return error.localizedDescription }
    return String(cString: strerror(Int32(truncatingIfNeeded: code)))
  }
}
