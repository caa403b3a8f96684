// The matrix products of the package. Every output element is one chain of fused multiply-adds over ascending k from +0; see
// `Product`. Accuracy: each element is within k * 2^-24 * sum |a_k b_k| of the exact sum (to first order). Cost: m k n
// multiply-adds; memory beside the result: a packed copy of the left factor, and per thread at most 0.8 MB of the right one and
// 4 MB of sums.

/// `y = x W^T`: x `[m, inputs]` to `[m, outputs]`. Shapes must agree.
package func multiply(_ x: Matrix, _ weights: PackedMatrix, pool: ThreadPool) -> Matrix {
  Matrix(rows: x.rows, columns: weights.outputs) { c in multiply(x, weights, c, pool) }
}

/// `y = x W^T` into a matrix of the right shape, `[m, outputs]`, whose old contents do not matter.
package func multiply(_ x: Matrix, _ weights: PackedMatrix, into y: inout Matrix, pool: ThreadPool) {
  precondition(y.rows == x.rows && y.columns == weights.outputs, "the result must be [m, outputs]")
  y.elements.withUnsafeMutableBufferPointer { buffer in
    if let c = buffer.baseAddress { multiply(x, weights, c, pool) }
  }
}

private func multiply(_ x: Matrix, _ weights: PackedMatrix, _ c: UnsafeMutablePointer<Float>, _ pool: ThreadPool) {
  precondition(x.columns == weights.inputs, "x must have as many columns as the weights have inputs")
  let right = RightFactor(layout: .panels, type: weights.storage.type, base: weights.base)
  product(x, right, k: weights.inputs, n: weights.outputs, c, pool)
  withExtendedLifetime(weights) {}
}

/// `y = x W^T` for the named outputs only, in the order given, `[m, outputs.count]`: the bits of the full product.
package func multiply(_ x: Matrix, _ weights: PackedMatrix, outputs: [Int], pool: ThreadPool) -> Matrix {
  precondition(x.columns == weights.inputs, "x must have as many columns as the weights have inputs")
  var y = Matrix(rows: x.rows, columns: outputs.count)
  let (m, k) = (x.rows, weights.inputs)
  for first in stride(from: 0, to: outputs.count, by: 16) {
    let names = Array(outputs[first..<min(outputs.count, first + 16)])
    let panel = weights.gather(names)
    defer { panel.deallocate() }
    y.elements.withUnsafeMutableBufferPointer { buffer in
      x.elements.withUnsafeBufferPointer { x in
        guard let c = buffer.baseAddress, let a = x.baseAddress else { return }
        Product(
          m: m, k: k, n: names.count, left: LeftFactor(a: a, rowStride: k, stepStride: 1),
          right: RightFactor(layout: .panels, type: .float32, base: panel), c: c + first, cStride: outputs.count
        ).run(pool: pool)
      }
    }
  }
  return y
}

/// `y = x B` with B `[x.columns, columns]` row-major in raw bytes (an SAE's encoder, mapped), of any alignment.
package func multiply(
  _ x: Matrix, rowMajor b: RawSpan, type: ElementType, columns: Int, pool: ThreadPool
) -> Matrix { multiply(x, rowMajor: b, type: type, columns: columns, columnRange: 0..<columns, pool: pool) }

/// The same for a range of B's columns, `[m, columnRange.count]`; `b` is still the whole of B.
package func multiply(
  _ x: Matrix, rowMajor b: RawSpan, type: ElementType, columns: Int, columnRange: Range<Int>, pool: ThreadPool
) -> Matrix {
  requireBytes(b, rows: x.columns, columns: columns, type)
  precondition(columnRange.lowerBound >= 0 && columnRange.upperBound <= columns, "no such columns")
  return Matrix(rows: x.rows, columns: columnRange.count) { c in
    b.withUnsafeBytes { bytes in
      let base = bytes.baseAddress ?? UnsafeRawPointer(c)
      let right = RightFactor(
        layout: .rowMajor, type: type, base: base + columnRange.lowerBound * type.bytes, rowBytes: columns * type.bytes)
      product(x, right, k: x.columns, n: columnRange.count, c, pool)
    }
  }
}

/// `y = x B^T` with B `[rows, x.columns]` row-major in raw bytes (decoder rows), of any alignment: `[m, rows]`.
package func multiply(
  _ x: Matrix, transposedRowMajor b: RawSpan, type: ElementType, rows: Int, pool: ThreadPool
) -> Matrix {
  requireBytes(b, rows: rows, columns: x.columns, type)
  return Matrix(rows: x.rows, columns: rows) { c in
    b.withUnsafeBytes { bytes in
      let base = bytes.baseAddress ?? UnsafeRawPointer(c)
      let right = RightFactor(layout: .transposed, type: type, base: base, rowBytes: x.columns * type.bytes)
      product(x, right, k: x.columns, n: rows, c, pool)
    }
  }
}

/// `a b`: `[m, k]` times `[k, n]`.
package func multiply(_ a: Matrix, _ b: Matrix, pool: ThreadPool) -> Matrix {
  precondition(a.columns == b.rows, "a must have as many columns as b has rows")
  return multiply(a, rowMajor: b.elements.span.bytes, type: .float32, columns: b.columns, pool: pool)
}

/// `a b^T`: `[m, k]` times the transpose of `[n, k]`.
package func multiply(_ a: Matrix, transposed b: Matrix, pool: ThreadPool) -> Matrix {
  precondition(a.columns == b.columns, "both must have k columns")
  return multiply(a, transposedRowMajor: b.elements.span.bytes, type: .float32, rows: b.rows, pool: pool)
}

/// `a^T b`: the transpose of `[k, m]` times `[k, n]`.
package func multiplyTransposed(_ a: Matrix, _ b: Matrix, pool: ThreadPool) -> Matrix {
  precondition(a.rows == b.rows, "both must have k rows")
  return Matrix(rows: a.columns, columns: b.columns) { c in
    a.elements.withUnsafeBufferPointer { left in
      b.elements.withUnsafeBufferPointer { right in
        // With k = 0 the factors are empty and may have no address; the product still has to write its zeros.
        let empty = UnsafePointer(c)
        Product(
          m: a.columns, k: a.rows, n: b.columns,
          left: LeftFactor(a: left.baseAddress ?? empty, rowStride: 1, stepStride: a.columns),
          right: RightFactor(
            layout: .rowMajor, type: .float32, base: right.baseAddress ?? empty, rowBytes: b.columns * 4),
          c: c, cStride: b.columns
        ).run(pool: pool)
      }
    }
  }
}

private func product(
  _ x: Matrix, _ right: RightFactor, k: Int, n: Int, _ c: UnsafeMutablePointer<Float>, _ pool: ThreadPool
) {
  x.elements.withUnsafeBufferPointer { a in
    Product(
      m: x.rows, k: k, n: n, left: LeftFactor(a: a.baseAddress ?? UnsafePointer(c), rowStride: k, stepStride: 1),
      right: right, c: c, cStride: n
    ).run(pool: pool)
  }
}

private func requireBytes(_ b: borrowing RawSpan, rows: Int, columns: Int, _ type: ElementType) {
  precondition(rows >= 0 && columns >= 0, "a matrix has no negative side")
  let (elements, overflow) = rows.multipliedReportingOverflow(by: columns)
  let (bytes, overflowing) = elements.multipliedReportingOverflow(by: type.bytes)
  precondition(!overflow && !overflowing && b.byteCount == bytes, "the bytes must be rows * columns elements")
}
