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
  /// Of equal elements the one in the lower row, then the lower column, is taken. NaN is never taken. O(elements).
  package init(largest count: Int, of m: Matrix, pool: ThreadPool) {
    let groups = (m.rows + WholeSelection.rowsAtOnce - 1) / WholeSelection.rowsAtOnce
    var parts = [WholeSelection.Part](repeating: .init(), count: groups)
    m.elements.withUnsafeBufferPointer { elements in
      guard let elements = elements.baseAddress else { return }
      let selection = WholeSelection(elements: elements, rows: m.rows, columns: m.columns)
      let limit = selection.smallestKey(ofLargest: max(0, count), groups: groups, pool: pool)
      parts.withUnsafeMutableBufferPointer { parts in
        guard let parts = parts.baseAddress else { return }
        pool.divide(groups) { parts[$0] = selection.part($0, from: limit) }
      }
    }
    var (starts, indices, values) = ([0], [Int32](), [Float]())
    starts.reserveCapacity(m.rows + 1)
    for part in parts {
      starts.append(contentsOf: part.rowEnds.map { $0 + indices.count })
      indices.append(contentsOf: part.indices)
      values.append(contentsOf: part.values)
    }
    if m.columns == 0 { starts = Array(repeating: 0, count: m.rows + 1) }
    self.init(columns: m.columns, rowStarts: starts, indices: indices, values: values)
  }
}

/// Selection over all elements: a histogram of the upper 12 bits finds the bucket in which the last one taken lies, then a
/// partition of that bucket finds the element.
private struct WholeSelection {
  static let rowsAtOnce = 64
  /// Patterns from here on are infinite or not numbers.
  private static let infinity: UInt32 = 0x7F80_0000
  private static let bucketShift: UInt32 = 20

  struct Part {
    var rowEnds: [Int] = []
    var indices: [Int32] = []
    var values: [Float] = []
  }

  let elements: UnsafePointer<Float>
  let rows: Int
  let columns: Int

  private func elementRange(_ group: Int) -> Range<Int> {
    group * Self.rowsAtOnce * columns..<min(rows, (group + 1) * Self.rowsAtOnce) * columns
  }

  /// The pattern in the upper half, the position reversed in the lower; 0 for what is never taken.
  @inline(__always) private func key(_ position: Int) -> UInt64 {
    let value = elements[position]
    return value > 0 ? UInt64(value.bitPattern) << 32 | UInt64(~UInt32(truncatingIfNeeded: position)) : 0
  }

  /// The key of the last element taken; 1 where all above zero are, the largest of all where none is.
  func smallestKey(ofLargest count: Int, groups: Int, pool: ThreadPool) -> UInt64 {
    precondition(rows * columns <= Int(UInt32.max), "positions are numbered in 32 bits")
    guard count > 0 else { return .max }
    let buckets = 1 << 12
    var counts = [UInt32](repeating: 0, count: groups * buckets)
    counts.withUnsafeMutableBufferPointer { counts in
      guard let counts = counts.baseAddress else { return }
      pool.divide(groups) { group in
        let own = counts + group * buckets
        for position in elementRange(group) {
          // What is negative, zero or not a number counts as pattern 0.
          let bits = elements[position].bitPattern
          own[Int((bits <= Self.infinity ? bits : 0) >> Self.bucketShift)] &+= 1
        }
      }
    }
    var above = 0
    for bucket in (0..<buckets).reversed() {
      let here = (0..<groups).reduce(0) { $0 + Int(counts[$1 * buckets + bucket]) }
      if above + here >= count { return last(count - above, inBucket: bucket, groups: groups, pool: pool) }
      above += here
    }
    return 1
  }

  private func last(_ count: Int, inBucket bucket: Int, groups: Int, pool: ThreadPool) -> UInt64 {
    var parts = [[UInt64]](repeating: [], count: groups)
    parts.withUnsafeMutableBufferPointer { parts in
      guard let parts = parts.baseAddress else { return }
      pool.divide(groups) { parts[$0] = keys(inBucket: Int32(bucket), of: elementRange($0)) }
    }
    var found = Array(parts.joined())
    // The lowest bucket was counted with what is never taken.
    guard count <= found.count else { return 1 }
    let size = found.count
    return found.withUnsafeMutableBufferPointer { found in
      found.baseAddress.map { RowSelection.element(count - 1, fromLargest: $0, size) } ?? 1
    }
  }

  private func keys(inBucket bucket: Int32, of range: Range<Int>) -> [UInt64] {
    // As signed numbers, patterns of negative values are negative: one comparison on each side is enough. +0 is left out.
    let (low, high) = (max(1, bucket << Int32(Self.bucketShift)), (bucket + 1) << Int32(Self.bucketShift) - 1)
    let (lows, highs) = (SIMD8<Int32>(repeating: low), SIMD8<Int32>(repeating: high))
    var keys: [UInt64] = []
    var position = range.lowerBound
    while position < range.upperBound {
      let end = min(position &+ 8, range.upperBound)
      if position &+ 8 <= range.upperBound {
        let eight = UnsafeRawPointer(elements + position).loadUnaligned(as: SIMD8<Int32>.self)
        if !any((eight .>= lows) .& (eight .<= highs)) {
          position = end
          continue
        }
      }
      while position < end {
        let bits = Int32(bitPattern: elements[position].bitPattern)
        if bits >= low, bits <= high, bits <= Int32(Self.infinity) { keys.append(key(position)) }
        position &+= 1
      }
    }
    return keys
  }

