internal import CProcessor

// Float32 elementary functions, eight lanes at a time, and the loops that need them. They share a file so that they are inlined
// into the loops in every build. A scalar is lane 0 of a vector: the same operations, hence the same bits.

extension Elementary {
  /// e^x within 1.1 ulp; 0 below -104, infinity above 88.73.
  package static func exp(_ x: Float) -> Float { exponential(SIMD8(repeating: x))[0] }

  /// Hyperbolic tangent within 3 ulp.
  package static func tanh(_ x: Float) -> Float { hyperbolicTangent(SIMD8(repeating: x))[0] }

  /// 1 / (1 + e^-x) within 3 ulp.
  package static func sigmoid(_ x: Float) -> Float { logistic(SIMD8(repeating: x))[0] }

  /// x sigmoid(x) within 4 ulp.
  package static func silu(_ x: Float) -> Float { silu(SIMD8(repeating: x))[0] }

  /// The tanh form of GELU, 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), computed as x sigmoid(2 ...), which does not
  /// cancel: within 4 ulp for x > 0 and 13 ulp for x > -3; below, where it fades, within 2^-22 absolutely.
  package static func geluTanh(_ x: Float) -> Float { geluTanh(SIMD8(repeating: x))[0] }

  @inline(__always) fileprivate static func fma(
    _ a: SIMD8<Float>, _ b: SIMD8<Float>, _ c: SIMD8<Float>
  ) -> SIMD8<Float> { processor_fma8(a, b, c) }

  @inline(__always) fileprivate static func all(_ x: Float) -> SIMD8<Float> { SIMD8(repeating: x) }

  /// x = n ln 2 + r with |r| <= 0.35; returns e^r - 1, and n as float and in the low bits of an integer.
  ///
  /// n is rounded by adding 1.5 * 2^23, whose last place is 1.
  @inline(__always) private static func reduced(_ x: SIMD8<Float>) -> (minusOne: SIMD8<Float>, exponent: SIMD8<Int32>) {
    let shifted = fma(x, all(1.44269502), all(12_582_912))
    let n = shifted - all(12_582_912)
    let r = fma(n, all(1.90465421e-9), fma(n, all(-0.693147182), x))
    var p = fma(r, all(1 / 5040), all(1 / 720))
    p = fma(r, p, all(1 / 120))
    p = fma(r, p, all(1 / 24))
    p = fma(r, p, all(1 / 6))
    p = fma(r, p, all(0.5))
    let minusOne = fma(r * r, p, r)
    return (minusOne, unsafeBitCast(shifted, to: SIMD8<Int32>.self) &- SIMD8(repeating: 0x4B40_0000))
  }

  @inline(__always) private static func power(of n: SIMD8<Int32>) -> SIMD8<Float> {
    unsafeBitCast((n &+ SIMD8(repeating: 127)) &<< SIMD8(repeating: 23), to: SIMD8<Float>.self)
  }

  @inline(__always) fileprivate static func exponential(_ x: SIMD8<Float>) -> SIMD8<Float> {
    // Comparisons are false for NaN, which so passes through.
    let below = processor_select_greater8(x, all(89), all(89), x)
    let clamped = processor_select_greater8(all(-105), below, all(-105), below)
    let (minusOne, n) = reduced(clamped)
    let half = n &>> SIMD8(repeating: 1)
    return (all(1) + minusOne) * power(of: half) * power(of: n &- half)
  }

  @inline(__always) private static func magnitude(_ x: SIMD8<Float>) -> SIMD8<Float> {
    unsafeBitCast(unsafeBitCast(x, to: SIMD8<UInt32>.self) & SIMD8(repeating: 0x7FFF_FFFF), to: SIMD8<Float>.self)
  }

  @inline(__always) fileprivate static func hyperbolicTangent(_ x: SIMD8<Float>) -> SIMD8<Float> {
    let positive = magnitude(x)
    let clamped = processor_select_greater8(positive, all(10), all(10), positive)
    let (minusOne, n) = reduced(clamped + clamped)
    let scale = power(of: n)
    let e = fma(scale, minusOne, scale - all(1))
    let sign = unsafeBitCast(x, to: SIMD8<UInt32>.self) & SIMD8(repeating: 0x8000_0000)
    return unsafeBitCast(unsafeBitCast(e / (e + all(2)), to: SIMD8<UInt32>.self) | sign, to: SIMD8<Float>.self)
  }

