internal import Diagnostics
internal import Foundation

/// The folders that an export writes into.
enum ExportFolder {
  /// Makes a folder and those above it, where they are missing.
  static func make(_ path: String) throws(InputError) {
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
