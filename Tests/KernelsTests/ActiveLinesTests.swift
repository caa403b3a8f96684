import Testing

@testable import Kernels

/// Codes of whole rows against the rule for one feature at a time.
@Test(arguments: [1, 15, 16, 17, 100, 20_000], ["plain", "thresholds", "gated"])
func activeLinesAreThoseAboveTheirThresholds(_ width: Int, _ kind: String) {
  let (rows, factor, first) = (3, Float(0.75), 40)
  var products = matrix(rows, width, seed: 1)
  products.elements[0] = .nan
  products.elements[width / 2] = .infinity
  products.elements[2 * width - 1] = -.infinity
  let amplitudes: [Float] = [1, -2.5, 0.125]
  let intercepts = numbers(width, seed: 2)
  // Touched exactly, negative, and above.
  let thresholds = (0..<width).map { [intercepts[$0], -1, 0.4][$0 % 3] }
  let magnitudes = (scales: numbers(width, seed: 3), intercepts: numbers(width, seed: 4))
  for index in stride(from: 0, to: width, by: 3) { products.elements[2 * width + index] = 0 }
  let lines = ActiveLines(
    factor: factor, intercepts: intercepts, thresholds: kind == "thresholds" ? thresholds : nil,
    magnitudes: kind == "gated" ? magnitudes : nil)
  for pool in pools {
    let found = lines.codes(of: products, amplitudes: amplitudes, first: first, pool: pool)
    #expect(found.count == rows)
    for row in 0..<rows {
      var (indices, values) = ([Int32](), [Float]())
      for feature in 0..<width {
        let slope = products[row, feature] * factor
        let pre = intercepts[feature].addingProduct(amplitudes[row], slope)
        let own = magnitudes.intercepts[feature].addingProduct(amplitudes[row], slope * magnitudes.scales[feature])
        let isActive =
          switch kind {
          case "plain": pre > 0
          case "thresholds": pre > max(thresholds[feature], 0)
          default: pre > 0 && own > 0
          }
        guard isActive else { continue }
        indices.append(Int32(first + feature))
        values.append(kind == "gated" ? own : pre)
      }
      #expect(found[row].indices == indices && found[row].values == values)
    }
  }
}

@Test func activeLinesOfNothing() {
  let lines = ActiveLines(factor: 1, intercepts: [], thresholds: nil, magnitudes: nil)
  let found = lines.codes(of: Matrix(rows: 2, columns: 0), amplitudes: [1, 1], first: 0, pool: pools[0])
  #expect(found.count == 2 && found.allSatisfy { $0.indices.isEmpty && $0.values.isEmpty })
}
