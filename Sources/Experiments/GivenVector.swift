package import Diagnostics
internal import TensorFiles

/// A steering vector in a file that a user gave instead of contrast pairs.
package enum GivenVector {
  /// The vector for a layer: `layer.L`, `original.L` or `direction.L`, a row L of a tensor [layers, d], or the only vector there is.
  ///
  /// - Throws: `InputError` that lists what the file has.
  package static func read(_ bytes: [UInt8], name: String, layer: Int) throws(InputError) -> [Float] {
    let file = try TensorLocator.open(ByteSource(bytes, name: name))
    for candidate in ["layer.\(layer)", "original.\(layer)", "direction.\(layer)"] where file.contains(candidate) {
      return try file.tensor(named: candidate).floats(requireFinite: true)
    }
    guard file.tensorNames.count == 1, let only = file.tensorNames.first else {
      throw InputError(
        name, expected: "a vector layer.\(layer)", found: file.tensorNames.prefix(12).joined(separator: ", "))
    }
    let tensor = try file.tensor(named: only)
    switch tensor.shape.count {
    case 1: return try tensor.floats(requireFinite: true)
    case 2 where tensor.shape[0] == 1: return try tensor.floats(requireFinite: true)
    case 2 where layer < tensor.shape[0]: return try tensor.floats(rows: layer..<layer + 1, requireFinite: true)
    default:
      throw InputError(tensor.subject, expected: "a vector for layer \(layer)", found: "shape \(tensor.shape)")
    }
  }
}
