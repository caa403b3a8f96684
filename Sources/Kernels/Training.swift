internal import CProcessor

// What one training step needs beside matrix products and sparse codes. Threads divide elements or rows.

@inline(__always) private func load8(_ address: UnsafeRawPointer) -> SIMD8<Float> {
  address.loadUnaligned(as: SIMD8<Float>.self)
}

/// The constants of Adam (Kingma and Ba 2015).
package struct Adam: Sendable, Hashable {
  package var rate: Float
  package var beta1: Float
  package var beta2: Float
  package var epsilon: Float

  package init(rate: Float, beta1: Float = 0.9, beta2: Float = 0.999, epsilon: Float = 1e-8) {
    self.rate = rate
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
  }
}

/// One step of Adam on all parameters, `step` counting from 1:
/// m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; p -= rate / (1 - b1^t) * m / (sqrt(v / (1 - b2^t)) + epsilon).
///
/// Element by element, so independent of threads. Memory-bound: 28 bytes a parameter.
package func adamStep(
  _ adam: Adam, step: Int, parameters: inout [Float], gradient: [Float], first: inout [Float], second: inout [Float],
  pool: ThreadPool
) {
  precondition(step >= 1, "steps count from 1")
  let count = parameters.count
  precondition(gradient.count == count && first.count == count && second.count == count, "one moment a parameter")
  let update = AdamUpdate(adam, step: step)
  let chunk = 1 << 14
  parameters.withUnsafeMutableBufferPointer { p in
    gradient.withUnsafeBufferPointer { g in
      first.withUnsafeMutableBufferPointer { m in
        second.withUnsafeMutableBufferPointer { v in
          guard let p = p.baseAddress, let g = g.baseAddress, let m = m.baseAddress, let v = v.baseAddress else {
            return
          }
          pool.divide((count + chunk - 1) / chunk) { part in
            let start = part * chunk
            update.apply(p + start, g + start, m + start, v + start, min(chunk, count - start))
          }
        }
      }
    }
  }
}

private struct AdamUpdate {
  let beta1, rest1, beta2, rest2, rate, correction, epsilon: Float

  init(_ adam: Adam, step: Int) {
    beta1 = adam.beta1
    beta2 = adam.beta2
    rest1 = Float(1 - Double(adam.beta1))
    rest2 = Float(1 - Double(adam.beta2))
    rate = Float(-Double(adam.rate) / (1 - Elementary.pow(Double(adam.beta1), Double(step))))
    correction = Float(1 / (1 - Elementary.pow(Double(adam.beta2), Double(step))))
    epsilon = adam.epsilon
  }

  func apply(
    _ p: UnsafeMutablePointer<Float>, _ g: UnsafePointer<Float>, _ m: UnsafeMutablePointer<Float>,
    _ v: UnsafeMutablePointer<Float>, _ count: Int
  ) {
    let (b1, r1) = (SIMD8<Float>(repeating: beta1), SIMD8<Float>(repeating: rest1))
    let (b2, r2) = (SIMD8<Float>(repeating: beta2), SIMD8<Float>(repeating: rest2))
    let (rates, corrections) = (SIMD8<Float>(repeating: rate), SIMD8<Float>(repeating: correction))
    let epsilons = SIMD8<Float>(repeating: epsilon)
    var i = 0
    while i &+ 8 <= count {
      let gradient = load8(UnsafeRawPointer(g + i))
      let mean = processor_fma8(r1, gradient, b1 * load8(UnsafeRawPointer(m + i)))
      let square = processor_fma8(r2 * gradient, gradient, b2 * load8(UnsafeRawPointer(v + i)))
      let size = processor_sqrt8(square * corrections) + epsilons
      let value = processor_fma8(rates, mean / size, load8(UnsafeRawPointer(p + i)))
      UnsafeMutableRawPointer(m + i).storeBytes(of: mean, as: SIMD8<Float>.self)
      UnsafeMutableRawPointer(v + i).storeBytes(of: square, as: SIMD8<Float>.self)
      UnsafeMutableRawPointer(p + i).storeBytes(of: value, as: SIMD8<Float>.self)
      i &+= 8
    }
    while i < count {
      m[i] = (beta1 * m[i]).addingProduct(rest1, g[i])
      v[i] = (beta2 * v[i]).addingProduct(rest2 * g[i], g[i])
      p[i] = p[i].addingProduct(rate, m[i] / ((v[i] * correction).squareRoot() + epsilon))
      i += 1
    }
  }
}

/// Scales every row to length 1; a zero row stays zero. Each element is divided by `norm(row)`.
package func normaliseRows(_ m: inout Matrix, pool: ThreadPool) {
  let (rows, columns) = (m.rows, m.columns)
  m.elements.withUnsafeMutableBufferPointer { x in
    guard let x = x.baseAddress else { return }
    forEachRowGroup(rows, columns, pool) { row in
      let values = x + row * columns
      let length = dot(values, values, columns).squareRoot()
      guard length > 0 else { return }
      for i in 0..<columns { values[i] /= length }
    }
  }
}

/// Takes out of every row of `gradient` its component along the same row of `directions` (unit rows):
/// g -= (g . d) d, so that a step along g keeps the length of d to first order.
package func removeParallelComponents(of gradient: inout Matrix, along directions: Matrix, pool: ThreadPool) {
  precondition(
    gradient.rows == directions.rows && gradient.columns == directions.columns, "matrices must be of one shape")
  let (rows, columns) = (gradient.rows, gradient.columns)
  gradient.elements.withUnsafeMutableBufferPointer { g in
    directions.elements.withUnsafeBufferPointer { d in
      guard let g = g.baseAddress, let d = d.baseAddress else { return }
      forEachRowGroup(rows, columns, pool) { row in
        let (g, d) = (g + row * columns, d + row * columns)
        addScaled(-dot(g, d, columns), d, to: g, columns)
      }
    }
  }
}
