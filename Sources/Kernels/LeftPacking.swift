/// Rows of a left factor in the order of the tiles: block by block of k, row block by row block, `[steps][rows]`.
struct LeftPacking {
  let left: LeftFactor
  let k: Int
  let blockLength: Int
  let rowBlocks: RowBlocks
  /// The row blocks that have a place here, and their rows.
  let blocks: Range<Int>
  private let firstRow: Int
  private let rows: Int
  private let packed: UnsafeMutablePointer<Float>

  /// Free it with `deallocate`.
  init(left: LeftFactor, k: Int, blockLength: Int, rowBlocks: RowBlocks, blocks: Range<Int>) {
    (self.left, self.k, self.blockLength, self.rowBlocks, self.blocks) = (left, k, blockLength, rowBlocks, blocks)
    firstRow = rowBlocks.start(blocks.lowerBound)
    rows = rowBlocks.start(blocks.upperBound) - firstRow
    packed = .allocateAligned(rows * k)
  }

  func deallocate() { packed.deallocate() }

  /// Packs some of the row blocks.
  func pack(_ some: Range<Int>) {
    for block in some {
      let rows = rowBlocks.start(block)..<rowBlocks.start(block + 1)
      for first in stride(from: 0, to: k, by: blockLength) {
        let steps = first..<min(k, first + blockLength)
        left.pack(rows: rows, steps: steps, into: part(row: rows.lowerBound, steps: steps))
      }
    }
  }

  /// Where a row block that begins at this row lies, in one block of k.
  func part(row: Int, steps: Range<Int>) -> UnsafeMutablePointer<Float> {
    packed + (rows * steps.lowerBound + (row - firstRow) * steps.count)
  }
}
