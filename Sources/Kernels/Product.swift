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
/// k is cut into blocks between which the chains rest in memory of their own; threads divide rows and columns of `c`. So neither blocks nor
/// threads nor the number of rows show in the bits.
struct Product {
  let m: Int
  let k: Int
  let n: Int
  let left: LeftFactor
  let right: RightFactor
  let c: UnsafeMutablePointer<Float>
  let cStride: Int

  /// Up to this many rows an unpacked row-major factor is read in place: packing would cost more than it gives.
  private static let rowsReadInPlace = TileShape.panels == 1 ? 32 : 112

  /// Up to this many rows a transposed factor's rows are read in step: there is not enough to compute to hide the reading behind.
  static let rowsReadInStep = 32

  /// Panels of 16 columns of the results.
  var panels: Int { (n + 15) / 16 }

  func run(pool: ThreadPool) {
    guard m > 0, n > 0 else { return }
    guard k > 0 else {
      for row in 0..<m { (c + row * cStride).update(repeating: 0, count: n) }
      return
    }
    if right.layout == .rowMajor, m <= Product.rowsReadInPlace { return readInPlace(pool) }
    if right.layout == .panels, m <= TileShape.rows { return multiplyFewRows(pool) }
    if right.layout == .transposed, m <= Product.rowsReadInStep {
      return RowReading(
        m: m, k: k, n: n, left: left, type: right.type, base: right.base, rowBytes: right.rowBytes, c: c,
        cStride: cStride, norms: nil
      ).run(pool)
    }
    multiplyBlocks(pool)
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
    let widest = max(256, min(StreamedStrip.bytes / right.type.bytes, StreamedStrip.results / m & ~31))
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
        let strip = StreamedStrip(b: b, rowBytes: right.rowBytes, columns: count)
        streamStrip(right.type, strip, left: left, into: results, cStride: stride)
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
