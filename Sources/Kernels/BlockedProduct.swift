/// Products of many rows, from the inside out: a tile's chains run over one block of k; between blocks they rest in a compact
/// strip that the second-level cache holds; a strip belongs to as many rows as that cache has room for.
extension Product {
  /// Steps of k whose panels stay in the first-level cache (24 KiB of 32, or 36 KiB of 48 where there is AVX-512).
  private static let longestBlock = TileShape.panels == 1 ? 384 : 192
  /// The same where two blocks of panels, packed on the fly, share the second-level cache with the left factor.
  private static let longestBlockUnpacked = 192
  /// Row blocks whose packed part stays in the second-level cache beside the panels that stream by.
  private static let rowBlocksAtOnce = 128
  /// Numbers that rest between two blocks of k: a part of the second-level cache. They rest tile by tile, because the rows of
  /// the results may lie 2^n bytes apart and share a few cache sets.
  private static let restingNumbers = TileShape.panels == 1 ? 96 * 1024 : 192 * 1024
  /// Panels of one block of an unpacked row-major factor, at most.
  private static let panelsOfBlock = 30

  /// Steps per block of k: equal parts, a multiple of four except for the last.
  private var blockLength: Int {
    let longest = right.layout == .rowMajor ? Product.longestBlockUnpacked : Product.longestBlock
    let blocks = (k + longest - 1) / longest
    return (((k + blocks - 1) / blocks) + 3) & ~3
  }

  func multiplyBlocks(_ pool: ThreadPool) {
    let blockLength = blockLength
    let rowBlocks = RowBlocks(rows: m)
    let packed = UnsafeMutablePointer<Float>.allocateAligned(m * k)
    defer { packed.deallocate() }
    packLeft(rowBlocks, blockLength, into: packed, pool)

    // Enough chunks that the threads finish together, wide enough to be worth a task, and of whole tiles.
    let share = panels / (pool.threads * 6)
    let least = right.layout == .rowMajor ? 16 : TileShape.panels
    let chunk = pool.threads == 1 ? panels : min(panels, max(least, share) / TileShape.panels * TileShape.panels)
    let columnChunks = (panels + chunk - 1) / chunk
    // Too few columns to keep the threads busy: cut the rows as well.
    var rowChunks = 1
    if columnChunks < pool.threads * 2 {
      rowChunks = max(1, min(rowBlocks.count / 4, pool.threads * 2 / columnChunks))
    }
    pool.divide(columnChunks * rowChunks) { task in
      let first = task / rowChunks * chunk
      let part = task % rowChunks
      multiply(
        Chunk(
          panels: first..<min(panels, first + chunk),
          blocks: part * rowBlocks.count / rowChunks..<(part + 1) * rowBlocks.count / rowChunks, rowBlocks: rowBlocks,
          blockLength: blockLength, packed: packed))
    }
  }

  private func packLeft(
    _ rowBlocks: RowBlocks, _ blockLength: Int, into packed: UnsafeMutablePointer<Float>, _ pool: ThreadPool
  ) {
    let blocksPerTask = max(1, 16384 / (6 * k))
    pool.divide((rowBlocks.count + blocksPerTask - 1) / blocksPerTask) { task in
      for block in task * blocksPerTask..<min(rowBlocks.count, (task + 1) * blocksPerTask) {
        let rows = rowBlocks.start(block)..<rowBlocks.start(block + 1)
        for first in stride(from: 0, to: k, by: blockLength) {
          let steps = first..<min(k, first + blockLength)
          left.pack(rows: rows, steps: steps, into: packed + (m * first + rows.lowerBound * steps.count))
        }
      }
    }
  }

  /// What one task works on: some columns of the results, some row blocks.
  private struct Chunk {
    let panels: Range<Int>
    let blocks: Range<Int>
    let rowBlocks: RowBlocks
    let blockLength: Int
    let packed: UnsafeMutablePointer<Float>
  }

  /// Row blocks that share the second-level cache, and where their chains rest.
  private struct Group {
    let blocks: Range<Int>
    let rowBlocks: RowBlocks
    let resting: UnsafeMutablePointer<Float>
    var firstRow: Int { rowBlocks.start(blocks.lowerBound) }
    var rows: Int { rowBlocks.start(blocks.upperBound) - firstRow }
  }

  /// Some panels and some steps of the right factor.
  private struct PanelBlock {
    let panels: Range<Int>
    let steps: Range<Int>
    /// The first panel of the strip that these belong to.
    let strip: Int

