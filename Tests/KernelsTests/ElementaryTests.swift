import Foundation
import Testing

@testable import Kernels

/// The distance to the true value in units of the last place of the expected one.
private func ulps(_ value: Float, _ expected: Double) -> Double {
  if expected.isNaN { return value.isNaN ? 0 : .infinity }
  let rounded = Float(expected)
  if rounded.isInfinite || rounded == 0 {
    return value == rounded ? 0 : Double(abs(value - rounded) / Float.leastNonzeroMagnitude)
  }
  return abs(Double(value) - expected) / Double(rounded.ulp)
}

private func ulps(_ value: Double, _ expected: Double) -> Double {
  if expected.isNaN { return value.isNaN ? 0 : .infinity }
  if value == expected { return 0 }
  if expected.isInfinite { return .infinity }
  return abs(value - expected) / expected.ulp
}

/// `count` steps from low to high, ends included.
private func sweep(_ low: Double, _ high: Double, _ count: Int = 4000) -> [Double] {
  (0...count).map { low + (high - low) * Double($0) / Double(count) }
}

/// Powers of two with a bit of mantissa, over the whole range of exponents.
private func magnitudes(_ exponents: ClosedRange<Int>) -> [Double] {
  exponents.flatMap { e in
    [1.0, 1.2345678, 1.4142135, 1.4142137, 1.9999999].map { $0 * Foundation.pow(2.0, Double(e)) }
  }
}

@Test func floatExponentialIsWithinItsBound() {
  var worst = 0.0
  for x in sweep(-106, 90, 40000) + sweep(-1, 1) + sweep(-1e-4, 1e-4, 200) + magnitudes(-140...6) {
    let x = Float(x)
    worst = max(worst, ulps(Elementary.exp(x), Foundation.exp(Double(x))))
  }
  #expect(worst <= 1.1)
  #expect(Elementary.exp(Float(0)) == 1 && Elementary.exp(Float(-0.0)) == 1)
  #expect(Elementary.exp(Float.infinity) == .infinity && Elementary.exp(-Float.infinity) == 0)
  #expect(
    Elementary.exp(Float.nan).isNaN && Elementary.exp(Float(1e30)) == .infinity && Elementary.exp(Float(-1e30)) == 0)
}

@Test func floatTanhAndSigmoidAndGatesAreWithinTheirBounds() {
  var tanhWorst = 0.0
  var sigmoidWorst = 0.0
  var siluWorst = 0.0
  var geluWorst = 0.0
  var positiveGeluWorst = 0.0
  var geluDistance = 0.0
  for x in sweep(-12, 12, 20000) + sweep(-0.01, 0.01, 1000) + magnitudes(-120...5) + magnitudes(-120...5).map({ -$0 }) {
    let value = Float(x)
    let x = Double(value)
    tanhWorst = max(tanhWorst, ulps(Elementary.tanh(value), Foundation.tanh(x)))
    let sigmoid = 1 / (1 + Foundation.exp(-x))
    if x > -85 { sigmoidWorst = max(sigmoidWorst, ulps(Elementary.sigmoid(value), sigmoid)) }
    if x > -80 { siluWorst = max(siluWorst, ulps(Elementary.silu(value), x * sigmoid)) }
    let inner = 2 * (2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)
    let gelu = x / (1 + Foundation.exp(-inner))
    if x > 0 { positiveGeluWorst = max(positiveGeluWorst, ulps(Elementary.geluTanh(value), gelu)) }
    if x > -3 { geluWorst = max(geluWorst, ulps(Elementary.geluTanh(value), gelu)) }
    geluDistance = max(geluDistance, x > 0 ? 0 : abs(Double(Elementary.geluTanh(value)) - gelu))
  }
  #expect(tanhWorst <= 3)
  #expect(sigmoidWorst <= 3)
  #expect(siluWorst <= 4)
  #expect(positiveGeluWorst <= 4)
  #expect(geluWorst <= 13)
  #expect(geluDistance <= 0x1p-22)
  #expect(
    Elementary.tanh(Float.infinity) == 1 && Elementary.tanh(-Float.infinity) == -1 && Elementary.tanh(Float.nan).isNaN)
  #expect(Elementary.tanh(Float(-0.0)).sign == .minus && Elementary.tanh(Float(-0.0)) == 0)
  #expect(Elementary.sigmoid(Float.infinity) == 1 && Elementary.sigmoid(-Float.infinity) == 0)
  #expect(Elementary.sigmoid(Float.nan).isNaN && Elementary.sigmoid(Float(0)) == 0.5)
  #expect(Elementary.silu(Float(-200)) == 0 || Elementary.silu(Float(-200)) > -1e-30)
}

