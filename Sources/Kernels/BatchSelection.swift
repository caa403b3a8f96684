// Codes of TopK and BatchTopK SAEs from their pre-activations: what is kept is above zero, so bit patterns rise with values.

extension SparseRows {
  /// The `count` largest elements of every row that are above zero, as `SparseRows(topK:of:)` has them, faster where the rows
  /// are alike: the last row's limit is tried on the next one.
  ///
  /// Of equal elements the one in the lower column is taken. NaN is never taken. O(elements).
  package init(largestPerRow count: Int, of m: Matrix, pool: ThreadPool) {
    let kept = max(0, min(count, m.columns))
    let rowsAtOnce = 64
    var counts = [Int](repeating: 0, count: m.rows)
    var keys = [UInt64](repeating: 0, count: m.rows * kept)
    m.elements.withUnsafeBufferPointer { elements in
      counts.withUnsafeMutableBufferPointer { counts in
        keys.withUnsafeMutableBufferPointer { keys in
          guard let elements = elements.baseAddress, let counts = counts.baseAddress, let keys = keys.baseAddress
          else { return }
          pool.divide((m.rows + rowsAtOnce - 1) / rowsAtOnce) { group in
            var selection = RowSelection(kept: kept, columns: m.columns)
            for row in group * rowsAtOnce..<min(m.rows, (group + 1) * rowsAtOnce) {
              counts[row] = selection.select(elements + row * m.columns, into: keys + row * kept)
            }
          }
        }
      }
    }
    var (starts, indices, values) = ([0], [Int32](), [Float]())
    starts.reserveCapacity(m.rows + 1)
    indices.reserveCapacity(keys.count)
    values.reserveCapacity(keys.count)
    for row in 0..<m.rows {
      for entry in row * kept..<row * kept + counts[row] {
        indices.append(RowSelection.column(keys[entry]))
        values.append(RowSelection.value(keys[entry]))
      }
      starts.append(indices.count)
    }
    self.init(columns: m.columns, rowStarts: starts, indices: indices, values: values)
  }
  /// The `count` largest elements of a whole matrix that are above zero: the code of a BatchTopK SAE from its pre-activations.
  ///
  /// Of equal elements the one in the lower row, then the lower column, is taken. NaN is never taken. O(elements): two counting
  /// passes over the bit patterns, which rise with positive numbers.
  package init(largest count: Int, of m: Matrix, pool: ThreadPool) {
    let limit = m.elements.withUnsafeBufferPointer { values in PatternLimit(largest: max(0, count), of: values) }
    var ties = limit.ties
    var (starts, indices, values) = ([0], [Int32](), [Float]())
    indices.reserveCapacity(max(0, min(count, m.elements.count)))
    values.reserveCapacity(max(0, min(count, m.elements.count)))
    starts.reserveCapacity(m.rows + 1)
    m.elements.withUnsafeBufferPointer { elements in
      for row in 0..<m.rows {
        for column in 0..<m.columns {
          let value = elements[row &* m.columns &+ column]
          // Not above zero, or NaN: negative numbers have larger patterns.
          guard value > 0, value.bitPattern >= limit.pattern else { continue }
          if value.bitPattern == limit.pattern {
            if ties == 0 { continue }
            ties -= 1
          }
          indices.append(Int32(truncatingIfNeeded: column))
          values.append(value)
        }
        starts.append(indices.count)
      }
    }
    self.init(columns: m.columns, rowStarts: starts, indices: indices, values: values)
  }
}

/// The smallest positive bit pattern taken, and how many elements that have it.
private struct PatternLimit {
  /// At least 1: zero itself is never taken.
  let pattern: UInt32
  let ties: Int

  init(largest count: Int, of values: UnsafeBufferPointer<Float>) {
    var upper = [Int](repeating: 0, count: 1 << 16)
    upper.withUnsafeMutableBufferPointer { upper in
      for value in values where value > 0 { upper[Int(value.bitPattern >> 16)] += 1 }
    }
    guard let (half, above) = Self.bucket(of: count, in: upper) else {
      (pattern, ties) = (1, .max)
      return
    }
    var lower = [Int](repeating: 0, count: 1 << 16)
    lower.withUnsafeMutableBufferPointer { lower in
      for value in values where value > 0 && value.bitPattern >> 16 == half {
        lower[Int(value.bitPattern & 0xFFFF)] += 1
      }
    }
    guard let (rest, inBucket) = Self.bucket(of: count - above, in: lower) else {
      (pattern, ties) = (1, .max)
      return
    }
    pattern = half << 16 | rest
    ties = count - above - inBucket
  }