    /// One of `count` parts of the steps; nothing beyond the last.
    func slice(_ index: Int, of count: Int) -> Range<Int> {
      let (first, last) = (min(index, count), min(index + 1, count))
      return steps.lowerBound + first * steps.count / count..<steps.lowerBound + last * steps.count / count
    }
  }

  private func multiply(_ work: Chunk) {
    let rows = min(m, Product.rowBlocksAtOnce * TileShape.rows)
    let resting = max(1, Product.restingNumbers / (16 * rows * TileShape.panels)) * TileShape.panels
    // Without a second block of k nothing rests, and a strip may be as long as it likes.
    var strip = work.blockLength < k ? min(resting, work.panels.count) : work.panels.count
    if right.layout == .rowMajor { strip = min(strip, Product.panelsOfBlock) }
    if right.layout == .panels, rows * k <= 1 << 18 { strip = TileShape.panels }
    let place = UnsafeMutablePointer<Float>.allocateAligned(
      (work.blockLength < k ? strip + TileShape.panels : TileShape.panels) * 16 * rows)
    defer { place.deallocate() }
    for first in stride(from: work.blocks.lowerBound, to: work.blocks.upperBound, by: Product.rowBlocksAtOnce) {
      let group = Group(
        blocks: first..<min(work.blocks.upperBound, first + Product.rowBlocksAtOnce), rowBlocks: work.rowBlocks,
        resting: place)
      if right.layout == .rowMajor {
        multiplyRowMajor(work, group, strip: strip)
      } else {
        multiplyPanelwise(work, group, strip: strip)
      }
    }
  }

  // MARK: Packed weights, or a transposed factor, whose panels come into being a few at a time

  private func multiplyPanelwise(_ work: Chunk, _ group: Group, strip: Int) {
    let scratch = UnsafeMutablePointer<Float>.allocateAligned(work.blockLength * 16 * TileShape.panels)
    defer { scratch.deallocate() }
    let blocks = blocks(of: work, strip: strip)
    for (index, block) in blocks.enumerated() {
      let b = prepare(block, scratch)
      var ahead = LookAhead(nothingAt: right.base)
      if index + 1 < blocks.count { ahead = lookAhead(blocks[index + 1]) }
      ahead.spread(over: group.blocks.count)
      multiply(block, b, group, work, &ahead)
      ahead.finish()
    }
  }

  /// Panels that a tile takes at once and some steps, in the order of work.
  private func blocks(of work: Chunk, strip: Int) -> [PanelBlock] {
    var blocks: [PanelBlock] = []
    for firstPanel in stride(from: work.panels.lowerBound, to: work.panels.upperBound, by: strip) {
      let end = min(work.panels.upperBound, firstPanel + strip)
      for first in stride(from: 0, to: k, by: work.blockLength) {
        for panel in stride(from: firstPanel, to: end, by: TileShape.panels) {
          blocks.append(
            PanelBlock(
              panels: panel..<min(end, panel + TileShape.panels), steps: first..<min(k, first + work.blockLength),
              strip: firstPanel))
        }
      }
    }
    return blocks
  }

  /// The steps of a few panels as float32, and the bytes from one panel to the next; expanded or packed into `scratch` where they
  /// are not that already.
  private func prepare(_ block: PanelBlock, _ scratch: UnsafeMutablePointer<Float>) -> (UnsafeRawPointer, Int) {
    let steps = block.steps
    for panel in block.panels {
      let target = scratch + (panel - block.panels.lowerBound) * steps.count * 16
      if right.layout == .transposed {
        packTransposed(
          right.type, right.base + (panel * 16 * right.rowBytes + steps.lowerBound * right.type.bytes),
          rowBytes: right.rowBytes, steps: steps.count, rows: min(16, n - panel * 16), into: target)
        continue
      }
      let stored = right.base + (panel * k + steps.lowerBound) * 16 * right.type.bytes
      if right.type == .float32 { return (stored, k * 64) }
      expandPanel(right.type, stored, steps: steps.count, into: target)
    }
    return (UnsafeRawPointer(scratch), steps.count * 64)
  }

  private func lookAhead(_ block: PanelBlock) -> LookAhead {
    let (first, steps) = (block.panels.lowerBound, block.steps)
    if right.layout == .panels {
      let bytes = 16 * right.type.bytes
      return LookAhead(
        right.base + (first * k + steps.lowerBound) * bytes, runBytes: steps.count * bytes, every: k * bytes,
        runs: block.panels.count)
    }
    return LookAhead(
      right.base + (first * 16 * right.rowBytes + steps.lowerBound * right.type.bytes),
      runBytes: steps.count * right.type.bytes, every: right.rowBytes,
      runs: min(block.panels.count * 16, n - first * 16))
  }

