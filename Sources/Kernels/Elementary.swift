/// Elementary functions of our own: the system's differ between machines (they dispatch by CPU), these never do.
///
/// Every operation is an IEEE addition, multiplication, division, square root or fused multiply-add in a fixed order. Error
/// bounds are in units in the last place of the correctly rounded result, and are tested over dense sweeps.
package enum Elementary {
  /// e^x within 2 ulp; 0 below -745.14, infinity above 709.78.
  package static func exp(_ x: Double) -> Double { exponential(x, 0) }

  /// Natural logarithm within 1 ulp; NaN below 0, minus infinity at 0.
  package static func log(_ x: Double) -> Double {
    guard let (high, low) = logarithm(x) else { return logarithmOfSpecial(x) }
    return high + low
  }

  /// Hyperbolic tangent within 5 ulp.
  package static func tanh(_ x: Double) -> Double {
    if x.isNaN { return x }
    let doubled = 2 * min(x.magnitude, 25)
    let n = (doubled * inverseLn2).rounded(.toNearestOrEven)
    let r = fma(-n, ln2Low, fma(-n, ln2High, doubled))
    let scale = power(of: Int(n))
    let e = fma(scale, exponentialMinusOne(r), scale - 1)
    return Double(signOf: x, magnitudeOf: e / (e + 2))
  }

  /// Sine within 1 ulp for |x| <= 2^30; NaN beyond, where the reduction would need more digits of pi.
  package static func sin(_ x: Double) -> Double {
    guard let (quadrant, r, rest) = reduce(x) else { return .nan }
    if x == 0 { return x }
    let value = quadrant & 1 == 0 ? sineKernel(r, rest) : cosineKernel(r, rest)
    return quadrant & 2 == 0 ? value : -value
  }

  /// Cosine within 1 ulp for |x| <= 2^30; NaN beyond.
  package static func cos(_ x: Double) -> Double {
    guard let (quadrant, r, rest) = reduce(x) else { return .nan }
    let value = quadrant & 1 == 0 ? cosineKernel(r, rest) : sineKernel(r, rest)
    return (quadrant + 1) & 2 == 0 ? value : -value
  }

  /// x^y within 2 ulp where |y log x| <= 64, 8 ulp elsewhere; the special cases are those of C's `pow`.
  package static func pow(_ x: Double, _ y: Double) -> Double {
    if y == 0 || x == 1 { return 1 }
    if x.isNaN || y.isNaN { return .nan }
    let isInteger = y.rounded(.towardZero) == y
    let isOdd = isInteger && y.magnitude < 0x1p53 && y.truncatingRemainder(dividingBy: 2) != 0
    if x == 0 || x.isInfinite || y.isInfinite { return powerOfSpecial(x, y, isOdd) }
    if x < 0, !isInteger { return .nan }
    guard let (high, low) = logarithm(x.magnitude) else { return .nan }
    let product = y * high
    if product.magnitude > 800 { return exp(product) * (x < 0 && isOdd ? -1 : 1) }
    let rest = fma(y, low, fma(y, high, -product))
    let value = exponential(product, rest)
    return x < 0 && isOdd ? -value : value
  }

  private static func powerOfSpecial(_ x: Double, _ y: Double, _ isOdd: Bool) -> Double {
    let magnitude: Double
    if y.isInfinite {
      if x == -1 { return 1 }
      magnitude = (x.magnitude > 1) == (y > 0) ? .infinity : 0
    } else {
      magnitude = (x == 0) == (y > 0) ? 0 : .infinity
    }
    return x.sign == .minus && isOdd ? -magnitude : magnitude
  }

  // MARK: Exponential

  private static let inverseLn2 = 1.4426950408889634
  private static let ln2High = 0x1.62e42fefa39efp-1
  private static let ln2Low = 0x1.abc9e3b39803fp-56

  private static func fma(_ a: Double, _ b: Double, _ c: Double) -> Double { c.addingProduct(a, b) }

  /// 2^n for normal exponents.
  private static func power(of n: Int) -> Double { Double(bitPattern: UInt64(bitPattern: Int64(n + 1023)) << 52) }

  /// e^(x + rest) with |rest| far below |x|'s last place times a few.
  private static func exponential(_ x: Double, _ rest: Double) -> Double {
    if x.isNaN { return x }
    if x > 710 { return .infinity }
    if x < -746 { return 0 }
    let n = (x * inverseLn2).rounded(.toNearestOrEven)
    let r = fma(-n, ln2Low, fma(-n, ln2High, x)) + rest
    let exponent = Int(n)
    let half = exponent >> 1
    return (1 + exponentialMinusOne(r)) * power(of: half) * power(of: exponent - half)
  }

  /// e^r - 1 for |r| <= 0.35: the Taylor series to r^14, whose next term is below 2^-60.
  private static func exponentialMinusOne(_ r: Double) -> Double {
    var p = fma(r, 1 / 87_178_291_200, 1 / 6_227_020_800)
    p = fma(r, p, 1 / 479_001_600)
    p = fma(r, p, 1 / 39_916_800)
    p = fma(r, p, 1 / 3_628_800)
    p = fma(r, p, 1 / 362_880)
    p = fma(r, p, 1 / 40320)
    p = fma(r, p, 1 / 5040)
    p = fma(r, p, 1 / 720)
    p = fma(r, p, 1 / 120)
    p = fma(r, p, 1 / 24)
    p = fma(r, p, 1 / 6)
    p = fma(r, p, 0.5)
    return fma(r * r, p, r)
  }

  // MARK: Logarithm

  /// log x as an unevaluated sum, to about 2^-60; nil for zero, negatives, infinity and NaN.
  ///
  /// x = 2^e m with m in [0.7, 1.42); log m = 2 atanh(s) with s = (m - 1)/(m + 1), the leading term in double-double.
  private static func logarithm(_ x: Double) -> (high: Double, low: Double)? {
    guard x > 0, x.isFinite else { return nil }
    var e = Double(x.exponent)
    var m = x.significand
    if m > 1.4142135623730951 {
      m *= 0.5
      e += 1
    }
    let f = m - 1
    let d = f + 2
    let dRest = f - (d - 2)
    let s = f / d
    let sRest = (fma(-s, d, f) - s * dRest) / d
    let z = s * s
    var p = fma(z, 2 / 25, 2 / 23)
    p = fma(z, p, 2 / 21)
    p = fma(z, p, 2 / 19)
    p = fma(z, p, 2 / 17)
    p = fma(z, p, 2 / 15)
    p = fma(z, p, 2 / 13)
    p = fma(z, p, 2 / 11)
    p = fma(z, p, 2 / 9)
    p = fma(z, p, 2 / 7)
    p = fma(z, p, 2 / 5)
    p = fma(z, p, 2 / 3)
    let tail = fma(s * z, p, 2 * sRest)
    // e * 0x1.62e42fefa38p-1 is exact for |e| < 2^11: the constant has 42 bits.
    let whole = e * 0x1.62e42fefa38p-1
    let (a, aRest) = twoSum(whole, 2 * s)
    let (high, rest) = twoSum(a, tail)
    return twoSum(high, rest + (aRest + e * 0x1.ef35793c7673p-45))
  }

  private static func twoSum(_ a: Double, _ b: Double) -> (high: Double, low: Double) {
    let sum = a + b
    let bPart = sum - a
    return (sum, (a - (sum - bPart)) + (b - bPart))
  }

  private static func logarithmOfSpecial(_ x: Double) -> Double {
    if x == 0 { return -.infinity }
    return x == .infinity ? .infinity : .nan
  }

  // MARK: Circle

  /// x = quadrant * pi/2 + r + rest with |r| <= pi/4, pi/2 in three parts; nil beyond 2^30 and for NaN.
  private static func reduce(_ x: Double) -> (quadrant: Int, r: Double, rest: Double)? {
    guard x.magnitude <= 0x1p30 else { return nil }
    let n = (x * 0.6366197723675814).rounded(.toNearestOrEven)
    let first = fma(-n, 0x1.921fb54442d18p+0, x)
    let second = n * 0x1.1a62633145c07p-54
    let secondRest = fma(n, 0x1.1a62633145c07p-54, -second)
    let (r, rest) = twoSum(first, -second)
    return (Int(n) & 3, r, rest - secondRest - n * -0x1.f1976b7ed8fbcp-110)
  }

  private static func sineKernel(_ r: Double, _ rest: Double) -> Double {
    let z = r * r
    var p = fma(z, 1 / 355_687_428_096_000, -1 / 1_307_674_368_000)
    p = fma(z, p, 1 / 6_227_020_800)
    p = fma(z, p, -1 / 39_916_800)
    p = fma(z, p, 1 / 362_880)
    p = fma(z, p, -1 / 5040)
    p = fma(z, p, 1 / 120)
    p = fma(z, p, -1 / 6)
    return r + fma(r * z, p, rest * fma(z, -0.5, 1))
  }

  private static func cosineKernel(_ r: Double, _ rest: Double) -> Double {
    let z = r * r
    var p = fma(z, -1 / 6_402_373_705_728_000, 1 / 20_922_789_888_000)
    p = fma(z, p, -1 / 87_178_291_200)
    p = fma(z, p, 1 / 479_001_600)
    p = fma(z, p, -1 / 3_628_800)
    p = fma(z, p, 1 / 40320)
    p = fma(z, p, -1 / 720)
    p = fma(z, p, 1 / 24)
    let half = 0.5 * z
    let w = 1 - half
    return w + (((1 - w) - half) + fma(z * z, p, -r * rest))
  }
}
