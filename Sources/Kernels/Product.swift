/// Where the right factor of a product, `[k, n]`, comes from.
struct RightFactor {
  enum Layout {
    /// Panels of 16 columns, `[k][16]` each (see `PackedMatrix`).
    case panels
    /// `[k, n]`, a row every `rowBytes`.
    case rowMajor
    /// `[n, k]`, a row every `rowBytes`.
    case transposed
  }
  var layout: Layout
  var type: ElementType
  var base: UnsafeRawPointer
  var rowBytes = 0
}

/// One matrix product `c = a b`: every element of `c` is one chain of fused multiply-adds over ascending k, starting at +0.
///
/// k is cut into blocks between which the chains rest in `c`; threads divide rows and columns of `c`. So neither blocks nor
/// threads nor the number of rows show in the bits.
struct Product {
  let m: Int
  let k: Int
  let n: Int
  let left: LeftFactor
  let right: RightFactor
  let c: UnsafeMutablePointer<Float>
  let cStride: Int

  /// Steps of k whose panels stay in the first-level cache (24 KiB of 32, or 36 KiB of 48 where there is AVX-512).
  private static let longestBlock = TileShape.panels == 1 ? 384 : 192
  /// The same where two blocks of panels, packed on the fly, share the second-level cache with the left factor.
  private static let longestBlockUnpacked = 192
  /// Row blocks whose packed part stays in the second-level cache beside the panels that stream by.
  private static let rowBlocksAtOnce = 128
  /// Panels of one block of an unpacked row-major factor.
  private static let panelsOfBlock = 32
  /// Up to this many rows an unpacked row-major factor is read in place: packing would cost more than it gives.
  private static let rowsReadInPlace = TileShape.panels == 1 ? 48 : 256
  /// Results of a strip of such a product: a part of the second-level cache, since long rows are worth more than the first.
  private static let stripSize = 1 << 16

  private var panels: Int { (n + 15) / 16 }

  /// Steps per block of k: equal parts, a multiple of four except for the last.
  private var blockLength: Int {
    let longest = right.layout == .rowMajor ? Product.longestBlockUnpacked : Product.longestBlock
    let blocks = (k + longest - 1) / longest
    return (((k + blocks - 1) / blocks) + 3) & ~3
  }

  func run(pool: ThreadPool) {
    guard m > 0, n > 0 else { return }
    guard k > 0 else {
      for row in 0..<m { (c + row * cStride).update(repeating: 0, count: n) }
      return
    }
    if right.layout == .rowMajor, m <= Product.rowsReadInPlace { return readInPlace(pool) }
    if right.layout == .panels, m <= TileShape.rows { return multiplyFewRows(pool) }
    multiplyBlocks(pool)
  }

  // MARK: Many rows

  private func multiplyBlocks(_ pool: ThreadPool) {
    let blockLength = blockLength
    let rowBlocks = RowBlocks(rows: m)
    let packed = UnsafeMutablePointer<Float>.allocateAligned(m * k)
    defer { packed.deallocate() }
    packLeft(rowBlocks, blockLength, into: packed, pool)

    // Enough chunks that the threads finish together, wide enough to be worth a task.
    let share = (panels + pool.threads * 6 - 1) / (pool.threads * 6)
    let chunk = pool.threads == 1 ? panels : max(min(panels, right.layout == .rowMajor ? 16 : 2), share)
    let columnChunks = (panels + chunk - 1) / chunk
    // Too few columns to keep the threads busy: cut the rows as well.
    var rowChunks = 1
    if columnChunks < pool.threads * 2 {
      rowChunks = max(1, min(rowBlocks.count / 4, pool.threads * 2 / columnChunks))
    }
    pool.divide(columnChunks * rowChunks) { task in
      let first = task / rowChunks * chunk
      let part = task % rowChunks
      let work = Chunk(
        panels: first..<min(panels, first + chunk),
        blocks: part * rowBlocks.count / rowChunks..<(part + 1) * rowBlocks.count / rowChunks, rowBlocks: rowBlocks,
        blockLength: blockLength, packed: packed)
      if right.layout == .rowMajor { multiplyRowMajor(work) } else { multiplyPanelwise(work) }
    }
  }

  /// What one task works on.
  private struct Chunk {
    let panels: Range<Int>
    let blocks: Range<Int>
    let rowBlocks: RowBlocks
    let blockLength: Int
    let packed: UnsafeMutablePointer<Float>