  // MARK: A row-major factor

  /// Packed block by block: while one block is multiplied, the next one is packed a few rows at a time, and the rows after these
  /// are asked for. (A whole block can't be asked for: with 2^n columns its rows share a few cache sets.)
  private func multiplyRowMajor(_ work: Chunk, _ group: Group, strip: Int) {
    let blockSize = work.blockLength * strip * 16
    let scratch = UnsafeMutablePointer<Float>.allocateAligned(2 * blockSize)
    defer { scratch.deallocate() }
    let blocksOfK = (k + work.blockLength - 1) / work.blockLength
    let count = (work.panels.count + strip - 1) / strip * blocksOfK
    func blockAt(_ index: Int) -> PanelBlock? {
      guard index < count else { return nil }
      let panel = work.panels.lowerBound + index / blocksOfK * strip
      let step = index % blocksOfK * work.blockLength
      return PanelBlock(
        panels: panel..<min(work.panels.upperBound, panel + strip), steps: step..<min(k, step + work.blockLength),
        strip: panel)
    }
    var index = 0
    if let first = blockAt(0) { packRowMajor(first, first.steps, into: scratch) }
    while let block = blockAt(index) {
      let (current, following) = (scratch + index % 2 * blockSize, scratch + (index + 1) % 2 * blockSize)
      let next = blockAt(index + 1)
      let turns = (block.panels.count + TileShape.panels - 1) / TileShape.panels
      for turn in 0..<turns {
        var ahead = LookAhead(nothingAt: right.base)
        if let next {
          packRowMajor(next, next.slice(turn, of: turns), into: following)
          ahead = lookAhead(next, next.slice(turn + 1, of: turns))
          ahead.spread(over: group.blocks.count)
        }
        let first = block.panels.lowerBound + turn * TileShape.panels
        let few = PanelBlock(
          panels: first..<min(block.panels.upperBound, first + TileShape.panels), steps: block.steps,
          strip: block.strip)
        let b = UnsafeRawPointer(current + turn * TileShape.panels * block.steps.count * 16)
        multiply(few, (b, block.steps.count * 64), group, work, &ahead)
        ahead.finish()
      }
      index += 1
    }
  }

  private func packRowMajor(_ block: PanelBlock, _ steps: Range<Int>, into target: UnsafeMutablePointer<Float>) {
    let column = block.panels.lowerBound * 16
    Kernels.packRowMajor(
      right.type, right.base + (steps.lowerBound * right.rowBytes + column * right.type.bytes),
      rowBytes: right.rowBytes,
      steps: steps.lowerBound - block.steps.lowerBound..<steps.upperBound - block.steps.lowerBound,
      panelSteps: block.steps.count, columns: min(n, block.panels.upperBound * 16) - column, into: target)
  }

  private func lookAhead(_ block: PanelBlock, _ steps: Range<Int>) -> LookAhead {
    LookAhead(
      right.base + (steps.lowerBound * right.rowBytes + block.panels.lowerBound * 16 * right.type.bytes),
      runBytes: block.panels.count * 16 * right.type.bytes, every: right.rowBytes, runs: steps.count)
  }

  // MARK: Tiles

  /// A group of row blocks times the panels of one tile.
  private func multiply(
    _ block: PanelBlock, _ b: (base: UnsafeRawPointer, panelStride: Int), _ group: Group, _ work: Chunk,
    _ ahead: inout LookAhead
  ) {
    let (steps, panels, rows) = (block.steps, block.panels, group.rows)
    let resting = steps.count == k ? group.resting : group.resting + (panels.lowerBound - block.strip) * 16 * rows
    let columns = min(n, panels.upperBound * 16) - panels.lowerBound * 16
    let results = c + (group.firstRow * cStride + panels.lowerBound * 16)
    var operands = TileOperands(
      steps: steps.count, a: work.packed + (m * steps.lowerBound + group.firstRow * steps.count), b: b.base,
      panelStride: b.panelStride, c: resting, cStride: panels.count * 16, continuing: steps.lowerBound > 0)
    let ends = steps.upperBound == k
    if ends, columns == panels.count * 16 { (operands.results, operands.resultStride) = (results, cStride) }
    multiplyRowBlocks(group.blocks, of: group.rowBlocks, panels: panels.count, operands, ahead: &ahead)
    guard ends, operands.results == nil else { return }
    for row in 0..<rows { (results + row * cStride).update(from: resting + row * panels.count * 16, count: columns) }
  }
}