  /// The bucket, counted from the highest, in which element number `count` lies, and how many elements are in higher ones; nil
  /// where there are no more than `count` in all.
  private static func bucket(of count: Int, in buckets: [Int]) -> (bucket: UInt32, above: Int)? {
    var above = 0
    for bucket in buckets.indices.reversed() {
      if above + buckets[bucket] > count { return (UInt32(bucket), above) }
      above += buckets[bucket]
    }
    return nil
  }
}

/// Finds the largest elements of one row after another.
private struct RowSelection {
  let kept: Int
  let columns: Int
  /// What is not above it is passed over at first.
  private var guess: Float = 0
  /// Bit pattern in the upper half, the column reversed in the lower: keys differ, and rise as the selection prefers.
  private var candidates: [UInt64] = []
  private var scratch: [UInt64] = []

  init(kept: Int, columns: Int) {
    self.kept = kept
    self.columns = columns
    candidates.reserveCapacity(columns)
    scratch.reserveCapacity(columns)
  }

  @inline(__always) static func column(_ key: UInt64) -> Int32 { Int32(bitPattern: ~UInt32(truncatingIfNeeded: key)) }
  @inline(__always) static func value(_ key: UInt64) -> Float { Float(bitPattern: UInt32(key >> 32)) }

  /// Writes the row's keys in the order of the columns; returns how many.
  mutating func select(_ row: UnsafePointer<Float>, into target: UnsafeMutablePointer<UInt64>) -> Int {
    guard kept > 0 else { return 0 }
    collect(row, above: guess)
    if candidates.count < kept, guess > 0 { collect(row, above: 0) }
    var smallest: UInt64 = 0
    if candidates.count > kept {
      scratch.removeAll(keepingCapacity: true)
      scratch.append(contentsOf: candidates)
      smallest = scratch.withUnsafeMutableBufferPointer { Self.element(kept - 1, fromLargest: $0) }
    }
    var written = 0
    for key in candidates where key >= smallest {
      target[written] = key
      written &+= 1
    }
    guess = candidates.count > kept ? Self.value(smallest) * 0.875 : 0
    return written
  }

  private mutating func collect(_ row: UnsafePointer<Float>, above limit: Float) {
    candidates.removeAll(keepingCapacity: true)
    let limits = SIMD8<Float>(repeating: limit)
    var column = 0
    while column < columns {
      let end = min(column &+ 16, columns)
      if column &+ 16 <= columns {
        let address = UnsafeRawPointer(row + column)
        let low = address.loadUnaligned(as: SIMD8<Float>.self) .> limits
        let high = address.loadUnaligned(fromByteOffset: 32, as: SIMD8<Float>.self) .> limits
        if !any(low .| high) {
          column = end
          continue
        }
      }
      while column < end {
        let value = row[column]
        if value > limit {
          candidates.append(UInt64(value.bitPattern) << 32 | UInt64(~UInt32(truncatingIfNeeded: column)))
        }
        column &+= 1
      }
    }
  }

  /// Element number `rank` of those in falling order, all different, by partition around the middle of three.
  private static func element(_ rank: Int, fromLargest keys: UnsafeMutableBufferPointer<UInt64>) -> UInt64 {
    var (low, high) = (0, keys.count - 1)
    while low < high {
      let (first, middle, last) = (keys[low], keys[(low + high) / 2], keys[high])
      let pivot = max(min(first, middle), min(max(first, middle), last))
      var (left, right) = (low, high)
      while left <= right {
        while keys[left] > pivot { left &+= 1 }
        while keys[right] < pivot { right &-= 1 }
        if left <= right {
          keys.swapAt(left, right)
          left &+= 1
          right &-= 1
        }
      }
      if rank <= right { high = right } else if rank >= left { low = left } else { return keys[rank] }
    }
    return keys[rank]
  }
}
