internal import CProcessor

// Vectors. Sums run in 16 virtual lanes: element i goes to lane i % 16 by a fused multiply-add, in ascending order; then
// 8 + 8, 4 + 4, 2 + 2, 1 + 1. All functions are linear in the length.

@inline(__always) private func load8(_ address: UnsafeRawPointer) -> SIMD8<Float> {
  address.loadUnaligned(as: SIMD8<Float>.self)
}

/// The 16-lane product of two vectors in memory.
func dot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int) -> Float {
  var low = SIMD8<Float>(repeating: 0)
  var high = low
  let (x, y) = (UnsafeRawPointer(a), UnsafeRawPointer(b))
  var i = 0
  while i &+ 16 <= count {
    low = processor_fma8(load8(x + i &* 4), load8(y + i &* 4), low)
    high = processor_fma8(load8(x + i &* 4 + 32), load8(y + i &* 4 + 32), high)
    i &+= 16
  }
  while i < count {
    let lane = i & 7
    if i & 8 == 0 {
      low[lane] = low[lane].addingProduct(a[i], b[i])
    } else {
      high[lane] = high[lane].addingProduct(a[i], b[i])
    }
    i &+= 1
  }
  let eight = low + high
  let four = eight.lowHalf + eight.highHalf
  let two = four.lowHalf + four.highHalf
  return two[0] + two[1]
}

func dotInDouble(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int) -> Double {
  var low = SIMD8<Double>(repeating: 0)
  var high = low
  let (x, y) = (UnsafeRawPointer(a), UnsafeRawPointer(b))
  var i = 0
  while i &+ 16 <= count {
    low = processor_fma_double8(processor_widen8(load8(x + i &* 4)), processor_widen8(load8(y + i &* 4)), low)
    high = processor_fma_double8(
      processor_widen8(load8(x + i &* 4 + 32)), processor_widen8(load8(y + i &* 4 + 32)), high)
    i &+= 16
  }
  while i < count {
    let lane = i & 7
    let (x, y) = (Double(a[i]), Double(b[i]))
    if i & 8 == 0 { low[lane] = low[lane].addingProduct(x, y) } else { high[lane] = high[lane].addingProduct(x, y) }
    i &+= 1
  }
  let eight = low + high
  let four = eight.lowHalf + eight.highHalf
  let two = four.lowHalf + four.highHalf
  return two[0] + two[1]
}

/// `y = fma(scale, x, y)`.
func addScaled(_ scale: Float, _ x: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>, _ count: Int) {
  let scales = SIMD8<Float>(repeating: scale)
  let (from, into) = (UnsafeRawPointer(x), UnsafeMutableRawPointer(y))
  var i = 0
  while i &+ 8 <= count {
    let value = processor_fma8(scales, load8(from + i &* 4), load8(into + i &* 4))
    (into + i &* 4).storeBytes(of: value, as: SIMD8<Float>.self)
    i &+= 8
  }
  while i < count {
    y[i] = y[i].addingProduct(scale, x[i])
    i &+= 1
  }
}

/// The product of two vectors of equal length, in 16 float lanes.
package func dot(_ a: Span<Float>, _ b: Span<Float>) -> Float {
  precondition(a.count == b.count, "vectors must be of one length")
  return a.withUnsafeBufferPointer { x in
    b.withUnsafeBufferPointer { y in
      guard let x = x.baseAddress, let y = y.baseAddress else { return 0 }
      return dot(x, y, a.count)
    }
  }
}

package func dot(_ a: [Float], _ b: [Float]) -> Float { dot(a.span, b.span) }

/// Euclidean length: the square root of `dot(a, a)`.
package func norm(_ a: Span<Float>) -> Float { dot(a, a).squareRoot() }

package func norm(_ a: [Float]) -> Float { dot(a, a).squareRoot() }

/// The product in 16 lanes of double: each term is exact, for statistics and metrics.
package func dotInDouble(_ a: Span<Float>, _ b: Span<Float>) -> Double {
  precondition(a.count == b.count, "vectors must be of one length")
  return a.withUnsafeBufferPointer { x in
    b.withUnsafeBufferPointer { y in
      guard let x = x.baseAddress, let y = y.baseAddress else { return 0 }
      return dotInDouble(x, y, a.count)
    }
  }
}

package func dotInDouble(_ a: [Float], _ b: [Float]) -> Double { dotInDouble(a.span, b.span) }

