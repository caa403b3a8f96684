internal import Diagnostics
internal import Kernels
internal import SweepRecords
internal import TensorFiles

/// Reading and writing the tensors that travel between tasks: safetensors, as artifacts.
extension TaskRun {
  /// An artifact as a file of tensors.
  func tensors(_ reference: InputReference) throws -> SafetensorsFile {
    let name =
      switch reference {
      case .file(let digest), .artifact(let digest): digest.short
      case .output(let task, let name): "\(name) of task \(task.short)"
      }
    return try SafetensorsFile(bytes: try bytes(reference), name: name)
  }

  /// A tensor [rows, columns] as a matrix.
  func matrix(_ name: String, in file: SafetensorsFile) throws -> Matrix {
    let tensor = try file.tensor(named: name)
    guard tensor.shape.count == 2 else {
      throw InputError(tensor.subject, expected: "a matrix", found: tensor.shapeDescription)
    }
    return Matrix(rows: tensor.shape[0], columns: tensor.shape[1], elements: try tensor.floats(requireFinite: true))
  }

  /// The rows of a tensor in several slices, one below the other, in order.
  func stacked(_ name: String, slices: [InputReference]) throws -> Matrix {
    var all: Matrix?
    for slice in slices {
      let rows = try matrix(name, in: try tensors(slice))
      if all == nil { all = rows } else { all?.append(rows: rows) }
    }
    guard let all, all.rows > 0 else { throw TaskFault(.task, "no activations under \(name)") }
    return all
  }

  /// A vector [d].
  func vector(_ name: String, in reference: InputReference) throws -> [Float] {
    try tensors(reference).tensor(named: name).floats(requireFinite: true)
  }
}

extension SafetensorsWriter {
  /// Adds a matrix under a name.
  mutating func add(_ name: String, _ matrix: Matrix) throws(InputError) {
    try add(name, shape: [matrix.rows, matrix.columns], floats: matrix.elements)
  }

  /// Adds a vector under a name.
  mutating func add(_ name: String, _ vector: [Float]) throws(InputError) {
    try add(name, shape: [vector.count], floats: vector)
  }

  /// Adds float64 values under a name.
  mutating func add(_ name: String, shape: [Int], doubles: [Double]) throws(InputError) {
    let bytes = doubles.flatMap { value in (0..<8).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * $0)) } }
    try add(name, type: .float(.float64), shape: shape, bytes: bytes)
  }
}

extension TensorView {
  /// All elements of a float64 tensor, as they are.
  func doubles() throws(InputError) -> [Double] {
    guard type == .float(.float64) else { throw InputError(subject, expected: "F64", found: type.name) }
    return withBytes { bytes in
      (0..<bytes.byteCount / 8).map {
        Double(bitPattern: UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: 8 * $0, as: UInt64.self)))
      }
    }
  }
}
