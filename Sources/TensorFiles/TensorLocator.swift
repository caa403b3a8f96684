package import Diagnostics

#if canImport(Darwin)
  internal import Darwin
#else
  internal import Glibc
#endif

/// `PATH[:NAME]`: a file, and what to take from it.
///
/// NAME is the name of a tensor; `NAME[3]` is row 3 of a tensor; where the file has just one tensor, `layer.3` and `3`
/// are its row 3; in a control vector `layer.3` is `direction.3`, the direction that is added to the output of block 3.
package struct TensorLocator: Sendable, Equatable, CustomStringConvertible {
  /// The file.
  package var path: String
  /// What to take from it; nil where the file has only one thing to take.
  package var name: String?

  package var description: String { name.map { "\(path):\($0)" } ?? path }

  /// A file and a name in it.
  package init(path: String, name: String? = nil) {
    self.path = path
    self.name = name
  }

  /// Splits `PATH[:NAME]` where the longest path that exists ends, so that colons may be in both.
  package init(_ text: String) throws(InputError) {
    var end = text.endIndex
    while true {
      let path = String(text[..<end])
      if exists(path) {
        let rest = text[end...].dropFirst()
        guard end == text.endIndex || !rest.isEmpty else {
          throw InputError(text, expected: "a name after the colon", found: "nothing")
        }
        self.init(path: path, name: end == text.endIndex ? nil : String(rest))
        return
      }
      guard let colon = text[..<end].lastIndex(of: ":") else { break }
      end = colon
    }
    throw InputError(text, expected: "PATH or PATH:NAME of a file that exists", found: "no such file")
  }

  /// A vector `[d]`, finite: a tensor `[d]` or `[1, d]`, or a row of a tensor `[n, d]`.
  ///
  /// - Parameter width: the `d` that is needed; nil for any.
  package func vector(width: Int? = nil) throws(InputError) -> [Float] {
    let (tensor, row) = try selected()
    let rank = tensor.shape.count
    if row != nil {
      guard rank == 2 else {
        throw InputError(tensor.subject, expected: "rows of a tensor [n, d]", found: tensor.shapeDescription)
      }
    } else {
      guard rank == 1 || (rank == 2 && tensor.shape[0] == 1) else {
        let isStack = rank == 2 && tensor.shape[0] > 0
        throw InputError(
          tensor.subject, expected: "one vector", found: "shape \(tensor.shapeDescription)",
          remedy: isStack
            ? "name a row, from \(rowExample(tensor, 0)) to \(rowExample(tensor, tensor.shape[0] - 1))" : "")
      }
    }
    try check(width: width, of: tensor)
    if let row { return try tensor.floats(rows: row..<(row + 1), requireFinite: true) }
    return try tensor.floats(requireFinite: true)
  }

  /// A matrix `[n, d]` with at least one row, finite: a tensor `[n, d]`, or one index of a tensor `[m, n, d]`.
  ///
  /// - Parameter width: the `d` that is needed; nil for any.
  package func matrix(width: Int? = nil) throws(InputError) -> (rows: Int, columns: Int, values: [Float]) {
    let (tensor, row) = try selected()
    let shape = row == nil ? tensor.shape : Array(tensor.shape.dropFirst())
    guard shape.count == 2, shape[0] > 0 else {
      throw InputError(
        tensor.subject, expected: "a matrix [n, d] with rows", found: "shape \(tensor.shapeDescription)")
    }
    try check(width: width, of: tensor)
    let values: [Float]
    if let row {
      values = try tensor.floats(rows: row..<(row + 1), requireFinite: true)
    } else {
      values = try tensor.floats(requireFinite: true)
    }
    return (shape[0], shape[1], values)
  }

  /// Opens a file of tensors by what it contains: npy, npz, GGUF, or else safetensors.
  package static func open(_ path: String) throws(InputError) -> any TensorCollection {
    try open(ByteSource(path: path))
  }

  /// Opens a file of tensors that is mapped or in memory, by what it contains.
  package static func open(_ source: ByteSource) throws(InputError) -> any TensorCollection {
    let path = source.name
    let start = source.copy(0..<min(source.count, 6))
    if start.starts(with: [0x93] + Array("NUMPY".utf8)) { return try NpyFile(source) }
    if start.starts(with: Array("PK".utf8)) { return try NpzArchive(ZipArchive(source)) }
    if start.starts(with: Array("GGUF".utf8)) { return try GGUFFile(source) }
    do throws(InputError) {
      return try SafetensorsFile(source)
    } catch {
      guard !path.hasSuffix(".safetensors") else { throw error }
      throw InputError(
        path, expected: "a .npy, .npz, .safetensors or .gguf file", found: "other content",
        remedy: "convert it to one of these")
    }
  }

  private func selected() throws(InputError) -> (tensor: TensorView, row: Int?) {
    let file = try Self.open(path)
    guard let name else {
      guard file.tensorNames.count == 1, let only = file.tensorNames.first else {
        throw InputError(
          path, expected: "a file of one tensor, or PATH:NAME", found: file.listedNames, remedy: "name one of them")
      }
      return (try file.tensor(named: only), nil)
    }
    if file.contains(name) { return (try file.tensor(named: name), nil) }
    let layer = Self.number(name.hasPrefix("layer.") ? name.dropFirst(6) : name[...])
    if let layer, name.hasPrefix("layer."), file.contains("direction.\(layer)") {
      return (try file.tensor(named: "direction.\(layer)"), nil)
    }
    var place: (tensor: String, row: Int)?
    if name.hasSuffix("]"), let bracket = name.lastIndex(of: "["),
      let row = Self.number(name[bracket...].dropFirst().dropLast()), file.contains(String(name[..<bracket]))
    {
      place = (String(name[..<bracket]), row)
    } else if let layer, file.tensorNames.count == 1 {
      place = (file.tensorNames[0], layer)
    }
    guard let place else {
      throw InputError(
        "\(path): \"\(name)\"", expected: "a tensor or row of this name",
        found: file.tensorNames == [""] ? "an .npy file, whose array has no name" : file.listedNames,
        remedy: file.tensorNames == [""] ? "name a row, such as 3 or layer.3" : "")
    }
    let tensor = try file.tensor(named: place.tensor)
    guard tensor.shape.count > 1, place.row < tensor.rowCount else {
      throw InputError(
        "\(path): \"\(name)\"", expected: "a row of the tensor", found: "shape \(tensor.shapeDescription)")
    }
    return (tensor, place.row)
  }

  private func rowExample(_ tensor: TensorView, _ row: Int) -> String {
    name.map { "\(path):\($0)[\(row)]" } ?? "\(path):\(row)"
  }

  private func check(width: Int?, of tensor: TensorView) throws(InputError) {
    let found = tensor.shape.last ?? 0
    guard found > 0, width == nil || found == width else {
      throw InputError(
        tensor.subject, expected: width.map { "vectors of \($0) numbers" } ?? "vectors that are not empty",
        found: "shape \(tensor.shapeDescription)")
    }
  }

  /// A decimal number without sign or leading zeros.
  private static func number(_ text: Substring) -> Int? {
    guard let value = Int(text), String(value) == text, value >= 0 else { return nil }
    return value
  }
}

private func exists(_ path: String) -> Bool {
  !path.isEmpty && !path.utf8.contains(0) && access(path, F_OK) == 0
}
