/// log of the sum of e^x over a row: m + log(sum of e^(x - m)) with m the largest element; the sum in 16 lanes of double.
///
/// Minus infinity for an empty row; NaN where an element is NaN. Within 1 ulp plus 2^-22 of the exact value.
package func logSumExp(_ row: Span<Float>) -> Float {
  row.withUnsafeBufferPointer { buffer in
    guard let base = buffer.baseAddress else { return -.infinity }
    return logSumExp(base, buffer.count)
  }
}

package func logSumExp(_ row: [Float]) -> Float { logSumExp(row.span) }

func logSumExp(_ x: UnsafePointer<Float>, _ count: Int) -> Float {
  let largest = largestElement(x, count)
  let shift = largest.isFinite ? largest : 0
  return Float(Double(shift) + Elementary.log(sumOfExponentials(x, count, shift: shift)))
}

/// `logSumExp` of every row, `[m.rows]`.
package func logSumExpRows(_ m: Matrix, pool: ThreadPool) -> [Float] {
  [Float](unsafeUninitializedCapacity: m.rows) { target, written in
    m.elements.withUnsafeBufferPointer { x in
      pool.divide(m.rows) { row in
        let value = x.baseAddress.map { logSumExp($0 + row * m.columns, m.columns) } ?? -.infinity
        target.initializeElement(at: row, to: value)
      }
    }
    written = m.rows
  }
}

/// Replaces every row by its soft-max: e^(x - m) times the reciprocal of their sum (16 lanes of double), rounded to float.
package func softmaxRows(_ x: inout Matrix, pool: ThreadPool) {
  let (rows, columns) = (x.rows, x.columns)
  x.elements.withUnsafeMutableBufferPointer { buffer in
    guard let base = buffer.baseAddress else { return }
    pool.divide(rows) { row in
      let x = base + row * columns
      let shift = largestElement(x, columns)
      let sum = sumOfExponentials(x, columns, shift: shift)
      softmaxElements(x, columns, shift: shift, factor: Float(1 / sum))
    }
  }
}
