internal import Kernels

/// The keys and values of one sequence in every block: a prefix that other caches may share, then a tail of its own.
///
/// A value: a copy is independent, and costs nothing until one of the two grows. Blocks may hold different numbers of
/// positions, because a caller may start from a stored residual stream and run the later blocks only.
package struct KeyValueCache: Sendable {
  struct Block: Sendable {
    var prefixKeys: Matrix?
    var prefixValues: Matrix?
    /// Positions of the prefix that count; its matrices may have more rows.
    var prefixCount = 0
    var keys: Matrix
    var values: Matrix

    var count: Int { prefixCount + keys.rows }
  }

  private(set) var blocks: [Block]

  /// An empty cache for a model with that many blocks and that width of all key heads together.
  init(blocks: Int, keyValueWidth: Int) {
    let empty = Matrix(rows: 0, columns: keyValueWidth)
    self.blocks = Array(repeating: Block(keys: empty, values: empty), count: blocks)
  }

  /// Positions stored for `block`.
  package func count(block: Int) -> Int { blocks[block].count }

  /// Bytes held, shared prefixes included.
  package var bytes: Int {
    blocks.reduce(0) { total, block in
      total + 8 * (block.keys.elements.count + (block.prefixKeys?.elements.count ?? 0))
    }
  }

  /// A cache that goes on after the first `position` positions of this one, sharing what it can.
  ///
  /// Blocks that hold fewer positions keep what they have. O(blocks) where this cache has no prefix or `position` lies within
  /// it; otherwise the tail's rows up to `position` are copied.
  package func branch(at position: Int) -> KeyValueCache {
    precondition(position >= 0, "a position is not negative")
    var copy = self
    for index in blocks.indices { copy.blocks[index] = KeyValueCache.branch(of: blocks[index], at: position) }
    return copy
  }

  /// The same positions as a prefix: copies of it share them, whatever they append.
  ///
  /// O(blocks) where this cache has no prefix yet; otherwise prefix and tail are copied into one.
  package func asPrefix() -> KeyValueCache {
    var copy = self
    for index in blocks.indices where !blocks[index].keys.elements.isEmpty {
      let block = blocks[index]
      func joined(_ prefix: Matrix?, _ tail: Matrix) -> Matrix {
        guard let prefix, block.prefixCount > 0 else { return tail }
        var whole = prefix.rows(0..<block.prefixCount)
        whole.append(rows: tail)
        return whole
      }
      let empty = Matrix(rows: 0, columns: block.keys.columns)
      copy.blocks[index] = Block(
        prefixKeys: joined(block.prefixKeys, block.keys), prefixValues: joined(block.prefixValues, block.values),
        prefixCount: block.count, keys: empty, values: empty)
    }
    return copy
  }

  /// Forgets the positions from `position` on, in all blocks.
  package mutating func trim(to position: Int) {
    for index in blocks.indices { trim(to: position, block: index) }
  }

  /// Forgets the positions from `position` on in one block.
  package mutating func trim(to position: Int, block: Int) {
    precondition(position >= 0, "a position is not negative")
    guard blocks[block].count > position else { return }
    blocks[block].prefixCount = min(blocks[block].prefixCount, position)
    if blocks[block].prefixCount == 0 { (blocks[block].prefixKeys, blocks[block].prefixValues) = (nil, nil) }
    let kept = 0..<(position - blocks[block].prefixCount)
    blocks[block].keys = blocks[block].keys.rows(kept)
    blocks[block].values = blocks[block].values.rows(kept)
  }

  /// Adds the rows `rows` of `keys` and `values` to a block.
  mutating func append(block: Int, keys: Matrix, values: Matrix, rows: Range<Int>) {
    let whole = rows == 0..<keys.rows
    blocks[block].keys.append(rows: whole ? keys : keys.rows(rows))
    blocks[block].values.append(rows: whole ? values : values.rows(rows))
  }

  private static func branch(of block: Block, at position: Int) -> Block {
    var branch = block
    let ownRows = min(position, block.count) - block.prefixCount
    let empty = Matrix(rows: 0, columns: block.keys.columns)
    if ownRows <= 0 {
      branch.prefixCount = min(position, block.prefixCount)
      (branch.keys, branch.values) = (empty, empty)
    } else if block.prefixCount == 0 {
      (branch.prefixKeys, branch.prefixValues, branch.prefixCount) = (block.keys, block.values, ownRows)
      (branch.keys, branch.values) = (empty, empty)
    } else {
      (branch.keys, branch.values) = (block.keys.rows(0..<ownRows), block.values.rows(0..<ownRows))
    }
    return branch
  }
}
