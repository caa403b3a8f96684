internal import CProcessor

/// Lines `pre = fma(amplitude, factor * product, intercept)`, one a feature, and which of them make the entries of a code: those
/// strictly above their threshold, with their own value; or, where there are magnitudes, those above 0 whose magnitude is above 0
/// too, with the magnitude's, `fma(amplitude, factor * product * scale, magnitude intercept)`.
package struct ActiveLines: Sendable {
  private let factor: Float
  private let intercepts: [Float]
  private let thresholds: [Float]
  private let magnitudes: (scales: [Float], intercepts: [Float])?

  /// Precondition: one number a feature everywhere.
  /// - Parameter thresholds: 0 for all features where nil; below 0 they count as 0.
  package init(
    factor: Float, intercepts: [Float], thresholds: [Float]?, magnitudes: (scales: [Float], intercepts: [Float])?
  ) {
    let thresholds = thresholds.map { $0.map { max($0, 0) } } ?? Array(repeating: 0, count: intercepts.count)
    precondition(thresholds.count == intercepts.count, "one threshold a feature")
    if let magnitudes {
      precondition(
        magnitudes.scales.count == intercepts.count && magnitudes.intercepts.count == intercepts.count,
        "one magnitude a feature")
    }
    self.factor = factor
    self.intercepts = intercepts
    self.thresholds = thresholds
    self.magnitudes = magnitudes
  }

  /// The entries of every row of products `[n, features]`, indices rising from `first`. O(n features).
  /// - Parameter amplitudes: one a row.
  package func codes(
    of products: Matrix, amplitudes: [Float], first: Int, pool: ThreadPool
  ) -> [(indices: [Int32], values: [Float])] {
    precondition(products.columns == intercepts.count && products.rows == amplitudes.count, "shapes must agree")
    precondition(first >= 0 && first <= Int(Int32.max) - products.columns, "too many features for 32-bit indices")
    let width = products.columns
    return [(indices: [Int32], values: [Float])](unsafeUninitializedCapacity: products.rows) { target, written in
      products.elements.withUnsafeBufferPointer { products in
        forEachRowGroup(amplitudes.count, width, pool) { row in
          let found = products.baseAddress.map { self.code(of: $0 + row * width, amplitudes[row], first) }
          target.initializeElement(at: row, to: found ?? ([], []))
        }
      }
      written = amplitudes.count
    }
  }

  /// The entries of one row of products `[n, features]`. O(features).
  package func code(of products: Matrix, row: Int, amplitude: Float) -> (indices: [Int32], values: [Float]) {
    precondition(products.columns == intercepts.count && row < products.rows, "shapes must agree")
    return products.elements.withUnsafeBufferPointer {
      $0.baseAddress.map { code(of: $0 + row * products.columns, amplitude, 0) } ?? ([], [])
    }
  }

  private func code(
    of products: UnsafePointer<Float>, _ amplitude: Float, _ first: Int
  ) -> (indices: [Int32], values: [Float]) {
    withUnsafeTemporaryAllocation(of: Int32.self, capacity: intercepts.count) { indices in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: intercepts.count) { values in
        var found = Found(first: first, indices: indices, values: values)
        scan(products, amplitude, into: &found)
        return (Array(indices[..<found.count]), Array(values[..<found.count]))
      }
    }
  }

  /// The entries of one row, as far as they are found.
  private struct Found {
    let first: Int
    let indices: UnsafeMutableBufferPointer<Int32>
    let values: UnsafeMutableBufferPointer<Float>
    var count = 0

    @inline(__always) mutating func append(_ feature: Int, _ value: Float) {
      indices.initializeElement(at: count, to: Int32(truncatingIfNeeded: first &+ feature))
      values.initializeElement(at: count, to: value)
      count &+= 1
    }

    @inline(__always) mutating func append(_ mask: UInt16, of sixteen: SIMD16<Float>, at feature: Int) {
      #if X86_64_V4
        // Sixteen are written where some are found: there is room, as no more were found than looked at.
        guard let indices = indices.baseAddress, let values = values.baseAddress else { return }
        let lanes = SIMD16<Int32>(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
        let features = lanes &+ Int32(truncatingIfNeeded: first &+ feature)
        UnsafeMutableRawPointer(values + count).storeBytes(
          of: processor_compress16(sixteen, mask), as: SIMD16<Float>.self)
        UnsafeMutableRawPointer(indices + count).storeBytes(
          of: processor_compress16(unsafeBitCast(features, to: SIMD16<Float>.self), mask), as: SIMD16<Float>.self)
        count &+= mask.nonzeroBitCount
      #else
        var rest = mask
        while rest != 0 {
          let lane = rest.trailingZeroBitCount
          append(feature &+ lane, sixteen[lane])
          rest &= rest &- 1
        }
      #endif
    }
  }

  private func scan(_ products: UnsafePointer<Float>, _ amplitude: Float, into found: inout Found) {
    intercepts.withUnsafeBufferPointer { intercepts in
      thresholds.withUnsafeBufferPointer { thresholds in
        guard let lines = intercepts.baseAddress, let bounds = thresholds.baseAddress else { return }
        guard let magnitudes else {
          return scan(products, amplitude, lines, bounds, intercepts.count, &found)
        }
        magnitudes.scales.withUnsafeBufferPointer { scales in
          magnitudes.intercepts.withUnsafeBufferPointer { own in
            guard let scales = scales.baseAddress, let own = own.baseAddress else { return }
            scan(products, amplitude, lines, scales, own, intercepts.count, &found)
          }
        }
      }
    }
  }

  private func scan(
    _ products: UnsafePointer<Float>, _ amplitude: Float, _ intercepts: UnsafePointer<Float>,
    _ thresholds: UnsafePointer<Float>, _ count: Int, _ found: inout Found
  ) {
    let (factors, amplitudes) = (SIMD16(repeating: factor), SIMD16(repeating: amplitude))
    var feature = 0
    while feature &+ 16 <= count {
      let pre = processor_fma16(amplitudes, load16(products + feature) * factors, load16(intercepts + feature))
      let mask = processor_mask_greater16(pre, load16(thresholds + feature))
      if mask != 0 { found.append(mask, of: pre, at: feature) }
      feature &+= 16
    }
    while feature < count {
      let pre = intercepts[feature].addingProduct(amplitude, products[feature] * factor)
      if pre > thresholds[feature] { found.append(feature, pre) }
      feature &+= 1
    }
  }

  /// With a gate.
  private func scan(
    _ products: UnsafePointer<Float>, _ amplitude: Float, _ intercepts: UnsafePointer<Float>,
    _ scales: UnsafePointer<Float>, _ magnitudes: UnsafePointer<Float>, _ count: Int, _ found: inout Found
  ) {
    let (factors, amplitudes) = (SIMD16(repeating: factor), SIMD16(repeating: amplitude))
    let zero = SIMD16<Float>.zero
    var feature = 0
    while feature &+ 16 <= count {
      let slopes = load16(products + feature) * factors
      let gate = processor_fma16(amplitudes, slopes, load16(intercepts + feature))
      let value = processor_fma16(amplitudes, slopes * load16(scales + feature), load16(magnitudes + feature))
      let mask = processor_mask_greater16(gate, zero) & processor_mask_greater16(value, zero)
      if mask != 0 { found.append(mask, of: value, at: feature) }
      feature &+= 16
    }
    while feature < count {
      let slope = products[feature] * factor
      let gate = intercepts[feature].addingProduct(amplitude, slope)
      let value = magnitudes[feature].addingProduct(amplitude, slope * scales[feature])
      if gate > 0 && value > 0 { found.append(feature, value) }
      feature &+= 1
    }
  }
}

@inline(__always) private func load16(_ address: UnsafePointer<Float>) -> SIMD16<Float> {
  UnsafeRawPointer(address).loadUnaligned(as: SIMD16<Float>.self)
}
