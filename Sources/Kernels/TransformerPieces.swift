internal import CProcessor

// Row-wise pieces of a transformer block. Threads divide rows.

@inline(__always) private func load8(_ address: UnsafeRawPointer) -> SIMD8<Float> {
  address.loadUnaligned(as: SIMD8<Float>.self)
}

/// Root-mean-square normalisation: `y = (x * r) * w` with `r = 1 / sqrt(dot(x, x) / d + epsilon)`, `[rows, d]`.
///
/// - Parameter addingOneToWeight: Gemma stores w - 1.
package func rmsNorm(
  _ x: Matrix, weight: [Float], epsilon: Float, addingOneToWeight: Bool, pool: ThreadPool
) -> Matrix {
  precondition(weight.count == x.columns, "one weight a column")
  let columns = x.columns
  let factors = addingOneToWeight ? weight.map { 1 + $0 } : weight
  let rows = x.rows
  return Matrix(rows: rows, columns: columns) { target in
    x.elements.withUnsafeBufferPointer { x in
      factors.withUnsafeBufferPointer { weights in
        guard let x = x.baseAddress, let weights = weights.baseAddress else { return }
        forEachRowGroup(rows, columns, pool) { row in
          normaliseRow(x + row * columns, weights, epsilon, columns, into: target + row * columns)
        }
      }
    }
  }
}

private func normaliseRow(
  _ x: UnsafePointer<Float>, _ weights: UnsafePointer<Float>, _ epsilon: Float, _ columns: Int,
  into target: UnsafeMutablePointer<Float>
) {
  let reciprocal = 1 / (dot(x, x, columns) / Float(columns) + epsilon).squareRoot()
  let factors = SIMD8<Float>(repeating: reciprocal)
  var i = 0
  while i &+ 8 <= columns {
    let value = (load8(UnsafeRawPointer(x + i)) * factors) * load8(UnsafeRawPointer(weights + i))
    UnsafeMutableRawPointer(target + i).storeBytes(of: value, as: SIMD8<Float>.self)
    i &+= 8
  }
  while i < columns {
    target[i] = (x[i] * reciprocal) * weights[i]
    i &+= 1
  }
}

/// The non-linearity of a gated MLP.
package enum GatedActivation: Sendable, Hashable { case silu, geluTanh }

/// `gate = activation(gate) * up`, element by element, over two matrices of one shape.
package func gate(_ gate: inout Matrix, times up: Matrix, activation: GatedActivation, pool: ThreadPool) {
  precondition(gate.rows == up.rows && gate.columns == up.columns, "matrices must be of one shape")
  let (rows, columns) = (gate.rows, gate.columns)
  gate.elements.withUnsafeMutableBufferPointer { gate in
    up.elements.withUnsafeBufferPointer { up in
      guard let gate = gate.baseAddress, let up = up.baseAddress else { return }
      forEachRowGroup(rows, columns * 4, pool) { row in
        gateElements(gate + row * columns, up + row * columns, columns, activation)
      }
    }
  }
}

/// `x = cap * tanh(x / cap)`, element by element.
package func softcap(_ x: inout Matrix, cap: Float, pool: ThreadPool) {
  let (rows, columns) = (x.rows, x.columns)
  x.elements.withUnsafeMutableBufferPointer { x in
    guard let x = x.baseAddress else { return }
    forEachRowGroup(rows, columns * 4, pool) { softcapElements(x + $0 * columns, columns, cap: cap) }
  }
}

/// Cosines and sines of rotary position embedding, `[positions, dimension / 2]` each.
///
/// The angle is Float(position) * inverseFrequency rounded to float, as the reference implementations have it; its cosine and
/// sine are taken in double, multiplied by `scale` and rounded to float once.
package struct RotaryTable: Sendable {
  package let dimension: Int
  package let positions: Int
  let cosines: [Float]
  let sines: [Float]

  /// Precondition: `dimension` is even and has `dimension / 2` inverse frequencies; angles stay below 2^30.
  package init(dimension: Int, positions: Int, inverseFrequencies: [Float], scale: Float = 1) {
    precondition(
      dimension >= 0 && dimension % 2 == 0 && inverseFrequencies.count == dimension / 2, "dimension / 2 frequencies")
    precondition(positions >= 0, "no negative positions")
    self.dimension = dimension
    self.positions = positions
    var cosines: [Float] = []
    var sines: [Float] = []
    cosines.reserveCapacity(positions * dimension / 2)
    sines.reserveCapacity(positions * dimension / 2)
    for position in 0..<positions {
      for frequency in inverseFrequencies {
        let angle = Double(Float(position) * frequency)
        cosines.append(Float(Elementary.cos(angle) * Double(scale)))
        sines.append(Float(Elementary.sin(angle) * Double(scale)))
      }
    }
    self.cosines = cosines
    self.sines = sines
  }
}

/// Rotates every head of every row by its position: pairs (i, i + dimension / 2) of the first `table.dimension` elements.
///
/// `a' = a cos - b sin`, `b' = b cos + a sin`, each one product and one fused multiply-add. x is `[rows, heads * headDimension]`.
package func rotate(
  _ x: inout Matrix, heads: Int, headDimension: Int, positions: [Int], table: RotaryTable, pool: ThreadPool
) {
  precondition(x.columns == heads * headDimension && positions.count == x.rows, "[rows, heads * headDimension]")
  precondition(table.dimension <= headDimension, "the table is wider than a head")
  precondition(positions.allSatisfy { $0 >= 0 && $0 < table.positions }, "a position beyond the table")
  let (rows, columns, half) = (x.rows, x.columns, table.dimension / 2)
  x.elements.withUnsafeMutableBufferPointer { x in
    table.cosines.withUnsafeBufferPointer { cosines in
      table.sines.withUnsafeBufferPointer { sines in
        guard let x = x.baseAddress, let cosines = cosines.baseAddress, let sines = sines.baseAddress else { return }
        forEachRowGroup(rows, columns, pool) { row in
          let offset = positions[row] * half
          for head in 0..<heads {
            rotateHead(x + (row * columns + head * headDimension), cosines + offset, sines + offset, half)
          }
        }
      }
    }
  }
}

private func rotateHead(
  _ x: UnsafeMutablePointer<Float>, _ cosines: UnsafePointer<Float>, _ sines: UnsafePointer<Float>, _ half: Int
) {
  var i = 0
  while i &+ 8 <= half {
    let (a, b) = (load8(UnsafeRawPointer(x + i)), load8(UnsafeRawPointer(x + (half &+ i))))
    let (c, s) = (load8(UnsafeRawPointer(cosines + i)), load8(UnsafeRawPointer(sines + i)))
    UnsafeMutableRawPointer(x + i).storeBytes(of: processor_fma8(a, c, -(b * s)), as: SIMD8<Float>.self)
    UnsafeMutableRawPointer(x + (half &+ i)).storeBytes(of: processor_fma8(b, c, a * s), as: SIMD8<Float>.self)
    i &+= 8
  }
  while i < half {
    let (a, b) = (x[i], x[half &+ i])
    x[i] = (-(b * sines[i])).addingProduct(a, cosines[i])
    x[half &+ i] = (a * sines[i]).addingProduct(b, cosines[i])
    i &+= 1
  }
}