  @inline(__always) fileprivate static func logistic(_ x: SIMD8<Float>) -> SIMD8<Float> {
    let e = exponential(-magnitude(x))
    // For NaN either way is NaN.
    return processor_select_greater8(all(0), x, e, all(1)) / (all(1) + e)
  }

  @inline(__always) fileprivate static func silu(_ x: SIMD8<Float>) -> SIMD8<Float> { x * logistic(x) }

  @inline(__always) fileprivate static func geluTanh(_ x: SIMD8<Float>) -> SIMD8<Float> {
    // 2 sqrt(2/pi) (x + 0.044715 x^3)
    let inner = fma(x * x, all(0.0713548163), all(1.59576912)) * x
    return x * logistic(inner)
  }
}

// MARK: Loops

/// Applies `body` to eight elements at a time; the last ones in a padded copy.
@inline(__always) private func forEach8(
  _ x: UnsafeMutablePointer<Float>, _ count: Int, _ body: (SIMD8<Float>, Int) -> SIMD8<Float>
) {
  var i = 0
  let raw = UnsafeMutableRawPointer(x)
  while i &+ 8 <= count {
    let value = body((raw + i &* 4).loadUnaligned(as: SIMD8<Float>.self), i)
    (raw + i &* 4).storeBytes(of: value, as: SIMD8<Float>.self)
    i &+= 8
  }
  guard i < count else { return }
  var padded = SIMD8<Float>(repeating: 0)
  for lane in 0..<count &- i { padded[lane] = x[i &+ lane] }
  padded = body(padded, i)
  for lane in 0..<count &- i { x[i &+ lane] = padded[lane] }
}

/// `gate[i] = activation(gate[i]) * up[i]`.
func gateElements(
  _ gate: UnsafeMutablePointer<Float>, _ up: UnsafePointer<Float>, _ count: Int, _ activation: GatedActivation
) {
  let raw = UnsafeRawPointer(up)
  @inline(__always) func times(_ i: Int) -> SIMD8<Float> {
    if i &+ 8 <= count { return (raw + i &* 4).loadUnaligned(as: SIMD8<Float>.self) }
    var padded = SIMD8<Float>(repeating: 0)
    for lane in 0..<count &- i { padded[lane] = up[i &+ lane] }
    return padded
  }
  switch activation {
  case .silu: forEach8(gate, count) { x, i in Elementary.silu(x) * times(i) }
  case .geluTanh: forEach8(gate, count) { x, i in Elementary.geluTanh(x) * times(i) }
  }
}

/// `x[i] = cap * tanh(x[i] / cap)`.
func softcapElements(_ x: UnsafeMutablePointer<Float>, _ count: Int, cap: Float) {
  let caps = SIMD8<Float>(repeating: cap)
  forEach8(x, count) { x, _ in caps * Elementary.hyperbolicTangent(x / caps) }
}

func scaleElements(_ x: UnsafeMutablePointer<Float>, _ count: Int, by factor: Float) {
  let factors = SIMD8<Float>(repeating: factor)
  forEach8(x, count) { x, _ in x * factors }
}

/// The largest element; NaN is passed over, and minus infinity is the largest of none.
func largestElement(_ x: UnsafePointer<Float>, _ count: Int) -> Float {
  var largest = SIMD8<Float>(repeating: -.infinity)
  var second = largest
  let raw = UnsafeRawPointer(x)
  var i = 0
  while i &+ 16 <= count {
    let a = (raw + i &* 4).loadUnaligned(as: SIMD8<Float>.self)
    let b = (raw + i &* 4 + 32).loadUnaligned(as: SIMD8<Float>.self)
    largest = processor_select_greater8(a, largest, a, largest)
    second = processor_select_greater8(b, second, b, second)
    i &+= 16
  }
  largest = processor_select_greater8(second, largest, second, largest)
  var result = -Float.infinity
  for lane in 0..<8 where largest[lane] > result { result = largest[lane] }
  while i < count {
    if x[i] > result { result = x[i] }
    i &+= 1
  }
  return result
}

