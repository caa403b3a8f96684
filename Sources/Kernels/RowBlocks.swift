/// Rows cut into blocks of at most `TileShape.rows` whose heights differ by at most one, the taller ones first: with six, 13 is
/// 5 + 4 + 4, not 6 + 6 + 1.
struct RowBlocks {
  let rows: Int
  let count: Int
  /// Rows of a lower block; a taller one has one more.
  let height: Int
  let taller: Int

  init(rows: Int) {
    self.rows = rows
    count = (rows + TileShape.rows - 1) / TileShape.rows
    (height, taller) = count > 0 ? rows.quotientAndRemainder(dividingBy: count) : (0, 0)
  }

  private init(count: Int, height: Int, taller: Int) {
    (self.count, self.height, self.taller) = (count, height, taller)
    rows = count * height + taller
  }

  var lower: Int { count - taller }

  func start(_ block: Int) -> Int { block * height + min(block, taller) }

  /// One of some equal parts.
  func part(_ index: Int, of parts: Int) -> Range<Int> { index * count / parts..<(index + 1) * count / parts }

  /// Some of them.
  func some(_ blocks: Range<Int>) -> RowBlocks {
    RowBlocks(
      count: blocks.count, height: height, taller: min(blocks.upperBound, taller) - min(blocks.lowerBound, taller))
  }
}
