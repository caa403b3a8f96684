package import Diagnostics

/// A file or folder of named tensors, whatever its format.
package protocol TensorCollection: Sendable {
  /// What errors call it: the path.
  var name: String { get }
  /// All names, in the order of the file.
  var tensorNames: [String] { get }
  /// The tensor of that name; an `InputError` where there is none says what there is.
  func tensor(named name: String) throws(InputError) -> TensorView
  /// Whether there is a tensor of that name.
  func contains(_ name: String) -> Bool
}

extension TensorCollection {
  /// The error for a name that is not there; lists up to 12 of those that are.
  func missing(_ wanted: String) -> InputError {
    InputError("\(name): tensor \"\(wanted)\"", expected: "a tensor of this name", found: listedNames)
  }

  /// The names as errors print them.
  var listedNames: String {
    let limit = 12
    guard !tensorNames.isEmpty else { return "no tensors" }
    let shown = tensorNames.prefix(limit).map { "\"\($0)\"" }.joined(separator: ", ")
    return tensorNames.count > limit ? "\(shown) and \(tensorNames.count - limit) more" : shown
  }
}