/// Turns scores `first..<end` into weights: x becomes e^(y - largest y) with y = scale * x, softcapped where there is a cap.
/// Returns the weights' sum: element i is added to lane i % 16 in ascending order, then 8+8, 4+4, 2+2, 1+1.
///
/// Works on whole groups of 16, which must be there; what stands beside the range in them becomes 0 and changes no lane.
func weighScores(
  _ x: UnsafeMutablePointer<Float>, first: Int, end: Int, scale: Float, softcap: Float?
) -> Float {
  let (from, to) = (first & ~15, (end &+ 15) & ~15)
  let raw = UnsafeMutableRawPointer(x)
  let scales = SIMD8<Float>(repeating: scale)
  var i = from
  if let softcap {
    let caps = SIMD8<Float>(repeating: softcap)
    while i < to {
      let scaled = (raw + i &* 4).loadUnaligned(as: SIMD8<Float>.self) * scales
      let capped = caps * Elementary.hyperbolicTangent(scaled / caps)
      (raw + i &* 4).storeBytes(of: capped, as: SIMD8<Float>.self)
      i &+= 8
    }
  } else {
    while i < to {
      let scaled = (raw + i &* 4).loadUnaligned(as: SIMD8<Float>.self) * scales
      (raw + i &* 4).storeBytes(of: scaled, as: SIMD8<Float>.self)
      i &+= 8
    }
  }
  for i in from..<first { x[i] = -.infinity }
  for i in end..<to { x[i] = -.infinity }
  return exponentiateAndSum(x + from, to &- from, shift: largestElement(x + from, to &- from))
}

/// Replaces x by e^(x - shift) and returns the sum in 16 lanes; `count` is a multiple of 16, minus infinity becomes 0.
private func exponentiateAndSum(_ x: UnsafeMutablePointer<Float>, _ count: Int, shift: Float) -> Float {
  let shifts = SIMD8<Float>(repeating: shift)
  var low = SIMD8<Float>(repeating: 0)
  var high = low
  var at = UnsafeMutableRawPointer(x)
  for _ in 0..<count &>> 4 {
    let a = Elementary.exponential(at.loadUnaligned(as: SIMD8<Float>.self) - shifts)
    let b = Elementary.exponential(at.loadUnaligned(fromByteOffset: 32, as: SIMD8<Float>.self) - shifts)
    at.storeBytes(of: a, as: SIMD8<Float>.self)
    at.storeBytes(of: b, toByteOffset: 32, as: SIMD8<Float>.self)
    low += a
    high += b
    at += 64
  }
  let eight = low + high
  let four = eight.lowHalf + eight.highHalf
  let two = four.lowHalf + four.highHalf
  return two[0] + two[1]
}

/// The sum of e^(x - shift) in 16 lanes of double and the same tree.
func sumOfExponentials(_ x: UnsafePointer<Float>, _ count: Int, shift: Float) -> Double {
  let shifts = SIMD8<Float>(repeating: shift)
  var low = SIMD8<Double>(repeating: 0)
  var high = low
  let raw = UnsafeRawPointer(x)
  var i = 0
  while i &+ 16 <= count {
    low += processor_widen8(
      Elementary.exponential((raw + i &* 4).loadUnaligned(as: SIMD8<Float>.self) - shifts))
    high += processor_widen8(
      Elementary.exponential((raw + i &* 4 + 32).loadUnaligned(as: SIMD8<Float>.self) - shifts))
    i &+= 16
  }
  while i < count {
    let value = Double(Elementary.exp(x[i] - shift))
    if i & 15 < 8 { low[i & 7] += value } else { high[i & 7] += value }
    i &+= 1
  }
  let eight = low + high
  let four = eight.lowHalf + eight.highHalf
  let two = four.lowHalf + four.highHalf
  return two[0] + two[1]
}

/// `x[i] = e^(x[i] - shift) * factor`.
func softmaxElements(_ x: UnsafeMutablePointer<Float>, _ count: Int, shift: Float, factor: Float) {
  let shifts = SIMD8<Float>(repeating: shift)
  let factors = SIMD8<Float>(repeating: factor)
  forEach8(x, count) { x, _ in Elementary.exponential(x - shifts) * factors }
}
