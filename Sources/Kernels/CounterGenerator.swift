/// A counter-based generator (Philox 4x32-10; Salmon, Moraes, Dror and Shaw 2011): draw number i of a stream is a pure function
/// of (seed, stream, i), so that streams can be cut, skipped and handed to workers at will.
package struct CounterGenerator: RandomNumberGenerator, Sendable, Equatable {
  package let seed: UInt64
  package let stream: UInt64
  /// The number of the next draw.
  package private(set) var position: UInt64
  /// The second half of a block whose first half was the last draw.
  private var held: UInt64?

  /// - Parameter position: the number of the first draw.
  package init(seed: UInt64, stream: UInt64, position: UInt64 = 0) {
    self.seed = seed
    self.stream = stream
    self.position = position
  }

  /// 64 uniform bits; uses one draw.
  package mutating func next() -> UInt64 {
    defer { position &+= 1 }
    if let held {
      self.held = nil
      return held
    }
    let (first, second) = CounterGenerator.block(seed: seed, stream: stream, index: position >> 1)
    if position & 1 == 1 { return second }
    held = second
    return first
  }

  /// Uniform in [0, 1), a multiple of 2^-53; uses one draw.
  package mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// Standard normal (Box and Muller 1958, the cosine half); uses two draws.
  package mutating func gaussian() -> Double {
    let radius = (-2 * Elementary.log(1 - uniform())).squareRoot()
    return radius * Elementary.cos(2 * Double.pi * uniform())
  }

  /// Two draws: the 128 bits of one Philox block whose counter is (index, stream) and whose key is the seed.
  static func block(seed: UInt64, stream: UInt64, index: UInt64) -> (UInt64, UInt64) {
    let counter = SIMD4<UInt32>(
      UInt32(truncatingIfNeeded: index), UInt32(truncatingIfNeeded: index >> 32), UInt32(truncatingIfNeeded: stream),
      UInt32(truncatingIfNeeded: stream >> 32))
    let x = philox(counter, key: SIMD2(UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)))
    return (UInt64(x[1]) << 32 | UInt64(x[0]), UInt64(x[3]) << 32 | UInt64(x[2]))
  }

  static func philox(_ counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
    var x = counter
    var key = key
    for _ in 0..<10 {
      let a = UInt64(0xD251_1F53) * UInt64(x[0])
      let b = UInt64(0xCD9E_8D57) * UInt64(x[2])
      x = SIMD4(
        UInt32(truncatingIfNeeded: b >> 32) ^ x[1] ^ key[0], UInt32(truncatingIfNeeded: b),
        UInt32(truncatingIfNeeded: a >> 32) ^ x[3] ^ key[1], UInt32(truncatingIfNeeded: a))
      key = SIMD2(key[0] &+ 0x9E37_79B9, key[1] &+ 0xBB67_AE85)
    }
    return x
  }
}
