internal import Diagnostics
internal import Foundation
internal import Kernels
internal import TensorFiles

/// Reading the files that flags name.
enum Inputs {
  /// A small file's bytes.
  static func bytes(_ path: String) throws(InputError) -> [UInt8] {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), !isDirectory.boolValue,
      let data = FileManager.default.contents(atPath: path)
    else { throw InputError(path, expected: "a readable file", found: isDirectory.boolValue ? "a directory" : "none") }
    return [UInt8](data)
  }

  /// A matrix [n, d] from `PATH:NAME`.
  static func matrix(_ locator: TensorLocator, width: Int?) throws(InputError) -> Matrix {
    let read = try locator.matrix(width: width)
    return Matrix(rows: read.rows, columns: read.columns, elements: read.values)
  }
}
