/// Products of many rows, from the inside out: a tile's chains run over one block of k; between blocks they rest in a compact
/// strip that the second-level cache holds; a strip belongs to as many rows as that cache has room for. (Of a row-major factor it
/// holds two packed blocks instead, and with many rows the chains lie beyond.)
extension Product {
  /// Steps of k whose panels stay in the first-level cache (24 KiB of 32, or 36 KiB of 48 where there is AVX-512).
  private static let longestBlock = TileShape.panels == 1 ? 384 : 192
  /// The same where two blocks of panels, packed on the fly, share the second-level cache with the left factor.
  private static let longestBlockUnpacked = TileShape.panels == 1 ? 192 : 96
  /// Row blocks whose packed part stays in the second-level cache beside the panels that stream by.
  private static let rowBlocksAtOnce = 128
  /// Numbers that rest between two blocks of k: a part of the second-level cache. They rest tile by tile, because the rows of
  /// the results may lie 2^n bytes apart and share a few cache sets.
  private static let restingNumbers = TileShape.panels == 1 ? 96 * 1024 : 192 * 1024
  /// Panels of one block of an unpacked row-major factor, at most.
  private static let panelsOfBlock = TileShape.panels == 1 ? 30 : 63

  /// Weights, in bytes, of which each thread may have a copy in its caches.
  private static let sharedWeights = 4 << 20

  /// Steps per block of k: equal parts, a multiple of four except for the last.
  private var blockLength: Int {
    let longest = right.layout == .rowMajor ? Product.longestBlockUnpacked : Product.longestBlock
    let blocks = (k + longest - 1) / longest
    return (((k + blocks - 1) / blocks) + 3) & ~3
  }

