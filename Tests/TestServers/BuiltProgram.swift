import Foundation

/// A program of this package, built beside the tests.
package enum BuiltProgram {
  /// Its path: beside the bundle of the tests, or beside the process that loaded it.
  package static func path(of name: String) -> String {
    let files = FileManager.default
    let starts = [Bundle.main.bundlePath] + ProcessInfo.processInfo.arguments + Bundle.allBundles.map(\.bundlePath)
    for start in starts {
      var place = URL(fileURLWithPath: start).resolvingSymlinksInPath()
      while place.path != "/" {
        let candidate = place.appendingPathComponent(name).path
        var isDirectory: ObjCBool = false
        if files.fileExists(atPath: candidate, isDirectory: &isDirectory), !isDirectory.boolValue,
          files.isExecutableFile(atPath: candidate)
        {
          return candidate
        }
        place.deleteLastPathComponent()
      }
    }
    return name
  }
}
