/// The distinct ones of some indices below `width`, rising. O(count + width / 64).
package func rising(_ indices: [Int32], below width: Int) -> [Int32] {
  var marks = [UInt64](repeating: 0, count: (width + 63) / 64)
  var count = 0
  for index in indices {
    precondition(index >= 0 && Int(index) < width, "an index lies below the width")
    let (word, bit) = (Int(index) >> 6, UInt64(1) << UInt64(index & 63))
    if marks[word] & bit == 0 { count &+= 1 }
    marks[word] |= bit
  }
  return [Int32](unsafeUninitializedCapacity: count) { target, written in
    for (place, word) in marks.enumerated() {
      var rest = word
      while rest != 0 {
        target.initializeElement(at: written, to: Int32(truncatingIfNeeded: place &<< 6 &+ rest.trailingZeroBitCount))
        written &+= 1
        rest &= rest &- 1
      }
    }
  }
}

/// The rows of B that a sparse matrix names, in blocks that stay in the cache while every sparse row takes its entries from them.
struct BlockWalk {
  /// The rows that are named, rising.
  let named: [Int32]
  /// Where each block begins among those that are named, and where the last one ends.
  let bounds: [Int]
  /// Where each sparse row's entries of each block begin, `[blocks, rows]`, and of one past the last where they end.
  let cuts: [Int]
  /// Rows of the sparse matrix.
  let rows: Int

  var blocks: Int { bounds.count - 1 }

  /// Blocks of as many named rows as the caches have room for.
  init(_ s: SparseRows) {
    let named = rising(s.indices, below: s.columns)
    // A strip of 64 rows fits the first-level cache, all of their columns the second. One block for all, where sparse rows would
    // find less than four entries in each.
    let size = 4 * s.rows * named.count <= 64 * s.indices.count ? 64 : max(1, named.count)
    self.init(s, named, bounds: Array(stride(from: 0, to: named.count, by: size)) + [named.count])
  }

  /// Block i holds what is named of B's rows from `i * size` to the next block's first.
  init(_ s: SparseRows, rowsPerBlock size: Int) {
    let named = rising(s.indices, below: s.columns)
    var bounds = [0]
    for end in stride(from: size, to: s.columns + size, by: size) {
      var place = bounds[bounds.count - 1]
      while place < named.count && named[place] < end { place += 1 }
      bounds.append(place)
    }
    self.init(s, named, bounds: bounds)
  }

  private init(_ s: SparseRows, _ named: [Int32], bounds: [Int]) {
    self.named = named
    self.bounds = bounds
    rows = s.rows
    let blocks = bounds.count - 1
    cuts = [Int](unsafeUninitializedCapacity: bounds.count * s.rows) { cuts, written in
      for row in 0..<s.rows {
        var entry = s.rowStarts[row]
        let end = s.rowStarts[row + 1]
        for (block, place) in bounds.dropLast().enumerated() {
          while entry < end && place < named.count && s.indices[entry] < named[place] { entry &+= 1 }
          cuts.initializeElement(at: block * s.rows + row, to: place < named.count ? entry : end)
        }
        cuts.initializeElement(at: blocks * s.rows + row, to: end)
      }
      written = bounds.count * s.rows
    }
  }
}
