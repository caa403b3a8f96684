internal import CProcessor

// What this machine can do at most, for `steerscope bench`: kernels are judged by their ratio to these, measured beside them.

/// Runs independent chains of fused multiply-adds in registers, in the vector width of the kernels, on every thread of the pool.
///
/// - Returns: how many floating-point operations that were, two a multiply-add.
package func multiplyAddCeiling(repetitions: Int, pool: ThreadPool) -> Double {
  precondition(repetitions >= 0, "no negative repetitions")
  pool.divide(pool.threads) { _ in
    let sum = multiplyAddChains(repetitions)
    precondition(sum.isFinite, "the chains converge")
  }
  return Double(pool.threads) * Double(repetitions) * Double(chains * 16 * 2)
}

// Twelve registers either way: enough to hide the latency of a multiply-add at two a cycle.
#if X86_64_V4
  private let chains = 12
#else
  private let chains = 6
#endif

@inline(never) private func multiplyAddChains(_ repetitions: Int) -> Float {
  let (factor, term) = (SIMD16<Float>(repeating: 0.5), SIMD16<Float>(repeating: 1))
  var (a, b, c) = (SIMD16<Float>(repeating: 1), SIMD16<Float>(repeating: 2), SIMD16<Float>(repeating: 3))
  var (d, e, f) = (a + c, b + c, c + c)
  #if X86_64_V4
    var (g, h, i, j, k, l) = (a + d, b + d, c + d, d + d, e + d, f + d)
  #endif
  for _ in 0..<repetitions {
    a = processor_fma16(a, factor, term)
    b = processor_fma16(b, factor, term)
    c = processor_fma16(c, factor, term)
    d = processor_fma16(d, factor, term)
    e = processor_fma16(e, factor, term)
    f = processor_fma16(f, factor, term)
    #if X86_64_V4
      g = processor_fma16(g, factor, term)
      h = processor_fma16(h, factor, term)
      i = processor_fma16(i, factor, term)
      j = processor_fma16(j, factor, term)
      k = processor_fma16(k, factor, term)
      l = processor_fma16(l, factor, term)
    #endif
  }
  var sum = a + b + c + d + e + f
  #if X86_64_V4
    sum += g + h + i + j + k + l
  #endif
  return sum.sum()
}

/// Reads every byte once, each thread of the pool a part: what bounds every kernel that reads its weights once.
///
/// - Returns: the exclusive or of all words, so that nothing can be left out.
@discardableResult
package func readCeiling(_ bytes: RawSpan, pool: ThreadPool) -> UInt64 {
  let parts = pool.threads == 1 ? 1 : pool.threads * 8
  return bytes.withUnsafeBytes { bytes in
    guard let base = bytes.baseAddress else { return 0 }
    let share = bytes.count / parts & ~255
    return withUnsafeTemporaryAllocation(of: UInt64.self, capacity: parts) { sums in
      pool.divide(parts) { part in
        sums.initializeElement(at: part, to: exclusiveOr(base + part * share, share))
      }
      return sums.reduce(0, ^)
    }
  }
}

/// `count` is a multiple of 256.
@inline(never) private func exclusiveOr(_ base: UnsafeRawPointer, _ count: Int) -> UInt64 {
  var (a, b, c, d) = (SIMD8<UInt64>(), SIMD8<UInt64>(), SIMD8<UInt64>(), SIMD8<UInt64>())
  var at = base
  for _ in 0..<count / 256 {
    a ^= at.loadUnaligned(as: SIMD8<UInt64>.self)
    b ^= at.loadUnaligned(fromByteOffset: 64, as: SIMD8<UInt64>.self)
    c ^= at.loadUnaligned(fromByteOffset: 128, as: SIMD8<UInt64>.self)
    d ^= at.loadUnaligned(fromByteOffset: 192, as: SIMD8<UInt64>.self)
    at += 256
  }
  let all = a ^ b ^ c ^ d
  return all.indices.reduce(0) { $0 ^ all[$1] }
}
