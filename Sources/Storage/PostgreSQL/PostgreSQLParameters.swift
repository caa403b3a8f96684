/// The parameters of a statement as libpq takes them: one block of bytes, pointed into while a call lasts.
struct PostgreSQLParameters {
  let types: [UInt32]
  private var bytes: [UInt8] = []
  /// Where each value begins; nil for NULL.
  private var starts: [Int?] = []
  private var lengths: [Int32] = []

  init(_ values: [PostgreSQLValue]) throws {
    types = values.map(\.type)
    for value in values {
      let start = bytes.count
      let length = try value.append(to: &bytes)
      guard let size = Int32(exactly: length ?? 0) else {
        throw StoreError(.conflict, "a value of \(length ?? 0) bytes is more than PostgreSQL takes")
      }
      starts.append(length == nil ? nil : start)
      lengths.append(size)
    }
    // Something to point at, for an empty text too.
    bytes.append(0)
  }

  /// Lends count, values, lengths and formats (all binary) for a call.
  func withPointers<T>(
    _ body: (Int32, UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int32>?, UnsafePointer<Int32>?) throws -> T
  ) rethrows -> T {
    try bytes.withUnsafeBytes { block in
      let base = block.baseAddress?.assumingMemoryBound(to: CChar.self)
      let values = starts.map { start in start.flatMap { start in base.map { $0 + start } } }
      let formats = [Int32](repeating: 1, count: starts.count)
      return try values.withUnsafeBufferPointer { values in
        try body(Int32(starts.count), values.baseAddress, lengths, formats)
      }
    }
  }
}
