internal import CProcessor

// The k largest: indices by falling value; among equals (+0 and -0 are equal) the lower index first; NaN after everything else.

/// Candidates as integers that sort as the selection does: the value's order in the upper half, the index reversed in the lower.
private struct Candidates {
  let k: Int
  /// Room for `capacity(k)`; the first `count` are candidates.
  let keys: UnsafeMutablePointer<UInt64>
  var count = 0
  /// The order of the k-th best so far; what is not above it can't enter, being of higher index.
  var threshold: UInt32 = 0
  var isFull = false

  init(k: Int, keys: UnsafeMutablePointer<UInt64>) { (self.k, self.keys) = (k, keys) }

  static func capacity(_ k: Int) -> Int { 2 * k + 128 }

  @inline(__always) mutating func offer(_ order: UInt32, _ index: Int) {
    if isFull, order <= threshold { return }
    keys[count] = UInt64(order) << 32 | UInt64(UInt32.max &- UInt32(truncatingIfNeeded: index))
    count &+= 1
    if count == Self.capacity(k) { cut() }
  }

  /// Keeps the k largest keys, in no order.
  mutating func cut() {
    if count > k {
      var (low, high) = (0, count &- 1)
      // Quickselect with the middle of three: every key is unique.
      while low < high {
        let (a, b, c) = (keys[low], keys[(low &+ high) / 2], keys[high])
        let pivot = max(min(a, b), min(max(a, b), c))
        var (i, j) = (low, high)
        while i <= j {
          while keys[i] > pivot { i &+= 1 }
          while keys[j] < pivot { j &-= 1 }
          if i <= j {
            (keys[i], keys[j]) = (keys[j], keys[i])
            i &+= 1
            j &-= 1
          }
        }
        if k &- 1 <= j {
          high = j
        } else if k &- 1 >= i {
          low = i
        } else {
          break
        }
      }
      count = k
    }
    guard count == k else { return }
    var least = UInt64.max
    for place in 0..<count { least = min(least, keys[place]) }
    isFull = true
    threshold = UInt32(truncatingIfNeeded: least >> 32)
  }

  /// The candidates' indices, the best first.
  func sorted() -> [Int] {
    var all = UnsafeMutableBufferPointer(start: keys, count: count)
    all.sort(by: >)
    return all.map { Int(UInt32.max &- UInt32(truncatingIfNeeded: $0)) }
  }
}

/// Rises with the value; 0 for NaN, equal for both zeros.
@inline(__always) private func order(_ value: Float) -> UInt32 {
  if value.isNaN { return 0 }
  let bits = (value + 0).bitPattern
  return bits & 0x8000_0000 == 0 ? bits | 0x8000_0000 : ~bits
}

/// The value whose `order` this is.
@inline(__always) private func value(_ order: UInt32) -> Float {
  Float(bitPattern: order & 0x8000_0000 != 0 ? order & 0x7FFF_FFFF : ~order)
}

private func select(_ x: UnsafePointer<Float>, _ count: Int, _ k: Int, byMagnitude: Bool) -> [Int] {
  precondition(count <= Int(Int32.max), "too many values for 32-bit indices")
  guard k > 0, count > 0 else { return [] }
  let kept = min(k, count)
  return withUnsafeTemporaryAllocation(of: UInt64.self, capacity: Candidates.capacity(kept)) { keys in
    keys.baseAddress.map { select(x, count, Candidates(k: kept, keys: $0), byMagnitude: byMagnitude) } ?? []
  }
}

private func select(_ x: UnsafePointer<Float>, _ count: Int, _ none: Candidates, byMagnitude: Bool) -> [Int] {
  var candidates = none
  let mask: UInt32 = byMagnitude ? 0x7FFF_FFFF : 0xFFFF_FFFF
  let raw = UnsafeRawPointer(x)
  var i = 0
  while i < count {
    if candidates.isFull, candidates.threshold > 0, i &+ 16 <= count {
      // Only what lies above the threshold is looked at; NaN compares false.
      let limit = SIMD16<Float>(repeating: value(candidates.threshold))
      let group = (raw + i &* 4).loadUnaligned(as: SIMD16<UInt32>.self) & SIMD16<UInt32>(repeating: mask)
      var above = processor_mask_greater16(unsafeBitCast(group, to: SIMD16<Float>.self), limit)
      while above != 0 {
        let place = i &+ above.trailingZeroBitCount
        candidates.offer(order(Float(bitPattern: x[place].bitPattern & mask)), place)
        above &= above &- 1
      }
      i &+= 16
      continue
    }
    let end = min(count, i &+ 16)
    while i < end {
      candidates.offer(order(Float(bitPattern: x[i].bitPattern & mask)), i)
      i &+= 1
    }
  }
  candidates.cut()
  return candidates.sorted()
}

/// The indices of the k largest values (all, where there are fewer), by falling value, ties by rising index, NaN last.
///
/// O(n) comparisons plus O(k log(n / k)) sorted insertions on values in random order.
package func topK(_ values: Span<Float>, _ k: Int) -> [Int] {
  values.withUnsafeBufferPointer { $0.baseAddress.map { select($0, values.count, k, byMagnitude: false) } ?? [] }
}

package func topK(_ values: [Float], _ k: Int) -> [Int] { topK(values.span, k) }

/// The same by absolute value.
package func topKByMagnitude(_ values: Span<Float>, _ k: Int) -> [Int] {
  values.withUnsafeBufferPointer { $0.baseAddress.map { select($0, values.count, k, byMagnitude: true) } ?? [] }
}

package func topKByMagnitude(_ values: [Float], _ k: Int) -> [Int] { topKByMagnitude(values.span, k) }

/// `topK` of every row.
package func topKRows(_ m: Matrix, _ k: Int, pool: ThreadPool) -> [[Int]] {
  [[Int]](unsafeUninitializedCapacity: m.rows) { target, written in
    m.elements.withUnsafeBufferPointer { x in
      forEachRowGroup(m.rows, m.columns, pool) { row in
        let indices = x.baseAddress.map { select($0 + row * m.columns, m.columns, k, byMagnitude: false) } ?? []
        target.initializeElement(at: row, to: indices)
      }
    }
    written = m.rows
  }
}

/// The index of the largest value: the first of equals; NaN only where there is nothing else; nil where there is nothing.
package func argmax(_ values: [Float]) -> Int? { topK(values.span, 1).first }

package func argmax(_ values: Span<Float>) -> Int? { topK(values, 1).first }

/// The places of the values by rising value: among equals (+0 and -0 are equal) the lower place first, NaN before everything else.
///
/// O(n): three rounds of counting on 11 bits of each value's order.
package func risingOrder(_ values: [Float]) -> [Int32] {
  precondition(values.count <= Int(Int32.max), "too many values for 32-bit indices")
  var keys = values.indices.map { UInt64(order(values[$0])) << 32 | UInt64($0) }
  var sorted = keys
  for shift in [32, 43, 54] as [UInt64] {
    var starts = [Int](repeating: 0, count: 1 << 11)
    for key in keys { starts[Int(key >> shift & 0x7FF)] &+= 1 }
    var next = 0
    for digit in starts.indices {
      let count = starts[digit]
      starts[digit] = next
      next += count
    }
    for key in keys {
      let digit = Int(key >> shift & 0x7FF)
      sorted[starts[digit]] = key
      starts[digit] &+= 1
    }
    swap(&keys, &sorted)
  }
  return keys.map { Int32(truncatingIfNeeded: $0) }
}
