package import Diagnostics
internal import Kernels

/// One tensor of a file: its name, element type and shape, and its bytes where they are.
///
/// Row-major: the last dimension is contiguous. The element count and the byte range were checked against each other
/// and against the file when the view was made.
package struct TensorView: Sendable {
  /// The name in the file; empty for an `.npy` file, which holds one nameless array.
  package let name: String
  /// How the elements are encoded.
  package let type: ElementType
  /// Dimensions, outermost first; empty for a scalar.
  package let shape: [Int]
  /// Where the elements are in `source`.
  package let byteRange: Range<Int>
  /// The file or array that holds them.
  package let source: ByteSource

  /// Number of elements.
  package var elementCount: Int { byteRange.count / type.bytesPerUnit * type.elementsPerUnit }

  /// What errors call it: `model.safetensors: tensor "lm_head.weight"`.
  package var subject: String { name.isEmpty ? source.name : "\(source.name): tensor \"\(name)\"" }

  /// The shape as errors print it: `[576, 2048]`.
  package var shapeDescription: String { "[" + shape.map(String.init).joined(separator: ", ") + "]" }

  /// The length of the first dimension; 1 for a scalar.
  package var rowCount: Int { shape.first ?? 1 }

  /// Elements of one index of the first dimension.
  package var elementsPerRow: Int { rowCount == 0 ? 0 : elementCount / rowCount }

  /// Gives the stored bytes to `body`, without copying.
  package func withBytes<Result, Failure: Error>(
    _ body: (RawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try source.withBytes(byteRange, body)
  }

  /// Gives the stored bytes of the rows (indices of the first dimension) to `body`, without copying.
  /// - Precondition: `rows` lies within `0..<rowCount`; rows of block types hold whole blocks.
  package func withBytes<Result, Failure: Error>(
    rows: Range<Int>, _ body: (RawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try source.withBytes(bytes(of: rows), body)
  }

  /// All elements as `Float`, row-major; float64 is rounded, blocks are dequantised.
  ///
  /// - Parameter requireFinite: refuse infinities and NaN, naming the index of the first.
  /// - Throws: `InputError` for integer and boolean tensors.
  package func floats(requireFinite: Bool = false) throws(InputError) -> [Float] {
    try floats(inBytes: byteRange, firstElement: 0, requireFinite: requireFinite)
  }

  /// The elements of some indices of the first dimension, as `floats(requireFinite:)` gives all.
  /// - Precondition: `rows` lies within `0..<rowCount`.
  package func floats(rows: Range<Int>, requireFinite: Bool = false) throws(InputError) -> [Float] {
    let first = rows.lowerBound * elementsPerRow
    return try floats(inBytes: bytes(of: rows), firstElement: first, requireFinite: requireFinite)
  }

  /// Converts the elements of some indices of the first dimension into memory that the caller has.
  /// - Precondition: `rows` lies within `0..<rowCount`, and `result` has room for exactly their elements.
  package func copyFloats(rows: Range<Int>, into result: inout MutableSpan<Float>) throws(InputError) {
    precondition(result.count == rows.count * elementsPerRow, "room for exactly the rows is needed")
    let range = bytes(of: rows)
    switch type {
    case .float(let format):
      source.withBytes(range) { convert($0, from: format, into: &result) }
    case .blocks(let format):
      source.withBytes(range) { dequantise($0, from: format, into: &result) }
    case .integer, .boolean: throw notFloatingPoint
    }
  }

  /// All elements of an integer or boolean tensor.
  /// - Throws: `InputError` for other types and for values above `Int.max`.
  package func integers() throws(InputError) -> [Int] {
    let format: IntegerFormat
    switch type {
    case .integer(let stored): format = stored
    case .boolean: format = .uint8
    case .float, .blocks: throw InputError(subject, expected: "integers", found: type.name)
    }
    guard let values = withBytes({ widened($0, from: format) }) else {
      throw InputError(subject, expected: "integers up to \(Int.max)", found: "a larger one")
    }
    return values
  }

  /// Refuses any other shape; nil stands for any length. The error says what each dimension means.
  ///
  /// - Parameters:
  ///   - expected: the lengths, outermost first.
  ///   - meaning: the shape in words, such as `[d_in, d_sae]`.
  package func require(shape expected: [Int?], meaning: String = "") throws(InputError) {
    let fits = expected.count == shape.count && zip(expected, shape).allSatisfy { $0 == nil || $0 == $1 }
    guard !fits else { return }
    let lengths = "[" + expected.map { $0.map(String.init) ?? "any" }.joined(separator: ", ") + "]"
    let words = meaning.isEmpty ? "shape \(lengths)" : "shape \(meaning) = \(lengths)"
    throw InputError(subject, expected: words, found: shapeDescription)
  }

  private var notFloatingPoint: InputError {
    InputError(
      subject, expected: "floating-point numbers", found: type.name, remedy: "convert the tensor to float32")
  }

  private func bytes(of rows: Range<Int>) -> Range<Int> {
    precondition(rows.lowerBound >= 0 && rows.upperBound <= rowCount, "rows outside the tensor")
    let perRow = rowCount == 0 ? 0 : byteRange.count / rowCount
    precondition(elementsPerRow.isMultiple(of: type.elementsPerUnit), "a row of blocks is needed")
    let first = byteRange.lowerBound + rows.lowerBound * perRow
    return first..<(first + rows.count * perRow)
  }

  private func floats(
    inBytes range: Range<Int>, firstElement: Int, requireFinite: Bool
  ) throws(InputError) -> [Float] {
    let values = try floats(inBytes: range)
    if requireFinite, let index = firstNonFinite(values.span) {
      throw InputError(
        subject, expected: "finite numbers", found: "\(values[index]) at element \(firstElement + index)")
    }
    return values
  }

  private func floats(inBytes range: Range<Int>) throws(InputError) -> [Float] {
    switch type {
    case .float(let format): return source.withBytes(range) { converted($0, from: format) }
    case .blocks(let format): return source.withBytes(range) { dequantised($0, from: format) }
    case .integer, .boolean: throw notFloatingPoint
    }
  }
}
