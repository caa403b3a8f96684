@testable import Kernels

// Slow, obvious references and made-up numbers for the tests of this folder.

/// Numbers of mixed sign and size, the same for the same seed.
func numbers(_ count: Int, seed: UInt64) -> [Float] {
  var state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
  var values = [Float](repeating: 0, count: count)
  values.withUnsafeMutableBufferPointer { values in
    for i in 0..<count {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      values[i] = Float(Int32(truncatingIfNeeded: state >> 32)) * 0x1p-31
    }
  }
  return values
}

func matrix(_ rows: Int, _ columns: Int, seed: UInt64) -> Matrix {
  Matrix(rows: rows, columns: columns, elements: numbers(rows * columns, seed: seed))
}

/// `a b^T` by one chain of `fma` over ascending k per element.
func referenceProduct(_ a: Matrix, transposed b: Matrix) -> Matrix {
  var c = Matrix(rows: a.rows, columns: b.rows)
  let (k, n) = (a.columns, b.rows)
  a.elements.withUnsafeBufferPointer { x in
    b.elements.withUnsafeBufferPointer { y in
      c.elements.withUnsafeMutableBufferPointer { z in
        var i = 0
        while i < a.rows {
          var j = 0
          while j < n {
            var sum: Float = 0
            var step = 0
            while step < k {
              sum = sum.addingProduct(x[i &* k &+ step], y[j &* k &+ step])
              step &+= 1
            }
            z[i &* n &+ j] = sum
            j &+= 1
          }
          i &+= 1
        }
      }
    }
  }
  return c
}

/// The 16-lane sum of protocol.md.
func referenceTree(_ lanes: [Float]) -> Float {
  var lanes = lanes
  for half in [8, 4, 2, 1] { for i in 0..<half { lanes[i] += lanes[i + half] } }
  return lanes[0]
}

func referenceDot(_ a: [Float], _ b: [Float]) -> Float {
  var lanes = [Float](repeating: 0, count: 16)
  for i in a.indices { lanes[i % 16] = lanes[i % 16].addingProduct(a[i], b[i]) }
  return referenceTree(lanes)
}

/// Equal in every bit, any NaN being equal to any other.
func sameBits(_ a: [Float], _ b: [Float]) -> Bool {
  a.count == b.count && zip(a, b).allSatisfy { $0.bitPattern == $1.bitPattern || ($0.isNaN && $1.isNaN) }
}

/// The values with all but their upper 16 bits cleared: exactly representable in bfloat16.
func roundedToBFloat16(_ values: [Float]) -> [Float] { values.map { Float(bitPattern: $0.bitPattern & 0xFFFF_0000) } }

/// Stored bytes of the values, with one byte in front so that they are not aligned.
func unalignedBytes(_ values: [Float], _ type: ElementType) -> [UInt8] {
  var bytes: [UInt8] = [0]
  for value in values {
    switch type {
    case .float32: withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
    case .bfloat16: withUnsafeBytes(of: UInt16(value.bitPattern >> 16).littleEndian) { bytes.append(contentsOf: $0) }
    case .float16: withUnsafeBytes(of: Float16(value).bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
    }
  }
  return bytes
}

func representable(_ values: [Float], _ type: ElementType) -> [Float] {
  switch type {
  case .float32: values
  case .bfloat16: roundedToBFloat16(values)
  case .float16: values.map { Float(Float16($0)) }
  }
}

let pools = [ThreadPool(threads: 1), ThreadPool(threads: 2), ThreadPool(threads: 5)]

/// Random codes: about `density` of the entries, with an empty row in between.
func randomCodes(_ rows: Int, _ features: Int, density: Float, seed: UInt64) -> SparseRows {
  var dense = matrix(rows, features, seed: seed)
  let kept = numbers(rows * features, seed: seed + 100)
  for index in dense.elements.indices where abs(kept[index]) >= density || (rows > 1 && index / max(1, features) == 1) {
    dense.elements[index] = 0
  }
  return SparseRows(dense)
}

/// One chain over rising index for each output.
func referenceSums(_ s: SparseRows, _ b: Matrix) -> [Float] {
  var output = [Float](repeating: 0, count: s.rows * b.columns)
  for row in 0..<s.rows {
    for entry in s.rowStarts[row]..<s.rowStarts[row + 1] {
      let (weight, start) = (s.values[entry], Int(s.indices[entry]) * b.columns)
      for column in 0..<b.columns {
        output[row * b.columns + column].addProduct(weight, b.elements[start + column])
      }
    }
  }
  return output
}

/// A ladder as it is given.
struct LadderCase {
  var coefficients: [Float]
  var slopes: [Float]
  var intercepts: [Float]
  /// Bounds by row; rows without one have no weight.
  var from: [Int: Float]
  var upTo: [Int: Float]

  /// Every fourth row has no weight; of the others, a third counts from its bound on, and every fifth has the bound of a row of its
  /// own side.
  init(rows: Int, coefficients: [Float], seed: UInt64) {
    (slopes, intercepts) = (numbers(rows, seed: seed), numbers(rows, seed: seed + 1))
    let bounds = numbers(rows, seed: seed + 2).map { 4 * $0 }
    (from, upTo) = ([:], [:])
    for row in 0..<rows where row % 4 != 3 {
      let bound = bounds[row % 5 == 0 && row >= 12 ? row - 12 : row]
      if row % 3 == 0 { from[row] = bound } else { upTo[row] = bound }
    }
    self.coefficients = coefficients
  }

  var ladder: LadderRows {
    func sorted(_ bounds: [Int: Float]) -> (bounds: [Float], rows: [Int32]) {
      let order = bounds.sorted { ($0.value, $0.key) < ($1.value, $1.key) }
      return (order.map(\.value), order.map { Int32($0.key) })
    }
    return LadderRows(
      coefficients: coefficients, slopes: slopes, intercepts: intercepts, from: sorted(from), upTo: sorted(upTo))
  }

  /// Each coefficient for itself, as the documentation of `LadderRows` says, `[coefficients, columns]`.
  func referenceSums(_ b: Matrix) -> [Float] {
    coefficients.flatMap { coefficient -> [Float] in
      var sums = [Float](repeating: 0, count: b.columns)
      for block in stride(from: 0, to: b.rows, by: 128) {
        let rows = block..<min(b.rows, block + 128)
        let counting = rows.filter { from[$0].map { $0 <= coefficient } ?? false }
          .sorted { (from[$0] ?? 0, $0) < (from[$1] ?? 0, $1) }
        let ending = rows.filter { upTo[$0].map { $0 >= coefficient } ?? false }
          .sorted { (upTo[$0] ?? 0, $0) > (upTo[$1] ?? 0, $1) }
        for side in [counting, ending] where !side.isEmpty {
          for column in 0..<b.columns {
            var (slope, intercept): (Float, Float) = (0, 0)
            for row in side {
              slope.addProduct(slopes[row], b[row, column])
              intercept.addProduct(intercepts[row], b[row, column])
            }
            sums[column] = sums[column].addingProduct(coefficient, slope) + intercept
          }
        }
      }
      return sums
    }
  }
}