@Test func doubleExponentialAndLogarithmAreWithinTheirBounds() {
  var expWorst = 0.0
  for x in sweep(-745, 709.7, 40000) + sweep(-1, 1) + magnitudes(-60...9) where x < 709.7 && x > -708 {
    expWorst = max(expWorst, ulps(Elementary.exp(x), Foundation.exp(x)))
  }
  #expect(expWorst <= 2)
  #expect(Elementary.exp(710.0) == .infinity && Elementary.exp(-746.0) == 0 && Elementary.exp(0.0) == 1)
  #expect(Elementary.exp(-745.0) > 0 && Elementary.exp(Double.nan).isNaN && Elementary.exp(-Double.infinity) == 0)
  var logWorst = 0.0
  for x in sweep(1e-6, 4, 40000) + sweep(0.999, 1.001) + magnitudes(-1070...1023) {
    logWorst = max(logWorst, ulps(Elementary.log(x), Foundation.log(x)))
  }
  #expect(logWorst <= 1)
  #expect(Elementary.log(0.0) == -.infinity && Elementary.log(-1.0).isNaN && Elementary.log(Double.nan).isNaN)
  #expect(Elementary.log(Double.infinity) == .infinity && Elementary.log(1.0) == 0)
}

@Test func doubleTanhAndCircleFunctionsAreWithinTheirBounds() {
  var tanhWorst = 0.0
  for x in sweep(-25, 25, 20000) + sweep(-0.1, 0.1) + magnitudes(-200...5) {
    tanhWorst = max(tanhWorst, ulps(Elementary.tanh(x), Foundation.tanh(x)))
  }
  #expect(tanhWorst <= 3)
  #expect(
    Elementary.tanh(Double.infinity) == 1 && Elementary.tanh(Double.nan).isNaN && Elementary.tanh(-0.0).sign == .minus)
  var worst = 0.0
  let quarters = (0..<4000).map { Double($0) * Double.pi / 2 }
  for x in sweep(-10, 10, 20000) + sweep(-200_000, 200_000, 20000) + magnitudes(-60...29) + quarters {
    worst = max(worst, ulps(Elementary.sin(x), Foundation.sin(x)), ulps(Elementary.cos(x), Foundation.cos(x)))
  }
  #expect(worst <= 1)
  #expect(Elementary.sin(0x1p31).isNaN && Elementary.cos(Double.infinity).isNaN && Elementary.sin(Double.nan).isNaN)
  #expect(Elementary.sin(-0.0).sign == .minus && Elementary.cos(0.0) == 1)
}

@Test func powerIsWithinItsBoundsAndHasTheSpecialCasesOfC() {
  var near = 0.0
  var far = 0.0
  for x in [0.001, 0.5, 0.9, 0.999, 1.0001, 1.5, 2, 10, 10000, 500_000, 1e6, 1e100] {
    for y in sweep(-8, 8, 801) + [0.5, -0.5, 1.0 / 3, 1000, -999.5, 100] {
      let expected = Foundation.pow(x, y)
      guard expected.isNormal else { continue }
      let error = ulps(Elementary.pow(x, y), expected)
      if abs(y * Foundation.log(x)) <= 64 { near = max(near, error) } else { far = max(far, error) }
    }
  }
  #expect(near <= 2)
  #expect(far <= 8)
  let values = [0, -0.0, 1, -1, 0.5, -0.5, 2, -2, 3, -3, 2.5, .infinity, -.infinity, .nan]
  for x in values {
    for y in values {
      let (value, expected) = (Elementary.pow(x, y), Foundation.pow(x, y))
      #expect(value.isNaN && expected.isNaN || ulps(value, expected) <= 2 && value.sign == expected.sign, "\(x)^\(y)")
    }
  }
}

@Test func vectorLoopsDoWhatTheScalarsDo() {
  let pool = pools[1]
  for columns in [1, 5, 8, 13, 16, 37, 200] {
    let x = Matrix(rows: 3, columns: columns, elements: numbers(3 * columns, seed: 3).map { $0 * 9 })
    let up = matrix(3, columns, seed: 4)
    for activation in [GatedActivation.silu, .geluTanh] {
      var gated = x
      gate(&gated, times: up, activation: activation, pool: pool)
      let expected = zip(x.elements, up.elements).map {
        (activation == .silu ? Elementary.silu($0) : Elementary.geluTanh($0)) * $1
      }
      #expect(gated.elements == expected)
    }
    var capped = x
    softcap(&capped, cap: 5, pool: pool)
    #expect(capped.elements == x.elements.map { 5 * Elementary.tanh($0 / 5) })
    for (row, value) in logSumExpRows(x, pool: pool).enumerated() {
      let expected = Foundation.log(x.row(row).reduce(0.0) { $0 + Foundation.exp(Double($1)) })
      #expect(abs(Double(value) - expected) <= 4e-7 * max(1, abs(expected)))
      #expect(value == logSumExp(x.row(row)))
    }
    var soft = x
    softmaxRows(&soft, pool: pool)
    for row in 0..<3 {
      let sum = x.row(row).reduce(0.0) { $0 + Foundation.exp(Double($1)) }
      for column in 0..<columns {
        let expected = Foundation.exp(Double(x[row, column])) / sum
        // The difference to the largest element is rounded before e^ is taken.
        let shift = Double(x.row(row).reduce(-.infinity, max) - x[row, column])
        #expect(abs(Double(soft[row, column]) - expected) <= (4e-7 + shift * 0x1p-24) * expected)
      }
    }
  }
  #expect(logSumExp([Float]()) == -.infinity && logSumExp([-Float.infinity]) == -.infinity)
  #expect(logSumExp([1, .infinity]) == .infinity && logSumExp([1, .nan, 3]).isNaN)
  #expect(logSumExp([1e30, 1e30]) == 1e30)
}
