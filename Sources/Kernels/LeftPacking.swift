/// A left factor on its way into the order of the tiles: block by block of k, row block by row block, `[steps][rows]`.
struct LeftPacking {
  let left: LeftFactor
  let m: Int
  let k: Int
  let blockLength: Int
  let rowBlocks: RowBlocks
  /// The part that begins at step k0 and row r lies at `m * k0 + r * steps`. Freed by who made this.
  let packed: UnsafeMutablePointer<Float>

  init(left: LeftFactor, m: Int, k: Int, blockLength: Int) {
    (self.left, self.m, self.k, self.blockLength) = (left, m, k, blockLength)
    rowBlocks = RowBlocks(rows: m)
    packed = .allocateAligned(m * k)
  }

  func pack(_ blocks: Range<Int>) {
    for block in blocks {
      let rows = rowBlocks.start(block)..<rowBlocks.start(block + 1)
      for first in stride(from: 0, to: k, by: blockLength) {
        let steps = first..<min(k, first + blockLength)
        left.pack(rows: rows, steps: steps, into: packed + (m * first + rows.lowerBound * steps.count))
      }
    }
  }
}