/// `y += scale * x`, each element one fused multiply-add.
package func add(_ scale: Float, _ x: [Float], to y: inout [Float]) {
  precondition(x.count == y.count, "vectors must be of one length")
  x.withUnsafeBufferPointer { from in
    y.withUnsafeMutableBufferPointer { into in
      guard let from = from.baseAddress, let into = into.baseAddress else { return }
      addScaled(scale, from, to: into, x.count)
    }
  }
}

/// `m[row] += scale * x`, each element one fused multiply-add.
package func add(_ scale: Float, _ x: [Float], toRow row: Int, of m: inout Matrix) {
  precondition(x.count == m.columns && row >= 0 && row < m.rows, "a row keeps its length")
  let columns = m.columns
  x.withUnsafeBufferPointer { from in
    m.elements.withUnsafeMutableBufferPointer { into in
      guard let from = from.baseAddress, let into = into.baseAddress else { return }
      addScaled(scale, from, to: into + row * columns, columns)
    }
  }
}

/// `y += scale * x`, element by element (fused), over two matrices of one shape.
package func add(_ scale: Float, _ x: Matrix, to y: inout Matrix, pool: ThreadPool) {
  precondition(x.rows == y.rows && x.columns == y.columns, "matrices must be of one shape")
  let count = y.elements.count
  let chunk = 1 << 15
  x.elements.withUnsafeBufferPointer { from in
    y.elements.withUnsafeMutableBufferPointer { into in
      guard let from = from.baseAddress, let into = into.baseAddress else { return }
      pool.divide((count + chunk - 1) / chunk) { part in
        addScaled(scale, from + part * chunk, to: into + part * chunk, min(chunk, count - part * chunk))
      }
    }
  }
}

/// `y += x`, element by element.
package func add(_ x: Matrix, to y: inout Matrix, pool: ThreadPool) { add(1, x, to: &y, pool: pool) }

/// `m[i] += x` for every row i: a bias.
package func add(_ x: [Float], toRowsOf m: inout Matrix, pool: ThreadPool) { add(1, x, toRowsOf: &m, pool: pool) }

/// `m[i] += scale * x` for every row i, each element one fused multiply-add.
package func add(_ scale: Float, _ x: [Float], toRowsOf m: inout Matrix, pool: ThreadPool) {
  precondition(x.count == m.columns, "a row keeps its length")
  let (rows, columns) = (m.rows, m.columns)
  x.withUnsafeBufferPointer { from in
    m.elements.withUnsafeMutableBufferPointer { into in
      guard let from = from.baseAddress, let into = into.baseAddress else { return }
      forEachRowGroup(rows, columns, pool) { addScaled(scale, from, to: into + $0 * columns, columns) }
    }
  }
}

/// `m *= factor`, element by element.
package func scale(_ m: inout Matrix, by factor: Float, pool: ThreadPool) {
  let (rows, columns) = (m.rows, m.columns)
  m.elements.withUnsafeMutableBufferPointer { into in
    guard let into = into.baseAddress else { return }
    forEachRowGroup(rows, columns, pool) { scaleElements(into + $0 * columns, columns, by: factor) }
  }
}

/// The length of every row, `[m.rows]`: the bits of `norm`.
package func rowNorms(_ m: Matrix, pool: ThreadPool) -> [Float] {
  [Float](unsafeUninitializedCapacity: m.rows) { target, written in
    m.elements.withUnsafeBufferPointer { x in
      forEachRowGroup(m.rows, m.columns, pool) { row in
        let square = x.baseAddress.map { dot($0 + row * m.columns, $0 + row * m.columns, m.columns) } ?? 0
        target.initializeElement(at: row, to: square.squareRoot())
      }
    }
    written = m.rows
  }
}

/// The mean of every column in double, `[m.columns]`: one chain of additions over ascending rows, then one division.
package func columnMeans(_ m: Matrix) -> [Double] {
  var sums = [Double](repeating: 0, count: m.columns)
  m.elements.withUnsafeBufferPointer { x in
    sums.withUnsafeMutableBufferPointer { sums in
      for row in 0..<m.rows {
        for column in 0..<m.columns { sums[column] += Double(x[row &* m.columns &+ column]) }
      }
      for column in 0..<m.columns { sums[column] /= Double(m.rows) }
    }
  }
  return sums
}

/// Runs `body` for every row, some 32 K elements to a task, so that small matrices stay on the caller's thread.
func forEachRowGroup(_ rows: Int, _ columns: Int, _ pool: ThreadPool, _ body: (Int) -> Void) {
  let group = max(1, (1 << 15) / max(1, columns))
  pool.divide((rows + group - 1) / group) { part in
    for row in part * group..<min(rows, (part + 1) * group) { body(row) }
  }
}
