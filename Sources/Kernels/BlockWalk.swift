/// The rows of B that have weights, in blocks that stay in the cache while every row of the result takes what it needs from them.
struct BlockWalk {
  /// The rows that are named, rising.
  let named: [Int32]
  /// Where each block begins among those that are named, and where the last one ends.
  let bounds: [Int]
  /// Where each sparse row's entries of each block begin, `[blocks, rows]`, and of one past the last where they end.
  let cuts: [Int]
  /// Which one of its block's named rows each entry takes.
  let places: [Int32]
  /// Likewise for the entries of each ladder's sides.
  let ladderPlaces: [(counting: [Int32], ending: [Int32])]
  /// The first block of each group of B's rows, and what follows the last.
  let groups: [Int]
  /// Rows of the sparse matrix.
  let rows: Int

  var blocks: Int { bounds.count - 1 }

  /// Named rows of a block: a strip of them fits the first-level cache, all of their columns the second.
  static let size = 64

  /// Nil where sparse rows would find too little in a block, or too few of them what it holds, for blocks to be worth it.
  init?(sharing s: SparseRows) {
    let named = rising(s.indices, below: s.columns)
    let entries = s.indices.count
    guard entries >= 4 * named.count, Self.size * entries >= 4 * s.rows * named.count else { return nil }
    let bounds = Array(stride(from: 0, to: named.count, by: Self.size)) + [named.count]
    self.init(RowWeights(sparse: s), named, bounds: bounds, groups: [0, bounds.count - 1])
  }

  /// Group i holds what is named of B's rows from `i * rowsPerGroup` to the next group's first: with ladders in their own blocks, else
  /// in as many blocks of equal size as it takes to stay below one and a half times `size`.
  /// - Precondition: where there are ladders, groups consist of whole blocks of theirs.
  init(_ weights: RowWeights, named: [Int32], rowsPerGroup: Int) {
    let size = LadderRows.rowsPerBlock
    precondition(weights.ladders.isEmpty || rowsPerGroup % size == 0, "a ladder's blocks are not cut")
    var (bounds, groups) = ([0], [0])
    var place = 0
    func skip(to row: Int) { while place < named.count && named[place] < row { place += 1 } }
    for end in stride(from: rowsPerGroup, to: weights.sparse.columns + rowsPerGroup, by: rowsPerGroup) {
      if weights.ladders.isEmpty {
        let first = place
        skip(to: end)
        let blocks = (2 * (place - first) + 3 * Self.size - 1) / (3 * Self.size)
        for block in 0..<blocks { bounds.append(first + (place - first) * (block + 1) / blocks) }
      } else {
        for last in stride(from: end - rowsPerGroup, to: min(end, weights.sparse.columns), by: size) {
          skip(to: last + size)
          bounds.append(place)
        }
      }
      groups.append(bounds.count - 1)
    }
    self.init(weights, named, bounds: bounds, groups: groups)
  }

  private init(_ weights: RowWeights, _ named: [Int32], bounds: [Int], groups: [Int]) {
    let s = weights.sparse
    (self.named, self.bounds, self.groups) = (named, bounds, groups)
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
    ladderPlaces = weights.ladders.map { ladder in
      func places(_ side: LadderRows.Side) -> [Int32] {
        side.rows.map { ranks[Int($0)] - Int32(truncatingIfNeeded: bounds[Int($0) / LadderRows.rowsPerBlock]) }
      }
      return (places(ladder.counting), places(ladder.ending))
    }
  }
}
