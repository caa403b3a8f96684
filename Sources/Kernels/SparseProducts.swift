internal import CProcessor

// Sparse rows times a matrix that lies in a file.

/// y = S B: `[m, n]` of entries times B `[n, columns]`, row-major in raw bytes of `type`.
///
/// Every output is one chain of fused multiply-adds over rising index from +0; what S does not hold is skipped.
/// - Precondition: `b` holds exactly `s.columns * columns` elements.
package func multiply(
  _ s: SparseRows, rowMajor b: RawSpan, type: ElementType, columns: Int, pool: ThreadPool
) -> Matrix {
  precondition(b.byteCount == s.columns * columns * type.bytes, "the second factor must fit the first")
  return b.withUnsafeBytes { bytes in
    Matrix(rows: s.rows, columns: columns) { output in
      guard let base = bytes.baseAddress else { return }
      s.withPointers { starts, indices, values in
        pool.divide(s.rows) { row in
          let entries = UnsafeBufferPointer(rebasing: indices[starts[row]..<starts[row + 1]])
          let weights = UnsafeBufferPointer(rebasing: values[starts[row]..<starts[row + 1]])
          addRows(base, type, columns: columns, entries, weights, into: output + row * columns)
        }
      }
    }
  }
}

extension SparseRows {
  fileprivate func withPointers<Result>(
    _ body: (UnsafeBufferPointer<Int>, UnsafeBufferPointer<Int32>, UnsafeBufferPointer<Float>) -> Result
  ) -> Result {
    rowStarts.withUnsafeBufferPointer { starts in
      indices.withUnsafeBufferPointer { indices in
        values.withUnsafeBufferPointer { values in body(starts, indices, values) }
      }
    }
  }
}

private func addRows(
  _ b: UnsafeRawPointer, _ type: ElementType, columns: Int, _ indices: UnsafeBufferPointer<Int32>,
  _ weights: UnsafeBufferPointer<Float>, into output: UnsafeMutablePointer<Float>
) {
  switch type {
  case .float32:
    addRows(b, stride: 4, columns, indices, weights, output, { $0.loadUnaligned(as: Float.self) }) {
      $0.loadUnaligned(as: SIMD8<Float>.self)
    }
  case .float16:
    addRows(b, stride: 2, columns, indices, weights, output, { Float($0.loadUnaligned(as: Float16.self)) }) {
      processor_load_half8($0)
    }
  case .bfloat16:
    addRows(
      b, stride: 2, columns, indices, weights, output,
      { Float(bitPattern: UInt32($0.loadUnaligned(as: UInt16.self)) << 16) }
    ) {
      processor_load_bfloat8($0)
    }
  }
}

/// output = sum of weights[i] * row indices[i]: strips of 48 columns stay in registers while the rows pass by.
@inline(__always) private func addRows(
  _ b: UnsafeRawPointer, stride: Int, _ columns: Int, _ indices: UnsafeBufferPointer<Int32>,
  _ weights: UnsafeBufferPointer<Float>, _ output: UnsafeMutablePointer<Float>,
  _ load: (UnsafeRawPointer) -> Float, _ load8: (UnsafeRawPointer) -> SIMD8<Float>
) {
  let rowBytes = columns &* stride
  let count = indices.count
  let target = UnsafeMutableRawPointer(output)
  var column = 0
  while column &+ 48 <= columns {
    var (s0, s1, s2) = (SIMD8<Float>.zero, SIMD8<Float>.zero, SIMD8<Float>.zero)
    var (s3, s4, s5) = (SIMD8<Float>.zero, SIMD8<Float>.zero, SIMD8<Float>.zero)
    let start = b + column &* stride
    for entry in 0..<count {
      let row = start + Int(indices[entry]) &* rowBytes
      let weight = SIMD8<Float>(repeating: weights[entry])
      s0.addProduct(weight, load8(row))
      s1.addProduct(weight, load8(row + 8 &* stride))
      s2.addProduct(weight, load8(row + 16 &* stride))
      s3.addProduct(weight, load8(row + 24 &* stride))
      s4.addProduct(weight, load8(row + 32 &* stride))
      s5.addProduct(weight, load8(row + 40 &* stride))
    }
    let at = column &* 4
    target.storeBytes(of: s0, toByteOffset: at, as: SIMD8<Float>.self)
    target.storeBytes(of: s1, toByteOffset: at &+ 32, as: SIMD8<Float>.self)
    target.storeBytes(of: s2, toByteOffset: at &+ 64, as: SIMD8<Float>.self)
    target.storeBytes(of: s3, toByteOffset: at &+ 96, as: SIMD8<Float>.self)
    target.storeBytes(of: s4, toByteOffset: at &+ 128, as: SIMD8<Float>.self)
    target.storeBytes(of: s5, toByteOffset: at &+ 160, as: SIMD8<Float>.self)
    column &+= 48
  }
  while column &+ 8 <= columns {
    var sum = SIMD8<Float>.zero
    for entry in 0..<count {
      let row = b + (Int(indices[entry]) &* rowBytes &+ column &* stride)
      sum.addProduct(SIMD8<Float>(repeating: weights[entry]), load8(row))
    }
    target.storeBytes(of: sum, toByteOffset: column &* 4, as: SIMD8<Float>.self)
    column &+= 8
  }
  while column < columns {
    var sum: Float = 0
    for entry in 0..<count {
      sum.addProduct(weights[entry], load(b + (Int(indices[entry]) &* rowBytes &+ column &* stride)))
    }
    output[column] = sum
    column &+= 1
  }
}
