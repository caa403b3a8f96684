package import Kernels

/// How the elements of a stored tensor are encoded; always little-endian.
package enum ElementType: Sendable, Hashable {
  case float(FloatFormat)
  case integer(IntegerFormat)
  /// One byte each, zero or one.
  case boolean
  /// ggml blocks; a row (the last dimension) holds whole blocks.
  case blocks(BlockFormat)

  /// Elements that are stored together: 1, or the weights of a block.
  package var elementsPerUnit: Int {
    if case .blocks(let format) = self { format.valuesPerBlock } else { 1 }
  }

  /// Bytes that `elementsPerUnit` elements take.
  package var bytesPerUnit: Int {
    switch self {
    case .float(let format): format.byteCount
    case .integer(let format): format.byteCount
    case .boolean: 1
    case .blocks(let format): format.bytesPerBlock
    }
  }

  /// The name that safetensors and ggml use: `F32`, `I64`, `BOOL`, `Q4_K`.
  package var name: String {
    switch self {
    case .float(.float64): "F64"
    case .float(.float32): "F32"
    case .float(.float16): "F16"
    case .float(.bfloat16): "BF16"
    case .integer(.int64): "I64"
    case .integer(.int32): "I32"
    case .integer(.int16): "I16"
    case .integer(.int8): "I8"
    case .integer(.uint64): "U64"
    case .integer(.uint32): "U32"
    case .integer(.uint16): "U16"
    case .integer(.uint8): "U8"
    case .boolean: "BOOL"
    case .blocks(let format): format.rawValue
    }
  }

  /// The element types that safetensors files hold, by their names there.
  static let safetensors: [String: ElementType] = {
    let floats = FloatFormat.allCases.map(ElementType.float)
    let integers = IntegerFormat.allCases.map(ElementType.integer)
    return Dictionary(uniqueKeysWithValues: (floats + integers + [.boolean]).map { ($0.name, $0) })
  }()

  /// Elements of a tensor of this shape; nil where the number is not representable.
  static func elementCount(_ shape: [Int]) -> Int? {
    // A zero dimension makes the product 0 whatever the others are; the others must not overflow before it is met.
    if shape.contains(0) { return shape.allSatisfy { $0 >= 0 } ? 0 : nil }
    var count = 1
    for dimension in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
      guard dimension > 0, !overflow else { return nil }
      count = product
    }
    return count
  }

  /// Bytes of a tensor of this shape; nil where the number is not representable or a row holds no whole blocks.
  func byteCount(_ shape: [Int]) -> Int? {
    guard let count = Self.elementCount(shape) else { return nil }
    guard elementsPerUnit == 1 || (shape.last ?? 1).isMultiple(of: elementsPerUnit) else { return nil }
    let (bytes, overflow) = (count / elementsPerUnit).multipliedReportingOverflow(by: bytesPerUnit)
    return overflow ? nil : bytes
  }
}