  /// The elements of some rows whose keys are at least `limit`.
  func part(_ group: Int, from limit: UInt64) -> Part {
    var part = Part()
    let smallest = Float(bitPattern: UInt32(limit >> 32))
    let limits = SIMD8<Float>(repeating: smallest)
    for row in group * Self.rowsAtOnce..<min(rows, (group + 1) * Self.rowsAtOnce) {
      let start = row * columns
      var column = 0
      while column < columns {
        let end = min(column &+ 8, columns)
        if column &+ 8 <= columns {
          let eight = UnsafeRawPointer(elements + (start &+ column)).loadUnaligned(as: SIMD8<Float>.self)
          if !any(eight .>= limits) {
            column = end
            continue
          }
        }
        while column < end {
          if key(start &+ column) >= limit {
            part.indices.append(Int32(truncatingIfNeeded: column))
            part.values.append(elements[start &+ column])
          }
          column &+= 1
        }
      }
      part.rowEnds.append(part.indices.count)
    }
    return part
  }
}

/// Finds the largest elements of one row after another. Owns its scratch memory: arrays would check and retain at every step.
private struct RowSelection: ~Copyable {
  let kept: Int
  let columns: Int
  /// What is not above it is passed over at first.
  private var guess: Float = 0
  /// Bit pattern in the upper half, the column reversed in the lower: keys differ, and rise as the selection prefers.
  private let candidates: UnsafeMutablePointer<UInt64>
  private let scratch: UnsafeMutablePointer<UInt64>

  init(kept: Int, columns: Int) {
    self.kept = kept
    self.columns = columns
    candidates = .allocate(capacity: max(1, columns))
    scratch = .allocate(capacity: max(1, columns))
  }

  deinit {
    candidates.deallocate()
    scratch.deallocate()
  }

  @inline(__always) static func column(_ key: UInt64) -> Int32 { Int32(bitPattern: ~UInt32(truncatingIfNeeded: key)) }
  @inline(__always) static func value(_ key: UInt64) -> Float { Float(bitPattern: UInt32(key >> 32)) }

  /// Writes the row's keys in the order of the columns; returns how many.
  mutating func select(_ row: UnsafePointer<Float>, into target: UnsafeMutablePointer<UInt64>) -> Int {
    guard kept > 0 else { return 0 }
    var count = collect(row, above: guess)
    if count < kept, guess > 0 { count = collect(row, above: 0) }
    guard count > kept else {
      target.update(from: candidates, count: count)
      guess = 0
      return count
    }
    scratch.update(from: candidates, count: count)
    let smallest = Self.element(kept - 1, fromLargest: scratch, count)
    var written = 0
    for entry in 0..<count where candidates[entry] >= smallest {
      target[written] = candidates[entry]
      written &+= 1
    }
    guess = Self.value(smallest) * 0.875
    return written
  }

  private func collect(_ row: UnsafePointer<Float>, above limit: Float) -> Int {
    let limits = SIMD8<Float>(repeating: limit)
    var count = 0
    var column = 0
    while column &+ 16 <= columns {
      let address = UnsafeRawPointer(row + column)
      let low = address.loadUnaligned(as: SIMD8<Float>.self) .> limits
      let high = address.loadUnaligned(fromByteOffset: 32, as: SIMD8<Float>.self) .> limits
      if any(low .| high) { take(row, column, column &+ 16, above: limit, &count) }
      column &+= 16
    }
    take(row, column, columns, above: limit, &count)
    return count
  }

  /// Writes each key and steps on only past those above the limit: no branch to mispredict.
  @inline(__always) private func take(
    _ row: UnsafePointer<Float>, _ start: Int, _ end: Int, above limit: Float, _ count: inout Int
  ) {
    var column = start
    while column < end {
      let value = row[column]
      candidates[count] = UInt64(value.bitPattern) << 32 | UInt64(~UInt32(truncatingIfNeeded: column))
      count &+= value > limit ? 1 : 0
      column &+= 1
    }
  }

  /// Element number `rank` of those in falling order, all different, by partition around the middle of three.
  static func element(_ rank: Int, fromLargest keys: UnsafeMutablePointer<UInt64>, _ count: Int) -> UInt64 {
    var (low, high) = (0, count &- 1)
    while low < high {
      let (first, middle, last) = (keys[low], keys[(low &+ high) / 2], keys[high])
      let pivot = max(min(first, middle), min(max(first, middle), last))
      var (left, right) = (low, high)
      while left <= right {
        while keys[left] > pivot { left &+= 1 }
        while keys[right] < pivot { right &-= 1 }
        if left <= right {
          (keys[left], keys[right]) = (keys[right], keys[left])
          left &+= 1
          right &-= 1
        }
      }
      if rank <= right { high = right } else if rank >= left { low = left } else { return keys[rank] }
    }
    return keys[rank]
  }
}