  func multiplyBlocks(_ pool: ThreadPool) {
    let rowBlocks = RowBlocks(rows: m)
    func packing(_ blocks: Range<Int>) -> LeftPacking {
      LeftPacking(left: left, k: k, blockLength: blockLength, rowBlocks: rowBlocks, blocks: blocks)
    }
    if let parts = rowParts(rowBlocks, threads: pool.threads) {
      return pool.divide(parts) { part in
        // Memory of its own: what another thread has written comes slowly from its cache.
        let own = packing(rowBlocks.part(part, of: parts))
        defer { own.deallocate() }
        own.pack(own.blocks)
        multiply(Chunk(panels: 0..<panels, blocks: own.blocks, left: own))
      }
    }
    let packing = packing(0..<rowBlocks.count)
    defer { packing.deallocate() }
    let blocksPerTask = max(1, 16384 / (6 * k))
    let packingTasks = (rowBlocks.count + blocksPerTask - 1) / blocksPerTask
    pool.divide(packingTasks) { packing.pack(rowBlocks.part($0, of: packingTasks)) }

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
      multiply(
        Chunk(
          panels: first..<min(panels, first + chunk), blocks: rowBlocks.part(task % rowChunks, of: rowChunks),
          left: packing))
    }
  }

  /// Into how many parts the rows are cut where threads had better work on rows of their own, which each packs for itself: nobody
  /// waits for the packing, and weights that fit the caches may be read by each. Nil where columns are divided.
  private func rowParts(_ rowBlocks: RowBlocks, threads: Int) -> Int? {
    let bytes = n * k * right.type.bytes
    guard threads > 1, right.layout == .panels, bytes <= Product.sharedWeights else { return nil }
    let parts = min(rowBlocks.count / 4, 2 * threads) / threads * threads
    return parts > 0 ? parts : nil
  }

  /// What one task works on: some columns of the results, some row blocks.
  private struct Chunk {
    let panels: Range<Int>
    let blocks: Range<Int>
    let left: LeftPacking
    var rowBlocks: RowBlocks { left.rowBlocks }
    var blockLength: Int { left.blockLength }
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
  }

  private func multiply(_ work: Chunk) {
    let own = work.rowBlocks.start(work.blocks.upperBound) - work.rowBlocks.start(work.blocks.lowerBound)
    let rows = min(own, Product.rowBlocksAtOnce * TileShape.rows)
    let resting = max(1, Product.restingNumbers / (16 * rows * TileShape.panels)) * TileShape.panels
    // Without a second block of k nothing rests, and a strip may be as long as it likes.
    var strip = work.blockLength < k ? min(resting, work.panels.count) : work.panels.count
    if right.layout == .rowMajor { strip = min(work.panels.count, Product.panelsOfBlock) }
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
      var ahead = Ahead.nothing
      if index + 1 < blocks.count {
        ahead = .ask(lookAhead(blocks[index + 1], tiles: group.blocks.count))
      }
      multiply(block, b, group, work, &ahead)
      if case .ask(var rest) = ahead { rest.finish() }
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

  private func lookAhead(_ block: PanelBlock, tiles: Int) -> LookAhead {
    let (first, steps) = (block.panels.lowerBound, block.steps)
    var ahead: LookAhead
    if right.layout == .panels {
      let bytes = 16 * right.type.bytes
      ahead = LookAhead(
        right.base + (first * k + steps.lowerBound) * bytes, runBytes: steps.count * bytes, every: k * bytes,
        runs: block.panels.count)
    } else {
      ahead = LookAhead(
        right.base + (first * 16 * right.rowBytes + steps.lowerBound * right.type.bytes),
        runBytes: steps.count * right.type.bytes, every: right.rowBytes,
        runs: min(block.panels.count * 16, n - first * 16))
    }
    ahead.spread(over: tiles)
    return ahead
  }

  // MARK: A row-major factor

  /// Packed block by block, each one by the tiles that multiply the block before.
  private func multiplyRowMajor(_ work: Chunk, _ group: Group, strip: Int) {
    let strip = (strip + TileShape.panels - 1) / TileShape.panels * TileShape.panels
    let blockSize = work.blockLength * strip * 16
    let scratch = UnsafeMutablePointer<Float>.allocateAligned(2 * blockSize)
    defer { scratch.deallocate() }
    let blocksOfK = (k + work.blockLength - 1) / work.blockLength
    let count = (work.panels.count + strip - 1) / strip * blocksOfK
    func blockAt(_ index: Int) -> PanelBlock {
      let panel = work.panels.lowerBound + index / blocksOfK * strip
      let step = index % blocksOfK * work.blockLength
      return PanelBlock(
        panels: panel..<min(work.panels.upperBound, panel + strip), steps: step..<min(k, step + work.blockLength),
        strip: panel)
    }
    var block = blockAt(0)
    var packing = packAhead(block, hosts: 0, into: scratch)
    finishPacking(&packing, block, into: scratch)
    for index in 0..<count {
      let (current, following) = (scratch + index % 2 * blockSize, scratch + (index + 1) % 2 * blockSize)
      let next = index + 1 < count ? blockAt(index + 1) : nil
      packing = packAhead(next, hosts: block.panels.count / TileShape.panels, into: following)
      var ahead = Ahead.pack(packing)
      for first in stride(from: block.panels.lowerBound, to: block.panels.upperBound, by: TileShape.panels) {
        let few = PanelBlock(
          panels: first..<min(block.panels.upperBound, first + TileShape.panels), steps: block.steps,
          strip: block.strip)
        let b = UnsafeRawPointer(current + (first - block.panels.lowerBound) * block.steps.count * 16)
        // The panels of a strip lie side by side (see `Ahead.pack`).
        multiply(few, (b, 64), group, work, &ahead)
      }
      guard let next, case .pack(var rest) = ahead else { return }
      finishPacking(&rest, next, into: following)
      block = next
    }
  }

  /// The whole strips of a block; nothing of none.
  private func packAhead(_ block: PanelBlock?, hosts: Int, into target: UnsafeMutablePointer<Float>) -> PackAhead {
    PackAhead(
      right.type, block.map { element($0.steps.lowerBound, $0.panels.lowerBound) } ?? right.base,
      rowBytes: right.rowBytes, steps: block?.steps.count ?? 0, strips: block.map(wholeStrips) ?? 0, into: target,
      hosts: hosts)
  }

  private func wholeStrips(_ block: PanelBlock) -> Int {
    (min(block.panels.upperBound, n / 16) - block.panels.lowerBound) / TileShape.panels
  }

  /// Packs what no tile has packed: pieces, steps that fill no piece, and columns that fill no strip.
  private func finishPacking(
    _ ahead: inout PackAhead, _ block: PanelBlock, into target: UnsafeMutablePointer<Float>
  ) {
    packPieces(right.type, ahead.rest())
    let steps = block.steps.count
    let inPieces = steps / PackAhead.rowsInTurn * PackAhead.rowsInTurn
    let strips = (block.panels.count + TileShape.panels - 1) / TileShape.panels
    let whole = wholeStrips(block)
    for strip in 0..<strips {
      let first = strip < whole ? inPieces : 0
      let panel = block.panels.lowerBound + strip * TileShape.panels
      packStrip(
        right.type, element(block.steps.lowerBound + first, panel), rowBytes: right.rowBytes, steps: steps - first,
        columns: min(n - panel * 16, TileShape.panels * 16), width: TileShape.panels * 16,
        into: target + (strip * steps + first) * TileShape.panels * 16)
    }
  }

  /// The first element of a panel in one step of a row-major factor.
  private func element(_ step: Int, _ panel: Int) -> UnsafeRawPointer {
    right.base + (step * right.rowBytes + panel * 16 * right.type.bytes)
  }

  // MARK: Tiles

  /// A group of row blocks times the panels of one tile.
  private func multiply(
    _ block: PanelBlock, _ b: (base: UnsafeRawPointer, panelStride: Int), _ group: Group, _ work: Chunk,
    _ ahead: inout Ahead
  ) {
    let (steps, panels, rows) = (block.steps, block.panels, group.rows)
    let resting = steps.count == k ? group.resting : group.resting + (panels.lowerBound - block.strip) * 16 * rows
    let columns = min(n, panels.upperBound * 16) - panels.lowerBound * 16
    let results = c + (group.firstRow * cStride + panels.lowerBound * 16)
    var operands = TileOperands(
      steps: steps.count, a: work.left.part(row: group.firstRow, steps: steps), b: b.base,
      panelStride: b.panelStride, c: resting, cStride: panels.count * 16, continuing: steps.lowerBound > 0)
    let ends = steps.upperBound == k
    if ends, columns == panels.count * 16 { (operands.results, operands.resultStride) = (results, cStride) }
    multiplyRowBlocks(group.rowBlocks.some(group.blocks), panels: panels.count, operands, ahead: &ahead)
    guard ends, operands.results == nil else { return }
    for row in 0..<rows { (results + row * cStride).update(from: resting + row * panels.count * 16, count: columns) }
  }
}
