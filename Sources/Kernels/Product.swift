internal import Foundation

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

  /// Steps of k whose panel (24 KiB) stays in the first-level cache.
  private static let longestBlock = 384
  /// Row blocks whose packed part stays in the second-level cache beside the panels that stream by.
  private static let rowBlocksAtOnce = 80
  /// Panels packed at once from an unpacked right factor: with `longestBlock` steps 768 KiB.
  private static let panelsAtOnceUnpacked = 32
  /// Up to this many rows an unpacked row-major factor is read in place: packing would cost more than it gives.
  private static let rowsReadInPlace = 6

  private var panels: Int { (n + 15) / 16 }

  /// Steps per block of k: equal parts, a multiple of four except for the last.
  private var blockLength: Int {
    let blocks = (k + Product.longestBlock - 1) / Product.longestBlock
    return (((k + blocks - 1) / blocks) + 3) & ~3
  }

  func run(pool: ThreadPool) {
    guard m > 0, n > 0 else { return }
    guard k > 0 else {
      for row in 0..<m { (c + row * cStride).update(repeating: 0, count: n) }
      return
    }
    if right.layout == .rowMajor, m <= Product.rowsReadInPlace { return readInPlace(pool) }
    if right.layout == .panels, m <= 6 { return multiplyFewRows(pool) }
    multiplyBlocks(pool)
  }

  // MARK: Many rows

  private func multiplyBlocks(_ pool: ThreadPool) {
    let blockLength = blockLength
    let rowBlocks = RowBlocks(rows: m)
    let packed = UnsafeMutablePointer<Float>.allocateAligned(m * k)
    defer { packed.deallocate() }
    packLeft(rowBlocks, blockLength, into: packed, pool)

    var chunk = right.layout == .panels ? 48 : Product.panelsAtOnceUnpacked
    if pool.threads > 1 { chunk = max(1, min(chunk, (panels + pool.threads * 6 - 1) / (pool.threads * 6))) }
    if right.layout != .panels { chunk = max(chunk, min(panels, 8)) }
    let columnChunks = (panels + chunk - 1) / chunk
    // Too few columns to keep the threads busy: cut the rows as well.
    var rowChunks = 1
    if columnChunks < pool.threads * 2 { rowChunks = max(1, min(rowBlocks.count / 4, pool.threads * 2 / columnChunks)) }
    pool.divide(columnChunks * rowChunks) { task in
      let firstPanel = task / rowChunks * chunk
      let part = task % rowChunks
      multiplyChunk(
        panels: firstPanel..<min(panels, firstPanel + chunk),
        blocks: part * rowBlocks.count / rowChunks..<(part + 1) * rowBlocks.count / rowChunks, rowBlocks, blockLength,
        packed)
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

  private func multiplyChunk(
    panels: Range<Int>, blocks: Range<Int>, _ rowBlocks: RowBlocks, _ blockLength: Int,
    _ packed: UnsafeMutablePointer<Float>
  ) {
    let ready = right.layout == .panels && right.type == .float32
    let scratchPanels = ready ? 0 : right.layout == .panels ? 1 : panels.count
    let scratch = UnsafeMutablePointer<Float>.allocateAligned(max(16, scratchPanels * blockLength * 16))
    defer { scratch.deallocate() }
    let edge = UnsafeMutablePointer<Float>.allocateAligned(Product.rowBlocksAtOnce * 6 * 16)
    defer { edge.deallocate() }
    for first in stride(from: 0, to: k, by: blockLength) {
      let steps = first..<min(k, first + blockLength)
      if right.layout != .panels { pack(panels: panels, steps: steps, into: scratch) }
      for firstBlock in stride(from: blocks.lowerBound, to: blocks.upperBound, by: Product.rowBlocksAtOnce) {
        let group = firstBlock..<min(blocks.upperBound, firstBlock + Product.rowBlocksAtOnce)
        let firstRow = rowBlocks.start(firstBlock)
        let a = UnsafePointer(packed + (m * first + firstRow * steps.count))
        for panel in panels {
          let b: UnsafeRawPointer
          if ready {
            b = right.base + (panel * k + first) * 64
          } else if right.layout == .panels {
            expandPanel(right.type, right.base + (panel * k + first) * 32, steps: steps.count, into: scratch)
            b = UnsafeRawPointer(scratch)
          } else {
            b = UnsafeRawPointer(scratch + (panel - panels.lowerBound) * steps.count * 16)
          }
          multiplyPanelColumn(
            panel, group, rowBlocks, edge,
            TileOperands(
              steps: steps.count, a: a, b: b, c: c + (firstRow * cStride + panel * 16), cStride: cStride,
              continuing: first > 0))
        }
      }
    }
  }

  /// A group of row blocks times one panel; the last panel's missing columns go through `edge`.
  private func multiplyPanelColumn(
    _ panel: Int, _ group: Range<Int>, _ rowBlocks: RowBlocks, _ edge: UnsafeMutablePointer<Float>,
    _ operands: TileOperands
  ) {
    let columns = min(16, n - panel * 16)
    if columns == 16 { return multiplyRowBlocks(group, of: rowBlocks, operands) }
    let rows = rowBlocks.start(group.upperBound) - rowBlocks.start(group.lowerBound)
    var inner = operands
    inner.c = edge
    inner.cStride = 16
    edge.update(repeating: 0, count: rows * 16)
    if operands.continuing {
      for row in 0..<rows { (edge + row * 16).update(from: operands.c + row * cStride, count: columns) }
    }
    multiplyRowBlocks(group, of: rowBlocks, inner)
    for row in 0..<rows { (operands.c + row * cStride).update(from: edge + row * 16, count: columns) }
  }

  private func pack(panels: Range<Int>, steps: Range<Int>, into scratch: UnsafeMutablePointer<Float>) {
    let firstColumn = panels.lowerBound * 16
    let columns = min(n, panels.upperBound * 16) - firstColumn
    if right.layout == .rowMajor {
      packRowMajor(
        right.type, right.base + (steps.lowerBound * right.rowBytes + firstColumn * right.type.bytes),
        rowBytes: right.rowBytes, steps: steps.count, columns: columns, into: scratch)
      return
    }
    for panel in panels {
      packTransposed(
        right.type, right.base + (panel * 16 * right.rowBytes + steps.lowerBound * right.type.bytes),
        rowBytes: right.rowBytes, steps: steps.count, rows: min(16, n - panel * 16),
        into: scratch + (panel - panels.lowerBound) * steps.count * 16)
    }
  }

  // MARK: One to six rows of packed weights

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
    if count > 1 { return multiplyPanels(right.type, rows: m, operands) }
    let columns = min(16, n - panel * 16)
    if columns == 16 { return multiplyPanel(right.type, rows: m, operands) }
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 96) { edge in
      guard let edge = edge.baseAddress else { return }
      operands.c = edge
      operands.cStride = 16
      multiplyPanel(right.type, rows: m, operands)
      for row in 0..<m { (c + (row * cStride + panel * 16)).update(from: edge + row * 16, count: columns) }
    }
  }

  // MARK: Few rows, right factor in place

  private func readInPlace(_ pool: ThreadPool) {
    let chunk = max(512, min(8192, (n + pool.threads * 16 - 1) / (pool.threads * 16) * 16))
    pool.divide((n + chunk - 1) / chunk) { task in
      let first = task * chunk
      streamRows(
        right.type, right.base + first * right.type.bytes, rowBytes: right.rowBytes, steps: k,
        columns: min(chunk, n - first), left: left, rows: m, into: c + first, cStride: cStride)
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