    /// The row blocks in groups that share the cache.
    func groups() -> [Range<Int>] {
      stride(from: blocks.lowerBound, to: blocks.upperBound, by: Product.rowBlocksAtOnce).map {
        $0..<min(blocks.upperBound, $0 + Product.rowBlocksAtOnce)
      }
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

  /// Packed weights, or a transposed factor, whose panels come into being a few at a time.
  private func multiplyPanelwise(_ work: Chunk) {
    let scratch = UnsafeMutablePointer<Float>.allocateAligned(work.blockLength * 16 * TileShape.panels)
    let edge = UnsafeMutablePointer<Float>.allocateAligned(Product.rowBlocksAtOnce * TileShape.rows * 16)
    defer {
      scratch.deallocate()
      edge.deallocate()
    }
    let blocks = blocks(of: work, strip: right.layout == .panels ? 48 : 18)
    let groups = work.groups()
    for (index, block) in blocks.enumerated() {
      let b = prepare(block, scratch)
      var ahead = LookAhead(nothingAt: right.base)
      if index + 1 < blocks.count { ahead = lookAhead(blocks[index + 1]) }
      ahead.spread(over: work.blocks.count)
      for group in groups { multiplyPanelColumns(block, b, group, work, edge, &ahead) }
      ahead.finish()
    }
  }

  /// Panels that a tile takes at once and some steps, in the order of work: strips whose results stay in the second-level cache.
  private func blocks(of work: Chunk, strip: Int) -> [PanelBlock] {
    var blocks: [PanelBlock] = []
    for firstPanel in stride(from: work.panels.lowerBound, to: work.panels.upperBound, by: strip) {
      let end = min(work.panels.upperBound, firstPanel + strip)
      for first in stride(from: 0, to: k, by: work.blockLength) {
        for panel in stride(from: firstPanel, to: end, by: TileShape.panels) {
          blocks.append(
            PanelBlock(
              panels: panel..<min(end, panel + TileShape.panels), steps: first..<min(k, first + work.blockLength)))
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

  /// A row-major factor, packed block by block: while one block is multiplied, the next one is packed a few rows at a time, and
  /// the rows after these are asked for. (A whole block can't be asked for: with 2^n columns its rows share a few cache sets.)
  private func multiplyRowMajor(_ work: Chunk) {
    let blockSize = work.blockLength * Product.panelsOfBlock * 16
    let scratch = UnsafeMutablePointer<Float>.allocateAligned(2 * blockSize)
    let edge = UnsafeMutablePointer<Float>.allocateAligned(Product.rowBlocksAtOnce * TileShape.rows * 16)
    defer {
      scratch.deallocate()
      edge.deallocate()
    }
    let blocksOfK = (k + work.blockLength - 1) / work.blockLength
    let strips = (work.panels.count + Product.panelsOfBlock - 1) / Product.panelsOfBlock
    let groups = work.groups()
    var block = rowMajorBlock(0, blocksOfK, work)
    packRowMajor(block, block.steps, into: scratch)
    for index in 0..<strips * blocksOfK {
      let (current, following) = (scratch + index % 2 * blockSize, scratch + (index + 1) % 2 * blockSize)
      let next = index + 1 < strips * blocksOfK ? rowMajorBlock(index + 1, blocksOfK, work) : nil
      let turns = (block.panels.count + TileShape.panels - 1) / TileShape.panels
      for turn in 0..<turns {
        var ahead = LookAhead(nothingAt: right.base)
        if let next {
          packRowMajor(next, next.slice(turn, of: turns), into: following)
          ahead = lookAhead(next, next.slice(turn + 1, of: turns))
          ahead.spread(over: work.blocks.count)
        }
        let first = turn * TileShape.panels
        let b = UnsafeRawPointer(current + first * block.steps.count * 16)
        let few = PanelBlock(
          panels: block.panels.lowerBound
            + first..<min(
              block.panels.upperBound, block.panels.lowerBound + first + TileShape.panels), steps: block.steps)
        for group in groups { multiplyPanelColumns(few, (b, block.steps.count * 64), group, work, edge, &ahead) }
        ahead.finish()
      }
      if let next { block = next }
    }
  }

  /// Some panels and some steps of the right factor.
  private struct PanelBlock {
    let panels: Range<Int>
    let steps: Range<Int>

    /// One of `count` parts of the steps; nothing beyond the last.
    func slice(_ index: Int, of count: Int) -> Range<Int> {
      let (first, last) = (min(index, count), min(index + 1, count))
      return steps.lowerBound + first * steps.count / count..<steps.lowerBound + last * steps.count / count
    }
  }

  private func rowMajorBlock(_ index: Int, _ blocksOfK: Int, _ work: Chunk) -> PanelBlock {
    let panel = work.panels.lowerBound + index / blocksOfK * Product.panelsOfBlock
    let step = index % blocksOfK * work.blockLength
    return PanelBlock(
      panels: panel..<min(work.panels.upperBound, panel + Product.panelsOfBlock),
      steps: step..<min(k, step + work.blockLength))
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

  /// A group of row blocks times the panels of one tile; the last panel's missing columns go through `edge`.
  private func multiplyPanelColumns(
    _ block: PanelBlock, _ b: (base: UnsafeRawPointer, panelStride: Int), _ group: Range<Int>, _ work: Chunk,
    _ edge: UnsafeMutablePointer<Float>, _ ahead: inout LookAhead
  ) {
    let (rowBlocks, steps) = (work.rowBlocks, block.steps)
    let firstRow = rowBlocks.start(group.lowerBound)
    var operands = TileOperands(
      steps: steps.count, a: work.packed + (m * steps.lowerBound + firstRow * steps.count), b: b.base,
      panelStride: b.panelStride, c: c + (firstRow * cStride + block.panels.lowerBound * 16), cStride: cStride,
      continuing: steps.lowerBound > 0)
    let whole = min(block.panels.upperBound, n / 16) - block.panels.lowerBound
    if whole > 0 { multiplyRowBlocks(group, of: rowBlocks, panels: whole, operands, ahead: &ahead) }
    guard whole < block.panels.count else { return }
    operands.b += whole * b.panelStride
    operands.c += whole * 16
    let columns = n % 16
    let rows = rowBlocks.start(group.upperBound) - firstRow
    var inner = operands
    inner.c = edge
    inner.cStride = 16
    edge.update(repeating: 0, count: rows * 16)
    if operands.continuing {
      for row in 0..<rows { (edge + row * 16).update(from: operands.c + row * cStride, count: columns) }
    }
    multiplyRowBlocks(group, of: rowBlocks, panels: 1, inner, ahead: &ahead)
    for row in 0..<rows { (operands.c + row * cStride).update(from: edge + row * 16, count: columns) }
  }

  // MARK: One tile of rows, packed weights

  /// Every panel is read once and from end to end, so k needs no blocks; with few rows several panels run side by side.
  private func multiplyFewRows(_ pool: ThreadPool) {
    let packed = UnsafeMutablePointer<Float>.allocateAligned(m * k)
    defer { packed.deallocate() }
    left.pack(rows: 0..<m, steps: 0..<k, into: packed)
    let together = panelsAtOnce(rows: m)
    let whole = n / 16
    var chunk = max(1, min(96, (panels + pool.threads * 4 - 1) / (pool.threads * 4)))
    chunk = (chunk + together - 1) / together * together
    // Below some 64 KiB of weights a second thread comes too late.
    if panels * k < 1024 { chunk = panels }
    pool.divide((panels + chunk - 1) / chunk) { task in
      var panel = task * chunk
      let end = min(panels, panel + chunk)
      while panel < end {
        let count = panel + together <= min(end, whole) ? together : 1
        multiplyFewRows(panel: panel, count: count, packed)
        panel += count
      }
    }
  }

  private func multiplyFewRows(panel: Int, count: Int, _ packed: UnsafeMutablePointer<Float>) {
    let panelBytes = k * 16 * right.type.bytes
    var operands = TileOperands(
      steps: k, a: packed, b: right.base + panel * panelBytes, panelStride: panelBytes, c: c + panel * 16,
      cStride: cStride, continuing: false)
    let columns = min(16, n - panel * 16)
    if count > 1 || columns == 16 { return multiplyPanels(right.type, rows: m, panels: count, operands) }
    withUnsafeTemporaryAllocation(of: Float.self, capacity: TileShape.rows * 16) { edge in
      guard let edge = edge.baseAddress else { return }
      operands.c = edge
      operands.cStride = 16
      multiplyPanels(right.type, rows: m, panels: 1, operands)
      for row in 0..<m { (c + (row * cStride + panel * 16)).update(from: edge + row * 16, count: columns) }
    }
  }

  // MARK: Few rows, right factor in place

  private func readInPlace(_ pool: ThreadPool) {
    let left = StreamedLeftFactor(left, rows: m, steps: k)
    defer { left.packed.deallocate() }
    let widest = max(256, min(8192, Product.stripSize / m & ~31))
    let share = (n + pool.threads * 4 - 1) / (pool.threads * 4)
    let chunk = max(256, min(max(widest, 1024), (share + 31) & ~31))
    pool.divide((n + chunk - 1) / chunk) { task in
      let columns = task * chunk..<min(n, task * chunk + chunk)
      // A compact copy, whose rows are never 2^n bytes apart: they would share a few cache sets, and a load would wait for the
      // store before it whose address differs in the upper bits only.
      let stride = min(widest, chunk) + 32
      let results = UnsafeMutablePointer<Float>.allocateAligned(m * stride)
      defer { results.deallocate() }
      for first in Swift.stride(from: columns.lowerBound, to: columns.upperBound, by: widest) {
        let count = min(widest, columns.upperBound - first)
        let b = right.base + first * right.type.bytes
        streamStrip(
          right.type,
          StreamedStrip(b: b, rowBytes: right.rowBytes, columns: count), left: left, into: results, cStride: stride)
        for row in 0..<m { (c + (row * cStride + first)).update(from: results + row * stride, count: count) }
      }
    }
  }
}

extension UnsafeMutablePointer<Float> {
  /// Uninitialised memory on a cache line boundary; free it with `deallocate`.
  static func allocateAligned(_ count: Int) -> UnsafeMutablePointer<Float> {
    UnsafeMutableRawPointer.allocate(byteCount: Swift.max(64, count * 4), alignment: 64).bindMemory(
      to: Float.self, capacity: Swift.max(16, count))
  }
}
