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
  /// Which one of its block's named rows each entry takes.
  let places: [Int32]
  /// Rows of the sparse matrix.
  let rows: Int

  var blocks: Int { bounds.count - 1 }

  /// Named rows of a block: a strip of them fits the first-level cache, all of their columns the second.
  static let size = 64

  /// Nil where sparse rows would find too little in a block, or too few of them what it holds, for going through blocks to be worth it.
  init?(sharing s: SparseRows) {
    let named = rising(s.indices, below: s.columns)
    let entries = s.indices.count
    guard entries >= 4 * named.count, Self.size * entries >= 4 * s.rows * named.count else { return nil }
    self.init(s, named, bounds: Array(stride(from: 0, to: named.count, by: Self.size)) + [named.count])
  }

  /// Block i holds what is named of B's rows from `i * rowsPerBlock` to the next block's first.
  init(_ s: SparseRows, named: [Int32], rowsPerBlock: Int) {
    var bounds = [0]
    for end in stride(from: rowsPerBlock, to: s.columns + rowsPerBlock, by: rowsPerBlock) {
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
    var ranks = [Int32](repeating: 0, count: s.columns)
    for (rank, row) in named.enumerated() { ranks[Int(row)] = Int32(truncatingIfNeeded: rank) }
    var places = s.indices.map { ranks[Int($0)] }
    cuts = [Int](unsafeUninitializedCapacity: bounds.count * s.rows) { cuts, written in
      for row in 0..<s.rows {
        var entry = s.rowStarts[row]
        let end = s.rowStarts[row + 1]
        cuts.initializeElement(at: row, to: entry)
        for block in 1..<bounds.count {
          while entry < end && places[entry] < bounds[block] {
            places[entry] &-= Int32(truncatingIfNeeded: bounds[block - 1])
            entry &+= 1
          }
          cuts.initializeElement(at: block * s.rows + row, to: entry)
        }
      }
      written = bounds.count * s.rows
    }
    self.places = places
  }
}
